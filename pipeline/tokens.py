"""Whisper's tokens: the decoder prompt going in, languages and text coming out.

Every id comes from the model's own tokenizer (`tokenizer.json`), never as a literal: large-v3
has one language more than base, so everything behind the languages moves by one. It knows no
tensors and no engine.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from pipeline.language import LANGUAGES

MAX_TEXT_TOKENS = 448
"""Whisper's decoder context (`n_text_ctx`)."""
MAX_PROMPT_TOKENS = MAX_TEXT_TOKENS // 2 - 1
"""openai/whisper's `decoding.py` keeps this many tokens of the initial prompt: 223."""

N_BYTES = 256
"""Byte-level BPE begins with a token for every byte."""

_NEAREST_LANGUAGE = {"yue": "zh"}
"""Cantonese came with large-v3; older models write it as Chinese."""


class WhisperTokenizer:
    """The tokenizer of one model. `text ids < end <= special ids`."""

    def __init__(self, model_dir: str) -> None:
        path = Path(model_dir, "tokenizer.json")
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: the model folder needs its tokenizer.json")
        self._tokenizer = Tokenizer.from_str(_with_first_merge(path.read_text(encoding="utf-8")))
        self.end = self._special("<|endoftext|>")
        self.start = self._special("<|startoftranscript|>")
        self.start_of_prev = self._special("<|startofprev|>")
        self.transcribe = self._special("<|transcribe|>")
        self.no_timestamps = self._special("<|notimestamps|>")

    def _special(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokenizer has no {token}: this is no multilingual Whisper")
        return int(found)

    @cached_property
    def _languages(self) -> dict[int, str]:
        ids = {code: self._tokenizer.token_to_id(f"<|{code}|>") for code in LANGUAGES}
        return {token: code for code, token in ids.items() if token is not None}

    @property
    def n_mels(self) -> int:
        """Mel bins of the model: Cantonese and 128 bins both came with large-v3 and stayed."""
        return 128 if "yue" in self._languages.values() else 80

    def language_token(self, code: str) -> int:
        """The token of a language; one that this model lacks is mapped to the nearest."""
        token = self._tokenizer.token_to_id(f"<|{code}|>")
        if token is None:
            token = self._special(f"<|{_NEAREST_LANGUAGE.get(code, code)}|>")
        return int(token)

    def language_of(self, token: int) -> str | None:
        """The language that a token stands for, None for any other token."""
        return self._languages.get(token)

    def decoder_prompt(
        self, language: str | None, prompt: str, most_context: int = MAX_PROMPT_TOKENS
    ) -> list[int]:
        """Tokens to start from: the initial prompt as previous text, then the task.

        Without a language the prompt ends in `<|startoftranscript|>`: the model goes on with the
        language itself. Of the initial prompt the last tokens are kept, at most `most_context`.
        """
        most = max(0, min(most_context, MAX_PROMPT_TOKENS))
        context = self.encode(" " + prompt.strip())[-most:] if prompt.strip() and most else []
        head = [self.start_of_prev, *context] if context else []
        return [*head, self.start, *(self.task_tokens(language) if language else [])]

    def task_tokens(self, language: str) -> list[int]:
        """What follows `<|startoftranscript|>`: language, task, no timestamps."""
        return [self.language_token(language), self.transcribe, self.no_timestamps]

    def forced_text(self, prompt: Sequence[int]) -> list[int]:
        """The text tokens of a decoder prompt behind `<|startoftranscript|>`: the text so far."""
        begin = max((i for i, token in enumerate(prompt) if token == self.start), default=-1)
        return self.text_tokens(prompt[begin + 1 :])

    def encode(self, text: str) -> list[int]:
        """Text as tokens, without special ones, even where the text spells them out."""
        return self.text_tokens(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of the text tokens among `tokens`; special ones are left out."""
        text: str = self._tokenizer.decode(self.text_tokens(tokens))
        return text

    def text_tokens(self, tokens: Sequence[int]) -> list[int]:
        """The tokens that are text."""
        return [int(token) for token in tokens if 0 <= token < self.end]


def _with_first_merge(text: str) -> str:
    """A `tokenizer.json` with the first of its merges, which some conversions take for a heading.

    Behind the 256 bytes the vocabulary lists what the merges make, in their order, so the first
    merge is known by what it makes: without it, " the" is a space and "the".
    """
    model = json.loads(text)
    vocabulary, merges = model["model"]["vocab"], model["model"].get("merges")
    if not merges:
        return text
    first = next((token for token, token_id in vocabulary.items() if token_id == N_BYTES), "")
    made = merges[0].replace(" ", "") if isinstance(merges[0], str) else "".join(merges[0])
    if made == first or len(first) != len("ab"):
        return text
    merges.insert(0, " ".join(first) if isinstance(merges[0], str) else list(first))
    return json.dumps(model)
