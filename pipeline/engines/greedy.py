"""Greedy decoding of several windows at once, step by step, with guesses (`speculation`).

It knows arrays and a step, no model file. Its texts depend on neither the guesses nor the
windows decoded together: see `pipeline.engines.whisper_layers`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.cross_attention import CrossAttention, Silence, side_by_side
from pipeline.engines.decoder_graph import BLOCKED, FEWEST_SLOTS, FIRST_TEXT, MOST_SLOTS, TEXT
from pipeline.engines.request import Hypothesis
from pipeline.engines.speculation import GUESSED_AFTER_MISS, continuation
from pipeline.engines.whisper_layers import PLACES
from pipeline.tokens import MAX_TEXT_TOKENS

Floats = NDArray[np.float32]
Step = Callable[[Mapping[str, NDArray[np.generic]]], list[NDArray[np.generic]]]
"""Inputs by name in, the outputs in their order out."""


@dataclass(frozen=True, slots=True)
class Task:
    """A window to decode."""

    seen: CrossAttention
    states: int
    """That it is made of, without padding."""
    prompt: list[int]
    max_new_tokens: int
    guess: Sequence[int] = ()
    rule: int = FIRST_TEXT
    """What the first token may be; the others are text."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The decoder's inputs for tokens."""

    embeddings: NDArray[np.floating[Any]]
    """[vocabulary, width]"""
    positions: NDArray[np.floating[Any]]
    """[places, width]"""
    end: int


class GreedyDecoder:
    """Runs steps until every window's text has ended."""

    def __init__(self, step: Step, vocabulary: Vocabulary, silence: Silence) -> None:
        self._step = step
        self._vocabulary = vocabulary
        self._silence = silence

    def decode(self, tasks: Sequence[Task]) -> list[Hypothesis]:
        """The texts of windows, each when all are known."""
        decoding = self.begin()
        decoding.add(dict(enumerate(tasks)))
        found: dict[int, Hypothesis] = {}
        while not decoding.is_over:
            found |= decoding.step()
        return [found[i] for i in range(len(tasks))]

    def begin(self) -> "Decoding":
        """A batch that is empty yet."""
        return Decoding(self._step, self._vocabulary, _Batch(self._silence))


class Decoding:
    """A batch of windows under way. Others may join between two steps.

    A text is the most probable next token again and again; the end's log-probability counts to
    the last token's, as the reference's average includes it.
    """

    def __init__(self, step: Step, vocabulary: Vocabulary, batch: "_Batch") -> None:
        self._step = step
        self._vocabulary = vocabulary
        self._batch = batch
        self._texts: dict[int, _Text] = {}

    @property
    def is_over(self) -> bool:
        """Whether every text has been told."""
        return not self._texts

    def add(self, tasks: Mapping[int, Task]) -> None:
        """Windows join, under numbers that no other one has."""
        texts = {i: _Text(task, self._vocabulary.end) for i, task in tasks.items()}
        self._texts |= texts
        self._batch.join([text for text in texts.values() if not text.is_over])

    def step(self) -> dict[int, Hypothesis]:
        """One step for all windows; the texts that are known now, by their numbers."""
        if self._batch.texts:
            rows = self._batch.next_rows()
            best, log_probs, *news = self._step(self._batch.inputs(rows, self._vocabulary))
            self._batch.take(rows, best[:, 0], log_probs[:, 0], news)
        over = {i: text for i, text in self._texts.items() if text.is_over}
        for i in over:
            del self._texts[i]
        return {i: Hypothesis(text.said, text.log_probs) for i, text in over.items()}


