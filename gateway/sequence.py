"""Turns hops of samples into numbered requests of Triton sequences.

A session has one sequence at a time: START with its first hop of audio, END with an empty hop. A
session that fell silent ends its sequence, and later audio starts another whose clock goes on.
Pure bookkeeping: it sends nothing and knows no Triton API.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.audio import SAMPLE_BYTES
from pipeline.options import StreamOptions

_MAX_SEQUENCE_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Hop:
    """One request to the ensemble."""

    index: int
    """Counts all hops of the session from 0."""
    sequence_id: int
    first_hop: int
    """Index of the hop that began the sequence."""
    pcm: bytes
    """Signed 16 bit, perhaps no sample at all."""
    end_position: int
    """Position behind the last sample, counted from the start of the session's audio."""
    feedback: str | None = None
    """The newest FEEDBACK of this sequence, once. Empty on START says that it will be echoed."""
    no_repeat_ngram_size: int = 0
    options: str | None = None
    """Set on START: `StreamOptions` as JSON."""
    end: bool = False
    discard: bool = False
    asks: bool = False
    """Whether it only asks how the sequence would go on elsewhere."""

    @property
    def samples(self) -> int:
        """How many samples it has."""
        return len(self.pcm) // SAMPLE_BYTES

    @property
    def start_position(self) -> int:
        """Position of the first sample."""
        return self.end_position - self.samples

    @property
    def start(self) -> bool:
        """Whether this hop begins its sequence."""
        return self.options is not None


def random_sequence_id() -> int:
    """An id that no other session of any gateway has: a random positive int64."""
    return 1 + secrets.randbelow(_MAX_SEQUENCE_ID)


class Sequencer:
    """Numbers one session's hops and knows which sequence they belong to."""

    def __init__(
        self, options: StreamOptions, new_sequence_id: Callable[[], int] = random_sequence_id
    ) -> None:
        self._options = options
        self._new_sequence_id = new_sequence_id
        self._sequence_id: int | None = None
        self._first_hop = 0
        self._next_hop = 0
        self._position = 0
        self._feedback: str | None = None  # what the next hop echoes
        self._feedback_hop = -1
        self._resumed: dict[str, Any] = {}  # options of the next sequence, if it is a replay

    @property
    def is_open(self) -> bool:
        """Whether a sequence has been started and not ended."""
        return self._sequence_id is not None

    @property
    def position(self) -> int:
        """Samples of the session that have become hops."""
        return self._position

    @property
    def has_feedback(self) -> bool:
        """Whether an answer's FEEDBACK waits for a hop to take it along."""
        return self._feedback is not None

    def configure(self, options: StreamOptions) -> None:
        """Other options from the next sequence on; none may be open."""
        assert not self.is_open, "a sequence is open"
        self._options = options

    def audio(self, pcm: bytes) -> Hop:
        """The next hop with these samples; it starts a sequence if none is open."""
        options = None if self.is_open else self._start()
        self._position += len(pcm) // SAMPLE_BYTES
        return self._hop(pcm, options=options)

    def ask(self) -> Hop:
        """The empty hop that asks how the open sequence would go on elsewhere."""
        return self._hop(b"", asks=True)

    def end(self, discard: bool = False) -> Hop:
        """The empty hop that ends the open sequence. `discard`: nobody waits for its utterance."""
        hop = self._hop(b"", end=True, discard=discard)
        self._sequence_id = None
        return hop

    @property
    def next_hop(self) -> int:
        """Index of the hop that comes next."""
        return self._next_hop

    def restart(self, position: int, resume: Mapping[str, Any]) -> None:
        """The open sequence is lost: the next hop begins a new one at this earlier position.

        `resume`: fields of `StreamOptions` that say where listening goes on.
        """
        self._sequence_id = None
        self._position = position
        self._resumed = dict(resume)

    def take_feedback(self, hop_index: int, feedback: str) -> None:
        """Have the next hop echo an answer's FEEDBACK if it is new, and of the present sequence."""
        if hop_index > self._feedback_hop and hop_index >= self._first_hop:
            self._feedback, self._feedback_hop = feedback, hop_index

    def _start(self) -> str:
        self._sequence_id = self._new_sequence_id()
        self._first_hop = self._next_hop
        self._feedback = ""
        update = {"start_sample": self._position} | self._resumed
        self._resumed = {}
        options = self._options.model_copy(update=update)
        return options.model_dump_json(exclude_defaults=True)

    def _hop(
        self,
        pcm: bytes,
        *,
        options: str | None = None,
        end: bool = False,
        discard: bool = False,
        asks: bool = False,
    ) -> Hop:
        assert self._sequence_id is not None, "no sequence is open"
        hop = Hop(
            index=self._next_hop,
            sequence_id=self._sequence_id,
            first_hop=self._first_hop,
            pcm=pcm,
            end_position=self._position,
            feedback=self._feedback,
            no_repeat_ngram_size=self._options.no_repeat_ngram_size,
            options=options,
            end=end,
            discard=discard,
            asks=asks,
        )
        self._next_hop += 1
        self._feedback = None
        return hop
