"""Makes a Hugging Face `tokenizer.json` from OpenAI's `multilingual.tiktoken`.

tiktoken merges whichever neighbours make the token of the lowest rank; Hugging Face's byte-level
BPE follows a list of merges. The vocabulary was trained by merging, a token each time, so the list
is the one pair that each token was last merged from, in order of rank. Special tokens follow in the
order of openai/whisper's `tokenizer.py`, and every id is a position. It knows no file and no model.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from build.engine.errors import EngineError
from pipeline.language import LANGUAGES_IN_ORDER

FORMAT = "1"
"""Raised when the same vocabulary makes another file."""
_BYTES = 256
_TIMESTAMPS = 1501
"""`<|0.00|>` to `<|30.00|>`, every 20 ms."""
_EMPTY = b"="
"""How tiktoken's file writes its last token, which is no bytes at all."""


def read_ranks(text: bytes) -> list[bytes]:
    """The tokens of a `.tiktoken` file, in order of rank: lines of base64 and rank.

    Raises:
        EngineError: it is no such file.
    """
    tokens = []
    for number, line in enumerate(text.splitlines()):
        encoded, _, rank = line.partition(b" ")
        if rank != str(number).encode():
            raise EngineError(f"line {number + 1} of the vocabulary is not of rank {number}")
        try:
            tokens.append(b"" if encoded == _EMPTY else base64.b64decode(encoded, validate=True))
        except binascii.Error as error:
            raise EngineError(f"line {number + 1} of the vocabulary is no base64") from error
    if sorted(tokens[:_BYTES]) != [bytes([value]) for value in range(_BYTES)]:
        raise EngineError("the vocabulary does not begin with a token for every byte")
    return tokens


def write_ranks(tokens: Sequence[bytes]) -> bytes:
    """The `.tiktoken` file of these tokens: the other way round."""
    encoded = (base64.b64encode(token) or _EMPTY for token in tokens)
    return b"".join(b"%b %d\n" % (line, rank) for rank, line in enumerate(encoded))


def special_tokens(languages: int) -> list[str]:
    """Whisper's special tokens in order, for a model with this many languages (99 or 100)."""
    return [
        "<|endoftext|>",
        "<|startoftranscript|>",
        *(f"<|{code}|>" for code in LANGUAGES_IN_ORDER[:languages]),
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
        *(f"<|{step * 0.02:.2f}|>" for step in range(_TIMESTAMPS)),
    ]


def last_merge(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that a token was merged from: what is left of it without its own rank.

    Raises:
        EngineError: the tokens of lower rank do not make it.
    """
    parts = [token[i : i + 1] for i in range(len(token))]
    limit = ranks[token]
    while len(parts) > 2:
        made = [ranks.get(a + b, limit) for a, b in pairwise(parts)]
        lowest = min(made)
        if lowest >= limit:
            break
        at = made.index(lowest)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    if len(parts) != 2:
        raise EngineError(f"token {limit} of the vocabulary ({token!r}) is no merge of two others")
    return parts[0], parts[1]


def tokenizer_json(tokens: Sequence[bytes], languages: int) -> str:
    """The tokenizer of a model, as text for `tokenizers.Tokenizer.from_str`.

    Args:
        tokens: in order of rank, from `read_ranks`.
        languages: how many the model knows.
    """
    ranks = {token: rank for rank, token in enumerate(tokens)}
    pairs = (last_merge(token, ranks) for token in tokens[_BYTES:] if token)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    content: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(token, len(tokens) + place)
            for place, token in enumerate(special_tokens(languages))
        ],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "vocab": {_text(token): rank for token, rank in ranks.items()},
            "merges": [f"{_text(left)} {_text(right)}" for left, right in pairs],
        },
    }
    return json.dumps(content, ensure_ascii=False, indent=1)


def _added(content: str, token_id: int) -> dict[str, object]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token_id, "content": content, **flags, "special": True}


def _text(token: bytes) -> str:
    return "".join(map(byte_characters().__getitem__, token))


@cache
def byte_characters() -> tuple[str, ...]:
    """Byte-level BPE's character for each byte.

    GPT-2's rule: the printable ones of Latin-1 are themselves, the others follow from U+0100 on.
    """
    itself = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [value for value in range(_BYTES) if value not in itself]
    shifted = {value: chr(_BYTES + place) for place, value in enumerate(others)}
    return tuple(shifted.get(value, chr(value)) for value in range(_BYTES))
