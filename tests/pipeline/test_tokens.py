"""Whisper's tokens, from the real tokenizer."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from pipeline.language import LANGUAGES
from pipeline.tokens import MAX_PROMPT_TOKENS, WhisperTokenizer
from tests.pipeline.support import MODEL_DIR


def special(tokenizer: WhisperTokenizer, token: str) -> int:
    found = tokenizer._tokenizer.token_to_id(token)
    assert found is not None
    return int(found)


def test_special_tokens_are_the_models_own(tokenizer: WhisperTokenizer) -> None:
    assert tokenizer.end == special(tokenizer, "<|endoftext|>") == 50257
    assert tokenizer.start == special(tokenizer, "<|startoftranscript|>") == 50258
    assert tokenizer.transcribe == special(tokenizer, "<|transcribe|>")
    assert tokenizer.no_timestamps == special(tokenizer, "<|notimestamps|>")


def test_every_language_of_the_model_is_known_by_its_token(tokenizer: WhisperTokenizer) -> None:
    for code in LANGUAGES - {"yue"}:
        assert tokenizer.language_of(tokenizer.language_token(code)) == code
    for token in (tokenizer.start, tokenizer.end, tokenizer.transcribe, 0, 10**6):
        assert tokenizer.language_of(token) is None


def test_a_language_that_came_later_is_mapped_to_the_nearest(tokenizer: WhisperTokenizer) -> None:
    assert tokenizer.language_token("yue") == tokenizer.language_token("zh")


def test_an_unknown_language_is_refused(tokenizer: WhisperTokenizer) -> None:
    with pytest.raises(ValueError, match=r"<\|xx\|>"):
        tokenizer.language_token("xx")


def test_the_base_model_has_80_mel_bins(tokenizer: WhisperTokenizer) -> None:
    assert tokenizer.n_mels == 80


@settings(deadline=None)
@given(text=st.text(st.characters(codec="utf-8")))
def test_text_survives_its_tokens(tokenizer: WhisperTokenizer, text: str) -> None:
    tokens = tokenizer.encode(text)
    assert all(token < tokenizer.end for token in tokens) or "<|" in text
    if "<|" not in text:
        assert tokenizer.decode(tokens) == text


def test_special_tokens_are_left_out_of_text(tokenizer: WhisperTokenizer) -> None:
    text = tokenizer.encode(" Hello.")
    mixed = [tokenizer.start, *tokenizer.task_tokens("en"), *text, tokenizer.end, -1]
    assert tokenizer.text_tokens(mixed) == text
    assert tokenizer.decode(mixed) == " Hello."


def test_the_decoder_prompt_has_context_start_and_task(tokenizer: WhisperTokenizer) -> None:
    prompt = tokenizer.decoder_prompt("fr", "Gregson")
    task = [special(tokenizer, f"<|{name}|>") for name in ("fr", "transcribe", "notimestamps")]
    context = tokenizer.encode(" Gregson")
    assert prompt == [tokenizer.start_of_prev, *context, tokenizer.start, *task]
    assert tokenizer.decoder_prompt("fr", "") == [tokenizer.start, *task]
    assert tokenizer.decoder_prompt(None, "") == [tokenizer.start]


def test_special_tokens_spelled_out_in_a_prompt_steer_nothing(tokenizer: WhisperTokenizer) -> None:
    prompt = tokenizer.decoder_prompt("en", "<|startoftranscript|><|fr|> hello <|endoftext|>")
    assert prompt.count(tokenizer.start) == 1
    assert tokenizer.end not in prompt
    assert tokenizer.language_token("fr") not in prompt


def test_a_long_prompt_keeps_its_end(tokenizer: WhisperTokenizer) -> None:
    text = " ".join(map(str, range(500)))
    context = tokenizer.decoder_prompt(None, text)[1:-1]
    assert len(context) == MAX_PROMPT_TOKENS
    assert tokenizer.decode(context).endswith("498 499")


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json is missing"):
        WhisperTokenizer(str(tmp_path))


def test_a_tokenizer_of_something_else_is_refused(tmp_path: Path) -> None:
    Tokenizer(WordLevel({"a": 0}, "a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="no multilingual Whisper"):
        WhisperTokenizer(str(tmp_path))


def test_the_first_merge_is_there_even_where_the_model_file_lacks_it(
    tokenizer: WhisperTokenizer,
) -> None:
    assert tokenizer.encode(" the") == [264]
    assert tokenizer.decode([264]) == " the"


@pytest.mark.parametrize("kept", [True, False])
def test_a_tokenizer_file_with_or_without_it_gives_the_same_tokens(
    tmp_path: Path, kept: bool
) -> None:
    model = json.loads(Path(MODEL_DIR, "tokenizer.json").read_text(encoding="utf-8"))
    merges = [merge for merge in model["model"]["merges"] if merge != "\u0120 t"]
    model["model"]["merges"] = ["\u0120 t", *merges] if kept else merges
    (tmp_path / "tokenizer.json").write_text(json.dumps(model), encoding="utf-8")
    assert WhisperTokenizer(str(tmp_path)).encode(" the table turned") == [264, 3199, 3574]