@dataclass(eq=False)
class _Text:
    """One window's text as far as it is known."""

    task: Task
    end: int
    said: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    places: int = 0
    """Tokens whose keys and values are kept: prompt and text."""
    is_over: bool = False
    _feed: list[int] = field(default_factory=list)
    _guess: list[int] = field(default_factory=list)
    _most_guessed: int = GUESSED_AFTER_MISS

    def __post_init__(self) -> None:
        self._feed = list(self.task.prompt)
        self._guess = list(self.task.guess)
        self.is_over = self.task.max_new_tokens < 1

    def next_rows(self, most: int) -> "_Rows":
        """What is known and not yet seen by the decoder, and as much of the guess as fits."""
        if self.is_over:
            return _Rows(self, [], [], wants=False)
        if len(self._feed) > most:
            return _Rows(self, self._feed[:most], [], wants=False)
        left = MAX_TEXT_TOKENS - self.places - len(self._feed)
        guess = self._guess[: max(0, min(most - len(self._feed), left))]
        return _Rows(self, self._feed, guess, wants=True)

    def take(self, rows: "_Rows", best: Sequence[int], log_probs: Sequence[float]) -> int:
        """Keep what the decoder says itself; how many of the rows stay comes back."""
        if not rows.wants:  # a part of a long prompt, or nothing
            self._feed = self._feed[len(rows.known) :]
            self.places += len(rows.known)
            return len(rows.known)
        agreed = _agreed(rows.guess, best)
        for token, log_prob in zip(best[: agreed + 1], log_probs, strict=False):
            self._say(token, log_prob)
        kept = len(rows.known) + agreed
        self.places += kept
        self._feed = self.said[-1:]
        self._guess_on(agreed, len(rows.guess))
        return kept

    def _guess_on(self, agreed: int, guessed: int) -> None:
        """What was right is trusted, what was wrong altogether ever less."""
        if agreed == guessed > 0:
            self._most_guessed = len(self.task.guess)
        elif agreed > 0 or self._most_guessed > GUESSED_AFTER_MISS:
            self._most_guessed = GUESSED_AFTER_MISS
        elif guessed > 0:
            self._most_guessed //= 2
        self._guess = continuation(self.task.guess, self.said, self._most_guessed)

    def _say(self, token: int, log_prob: float) -> None:
        if self.is_over:
            return
        if token == self.end:
            self.is_over = True
            if self.log_probs:
                self.log_probs[-1] += log_prob
            return
        self.said.append(token)
        self.log_probs.append(log_prob)
        in_all = len(self.task.prompt) + len(self.said)
        self.is_over = len(self.said) >= self.task.max_new_tokens or in_all >= MAX_TEXT_TOKENS


@dataclass(frozen=True, slots=True)
class _Rows:
    """A text's rows in one step."""

    text: _Text
    known: list[int]
    guess: list[int]
    wants: bool
    """Whether the token behind the last known one is asked for, and those behind the guesses."""

    @property
    def tokens(self) -> list[int]:
        return self.known + self.guess

    @property
    def wanted(self) -> range:
        return range(len(self.known) - 1, len(self.tokens)) if self.wants else range(0)

    @property
    def rules(self) -> list[int]:
        first = self.text.task.rule if self.wants and not self.text.said else TEXT
        return [first, *(TEXT for _ in self.guess)] if self.wants else []


class _Layout:
    """Where the rows of a step stand: see `decoder_graph`."""

    def __init__(self, rows: Sequence[_Rows], text_places: int) -> None:
        count = max(FEWEST_SLOTS, *(len(row.tokens) for row in rows))
        self.slots = np.zeros((len(rows), count), np.int64)
        self.places = np.zeros((1, len(rows), count, text_places), np.float32)
        self.bias = np.full(self.places.shape, BLOCKED, np.float32)
        self.bias[..., 0] = 0  # an empty slot sees something, whatever it is
        self.wanted: list[int] = []
        slots: list[int] = []
        for i, row in enumerate(rows):
            own = np.arange(len(row.tokens))
            at = row.text.places + own
            self.slots[i, own] = len(slots) + own
            self.places[0, i, own, at] = 1
            self.bias[0, i, own] = np.where(np.arange(text_places) <= at[:, None], 0, BLOCKED)
            self.wanted += [len(slots) + it for it in row.wanted]
            slots += [i * count + it for it in own]
        self.rows = np.array(slots, np.int64)


