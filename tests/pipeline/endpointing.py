"""What the tests of the endpointing core share: streams of scored frames, and driving the core."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, VAD_FRAME_BYTES, VAD_FRAME_SAMPLES
from pipeline.endpointing import Endpointer
from pipeline.endpointing_policy import EndpointingPolicy
from pipeline.utterance import Window

SPEECH, SILENCE = 0.9, 0.0
"""Probabilities on the clear side of every threshold that the tests use by default."""
LOUD_DB, QUIET_DB = -20.0, -60.0
SECOND = SAMPLE_RATE // VAD_FRAME_SAMPLES  # VAD frames, rounded down: 31


Run = tuple[float, float, int]
"""So many equal frames: their probability, their level in dB, and the count."""


@dataclass(frozen=True)
class Scored:
    """A stream: runs of equal frames, and the samples behind the last of them."""

    runs: Sequence[Run]
    tail_samples: int = 0

    @cached_property
    def probabilities(self) -> list[float]:
        """The frames' speech probabilities."""
        return [probability for probability, _, count in self.runs for _ in range(count)]

    @cached_property
    def levels(self) -> list[float]:
        """The frames' levels, in dB."""
        return [level for _, level, count in self.runs for _ in range(count)]

    @cached_property
    def audio(self) -> bytes:
        """PCM in which every sample tells its position, as far as 16 bits can."""
        samples = len(self.probabilities) * VAD_FRAME_SAMPLES + self.tail_samples
        return (np.arange(samples) % 65_521).astype(np.uint16).tobytes()

    @property
    def tail(self) -> bytes:
        """The audio behind the last frame."""
        return self.audio[len(self.probabilities) * VAD_FRAME_BYTES :]


def scored(*runs: tuple[float, int], tail_samples: int = 0) -> Scored:
    """A stream of runs of (probability, count) in which speech is loud and silence quiet."""
    leveled = [(value, LOUD_DB if value >= 0.5 else QUIET_DB, count) for value, count in runs]
    return Scored(leveled, tail_samples)


def windows(
    policy: EndpointingPolicy,
    stream: Scored,
    hop_frames: Iterable[int] = (),
    start_sample: int = 0,
    answer: bool = True,
) -> list[Window]:
    """Every window of a stream, its hops of `hop_frames` frames each, what is left in one.

    `answer`: each window is answered, and each segment settled, before the next hop comes.
    """
    endpointer, found, first = Endpointer(policy, start_sample), [], 0
    for count in [*hop_frames, len(stream.probabilities)]:
        give(endpointer, stream, first, first + count)
        while (window := endpointer.next_window()) is not None:
            found.append(window)
            if answer:
                answer_to(endpointer, window)
        first += count
    closing = endpointer.close(stream.tail)
    return found if closing is None else [*found, closing]


def answer_to(endpointer: Endpointer, window: Window) -> None:
    """Tell the core that a window has been decoded."""
    if not window.segment:
        endpointer.answered(window.number)
    elif not endpointer.settled(window.number):
        raise AssertionError(f"nobody waits for segment {window.number}")


def give(endpointer: Endpointer, stream: Scored, first: int, last: int) -> None:
    """Hand a stream's frames from `first` to `last` to the core; those behind its end are none."""
    whole = stream.audio[: len(stream.probabilities) * VAD_FRAME_BYTES]
    endpointer.receive(
        whole[first * VAD_FRAME_BYTES : last * VAD_FRAME_BYTES],
        stream.probabilities[first:last],
        stream.levels[first:last],
    )


def finals(
    policy: EndpointingPolicy, stream: Scored, hop_frames: Iterable[int] = ()
) -> list[Window]:
    """The finals among a stream's windows, without their numbers, which count partials too."""
    found = windows(policy, stream, hop_frames)
    return [replace(window, number=0) for window in found if window.final]


def pieces(
    policy: EndpointingPolicy, stream: Scored, hop_frames: Iterable[int] = ()
) -> list[Window]:
    """The segments and finals among a stream's windows, without their numbers."""
    return kept(windows(policy, stream, hop_frames))


def kept(found: Iterable[Window]) -> list[Window]:
    """The windows whose text stays, without their numbers."""
    return [replace(window, number=0) for window in found if window.final or window.segment]


def end_of_audio(window: Window) -> int:
    """Position behind the last sample of a window's audio."""
    return window.audio_start + len(window.audio) // SAMPLE_BYTES


def voiced_frames(policy: EndpointingPolicy, stream: Scored) -> list[int]:
    """The frames that reach the threshold."""
    return [i for i, p in enumerate(stream.probabilities) if p >= policy.threshold]


# Strategies.

_PROBABILITIES = st.one_of(
    st.sampled_from([0.0, 0.2, 0.34, 0.35, 0.4, 0.5, 0.9, 1.0]), st.floats(0.0, 1.0)
)
_LEVELS_DB = st.sampled_from([-80.0, -60.0, -40.0, -20.0]) | st.floats(-90.0, 0.0)
_RUNS = st.tuples(_PROBABILITIES, _LEVELS_DB, st.integers(1, 45))
CLEAR_RUNS = st.tuples(st.sampled_from([SILENCE, SPEECH]), _LEVELS_DB, st.integers(1, 60))
"""Runs of frames that are speech or silence, and nothing in between."""


def streams(run: st.SearchStrategy[Run] = _RUNS) -> st.SearchStrategy[Scored]:
    """Streams of up to about 20 s."""
    tails = st.integers(0, VAD_FRAME_SAMPLES - 1)
    return st.builds(Scored, st.lists(run, max_size=15), tails)


def policies(
    partials: bool = False, segments: bool = False
) -> st.SearchStrategy[EndpointingPolicy]:
    """Policies with everything that a stream's options allow, windows short enough to be cut."""
    interval = st.integers(SAMPLE_RATE // 10, 2 * SAMPLE_RATE) if partials else st.none()
    return st.builds(
        EndpointingPolicy,
        threshold=st.sampled_from([0.05, 0.3, 0.5, 0.8, 0.95]),
        min_silence=st.integers(VAD_FRAME_SAMPLES, SAMPLE_RATE),
        speech_pad=st.one_of(st.just(0), st.integers(0, 5 * SAMPLE_RATE)),
        max_window=st.integers(SAMPLE_RATE, 6 * SAMPLE_RATE),
        partial_interval=interval,
        segment=st.integers(SAMPLE_RATE // 2, 4 * SAMPLE_RATE) if segments else st.none(),
    )


hop_sizes = st.lists(st.integers(0, 40), max_size=40)
"""Frames of a stream's hops; what is left over comes in the last one."""
