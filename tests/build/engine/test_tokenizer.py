"""The tokenizer that is made from OpenAI's vocabulary, held against the one of Whisper base."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from build.engine.errors import EngineError
from build.engine.models import LARGE_V3, LARGE_V3_TURBO, VOCABULARY
from build.engine.tokenizer import (
    byte_characters,
    last_merge,
    read_ranks,
    special_tokens,
    tokenizer_json,
    write_ranks,
)
from pipeline.tokens import WhisperTokenizer
from tests.build.engine.support import RANKS, sha256
from tests.pipeline.support import CLIPS, MODEL_DIR

BASE = json.loads(Path(MODEL_DIR, "tokenizer.json").read_text(encoding="utf-8"))

STRINGS = [
    "",
    " ",
    "   three spaces\n\n\tand a tab ",
    "don't, you'll, we've; DON'T",
    "12345 1,234.5 ½ ²",
    "Straße, naïve, cafe\u0301",
    "Привет, как дела?",
    "你好，世界。我們去吃飯吧",
    "こんにちは、カタカナ",
    "안녕하세요 여러분",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "مرحبا بالعالم",
    "שלום עולם",
    "👩‍👩‍👧‍👦 🇪🇺 👍🏽 ♪♪♪",
    "\u200b\u00a0\ufeff\u2028",
    "\x00\x01\x7f",
    "<|endoftext|> is text here",
    "supercalifragilisticexpialidocious" * 3,
]


@pytest.fixture(scope="module")
def ranks() -> list[bytes]:
    """The tokens of `multilingual.tiktoken`, from the tokenizer of base, which holds the same."""
    byte_of = {character: value for value, character in enumerate(byte_characters())}
    vocabulary = {token_id: token for token, token_id in BASE["model"]["vocab"].items()}
    end = next(t["id"] for t in BASE["added_tokens"] if t["content"] == "<|endoftext|>")
    return [bytes(byte_of[c] for c in vocabulary[token_id]) for token_id in range(end)]


@pytest.fixture(scope="module")
def content(ranks: list[bytes]) -> str:
    return tokenizer_json(ranks, LARGE_V3.languages)


@pytest.fixture(scope="module")
def tokenizer(content: str) -> Tokenizer:
    return Tokenizer.from_str(content)


@pytest.fixture(scope="module")
def base() -> WhisperTokenizer:
    return WhisperTokenizer(MODEL_DIR)


def transcripts() -> list[str]:
    with (CLIPS / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file, delimiter="\t")]


def test_the_tokens_of_base_are_openais_file_byte_for_byte(ranks: list[bytes]) -> None:
    text = write_ranks(ranks)
    assert sha256(text) == VOCABULARY.sha256
    assert read_ranks(text) == ranks


def test_the_merges_are_those_of_the_published_tokenizer(content: str) -> None:
    made = json.loads(content)["model"]
    assert made["merges"][1:] == BASE["model"]["merges"]  # that one lacks its first
    assert made["merges"][0].replace(" ", "") == next(
        token for token, token_id in made["vocab"].items() if token_id == 256
    )


def test_text_is_encoded_as_by_base(tokenizer: Tokenizer, base: WhisperTokenizer) -> None:
    texts = transcripts()
    assert len(texts) > 10
    for text in [*texts, *(f" {text}" for text in texts), *STRINGS]:
        ours = [i for i in tokenizer.encode(text, add_special_tokens=False).ids if i < base.end]
        assert ours == base.encode(text), text


@pytest.mark.parametrize("text", [*STRINGS, *transcripts()])
def test_text_is_encoded_as_tiktoken_does(
    text: str, tokenizer: Tokenizer, ranks: list[bytes]
) -> None:
    """tiktoken, written out: the neighbours that make the lowest rank are merged first."""
    text = text.replace("<|", "< |")
    rank_of = {token: rank for rank, token in enumerate(ranks)}
    expected: list[int] = []
    for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
        parts = [bytes([byte_characters().index(character)]) for character in piece]
        while True:
            made = [rank_of.get(a + b) for a, b in pairwise(parts)]
            possible = [rank for rank in made if rank is not None]
            if not possible:
                break
            at = made.index(min(possible))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        expected += [rank_of[part] for part in parts]
    assert tokenizer.encode(text, add_special_tokens=False).ids == expected


def test_text_survives_encoding_and_decoding(tokenizer: Tokenizer) -> None:
    for text in transcripts():
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_ids_are_those_of_large_v3(tokenizer: Tokenizer) -> None:
    ids = {
        "<|endoftext|>": 50257,
        "<|startoftranscript|>": 50258,
        "<|en|>": 50259,
        "<|yue|>": 50358,
        "<|translate|>": 50359,
        "<|transcribe|>": 50360,
        "<|startoflm|>": 50361,
        "<|startofprev|>": 50362,
        "<|nospeech|>": 50363,
        "<|notimestamps|>": 50364,
        "<|0.00|>": 50365,
        "<|30.00|>": 51865,
    }
    assert {token: tokenizer.token_to_id(token) for token in ids} == ids
    assert tokenizer.get_vocab_size() == 51866


def test_ids_are_those_of_base_with_its_languages(ranks: list[bytes]) -> None:
    with_99 = Tokenizer.from_str(tokenizer_json(ranks, 99))
    other_names = {"<|nocaptions|>": "<|nospeech|>"}  # Hugging Face's name of the same token
    for token in BASE["added_tokens"]:
        name = other_names.get(token["content"], token["content"])
        assert with_99.token_to_id(name) == token["id"], name
    assert with_99.get_vocab_size() == 51865


def test_both_models_have_the_vocabulary_of_large_v3(ranks: list[bytes]) -> None:
    for model in (LARGE_V3, LARGE_V3_TURBO):
        assert len(ranks) + len(special_tokens(model.languages)) == 51866


def test_the_stages_can_use_it(content: str, tmp_path: Path, base: WhisperTokenizer) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    tokenizer = WhisperTokenizer(str(tmp_path))
    assert tokenizer.n_mels == 128
    assert tokenizer.language_of(tokenizer.language_token("yue")) == "yue"
    prompt = tokenizer.decoder_prompt("de", "Guten Tag")
    assert prompt[-4:] == [50258, 50261, 50360, 50364]
    assert prompt[1:-4] == base.encode(" Guten Tag")


def test_a_token_that_no_others_make_is_named() -> None:
    ranks = {token: rank for rank, token in enumerate([*RANKS[:256], b"abc"])}
    with pytest.raises(EngineError, match="token 256"):
        last_merge(b"abc", ranks)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"IQ== 1\n", "line 1 of the vocabulary is not of rank 0"),
        (b"I\xff== 0\n", "is no base64"),
        (b"IQ== 0\n", "a token for every byte"),
        (b"<html>not found</html>", "line 1 of the vocabulary is not of rank 0"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        read_ranks(text)