class _Batch:
    """The windows that are still being decoded, and the arrays of what the decoder sees."""

    def __init__(self, silence: Silence) -> None:
        self.texts: list[_Text] = []
        self._silence = silence
        self._past_keys = self._past_values = np.zeros((0,) * 5, np.float32)

    def join(self, texts: Sequence[_Text]) -> None:
        """Lay everything out anew, [layers, heads, windows, ...], for these as well."""
        if not texts:
            return
        old = [i for i, text in enumerate(self.texts) if not text.is_over]
        keys, values = self._past_keys[:, :, old], self._past_values[:, :, old]
        self.texts = [*(self.texts[i] for i in old), *texts]
        self._see()
        layers, heads, size, _ = texts[0].task.seen.keys.shape
        places = max(PLACES, *(_padded(text.places) for text in self.texts))
        self._past_keys = np.zeros((layers, heads, len(self.texts), places, size), np.float32)
        self._past_values = np.zeros((layers, heads, len(self.texts), size, places), np.float32)
        if old:  # what lies behind a text is zeros
            kept = min(places, keys.shape[3])
            self._past_keys[:, :, : len(old), :kept] = keys[:, :, :, :kept]
            self._past_values[:, :, : len(old), :, :kept] = values[..., :kept]

    def _see(self) -> None:
        """What the decoder sees of the windows, and of the silence behind them."""
        self._cross = side_by_side([text.task.seen for text in self.texts])
        silence, places = self._silence.places, self._cross.places
        self._cross_bias = np.full((1, len(self.texts), 1, silence + places), BLOCKED, np.float32)
        for i, text in enumerate(self.texts):
            states = text.task.states
            self._cross_bias[0, i, 0, :silence] = self._silence.bias(states)
            self._cross_bias[0, i, 0, silence : silence + states] = 0

    @property
    def _text_places(self) -> int:
        return int(self._past_keys.shape[3])

    def next_rows(self) -> list[_Rows]:
        """The rows of the next step, text by text."""
        rows = [text.next_rows(MOST_SLOTS) for text in self.texts]
        self._grow(max(_padded(row.text.places + len(row.tokens)) for row in rows))
        return rows

    def inputs(
        self, rows: Sequence[_Rows], vocabulary: Vocabulary
    ) -> dict[str, NDArray[np.generic]]:
        """What a step is given."""
        layout = _Layout(rows, self._text_places)
        tokens = [token for row in rows for token in row.tokens]
        positions = [row.text.places + i for row in rows for i in range(len(row.tokens))]
        embedded = vocabulary.embeddings[tokens].astype(np.float32)
        embedded += vocabulary.positions[positions]
        rules = [rule for row in rows for rule in row.rules]
        return {
            "embedded": embedded,
            "slots": layout.slots,
            "rows": layout.rows,
            "places": layout.places,
            "text_bias": layout.bias,
            "wanted": np.array(layout.wanted or [0], np.int64),  # no node gets nothing
            "rules": np.array(rules or [TEXT], np.int64),
            **self._seen(),
        }

    def _seen(self) -> dict[str, NDArray[np.generic]]:
        split = np.array([self._silence.places, self._cross.places], np.int64)
        by_layer: dict[str, NDArray[np.generic]] = {
            "past_keys": self._past_keys,
            "past_values": self._past_values,
        }
        for name, seen in (("silence", self._silence.seen), ("cross", self._cross)):
            by_layer |= {f"{name}_{part}": array for part, array in seen._asdict().items()}
        return {  # views: nothing is copied
            "cross_bias": self._cross_bias,
            "cross_split": split,
            **{
                f"{name}_{layer}": array[layer]
                for name, array in by_layer.items()
                for layer in range(len(array))
            },
        }

    def take(
        self,
        rows: Sequence[_Rows],
        best: NDArray[np.generic],
        log_probs: NDArray[np.generic],
        news: Sequence[NDArray[np.generic]],
    ) -> None:
        """Tell each text what the decoder said, keep what stays, drop what is over."""
        tokens, probabilities = best.tolist(), log_probs.tolist()
        for i, row in enumerate(rows):
            begin, count = row.text.places, len(row.wanted)
            kept = row.text.take(row, tokens[:count], probabilities[:count])
            tokens, probabilities = tokens[count:], probabilities[count:]
            self._keep(i, slice(begin, begin + kept), kept, news)
        left = [i for i, row in enumerate(rows) if not row.text.is_over]
        if 3 * len(left) <= 2 * len(self.texts):  # what is over costs less than to copy the rest
            self._narrow(left)

    def _keep(
        self, window: int, places: slice, count: int, news: Sequence[NDArray[np.generic]]
    ) -> None:
        """`news`: new keys and new values of each layer in turn."""
        for layer, (keys, values) in enumerate(zip(news[::2], news[1::2], strict=True)):
            self._past_keys[layer, :, window, places] = keys[:, window, :count]
            self._past_values[layer, :, window, :, places] = values[:, window, :, :count]

    def _narrow(self, left: list[int]) -> None:
        """Go on with some of the windows."""
        self.texts = [self.texts[i] for i in left]
        self._cross = CrossAttention._make(np.take(array, left, axis=2) for array in self._cross)
        self._past_keys = np.take(self._past_keys, left, axis=2)
        self._past_values = np.take(self._past_values, left, axis=2)
        self._cross_bias = np.take(self._cross_bias, left, axis=1)

    def _grow(self, places: int) -> None:
        """Make room for a text of so many tokens."""
        more = places - self._text_places
        if more > 0:
            self._past_keys = np.pad(self._past_keys, ((0, 0),) * 3 + ((0, more), (0, 0)))
            self._past_values = np.pad(self._past_values, ((0, 0),) * 4 + ((0, more),))


def _agreed(guess: Sequence[int], best: Sequence[int]) -> int:
    """How many tokens of a guess the decoder says itself, one after the other."""
    pairs = enumerate(zip(guess, best, strict=False))
    return next((i for i, (guessed, said) in pairs if guessed != said), len(guess))


def _padded(places: int) -> int:
    return -(-places // PLACES) * PLACES
