"""The audio of a session that may have to be sent again: what no final has settled yet.

When Triton is lost, everything it knew of the session is lost with it. What is on the tape is sent
to another as a new sequence, and the pipeline goes on as if it had never stopped: each final tells
the state of the voice-activity model a little before its end, from which the audio is heard again
without looking for speech in it. Where nothing has become final for a while, which is silence or a
long utterance, the tape wants the pipeline to be asked for the same. Pure: it knows no Triton and
no hop. Positions are in samples, counted from the start of the session's audio.

The tape is bounded, whatever the pipeline says: an utterance and the silence that ends it are not
longer than `longest`, so audio that lies further than that before the oldest unanswered hop is
settled. What is cut off so has no state: the model would begin afresh, and an utterance might begin
or end a little earlier or later than it would have. It takes a pipeline that does not say how to go
on when it is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, VAD_FRAME_SAMPLES, ms_to_samples
from pipeline.options import StreamOptions

WARM_UP_SAMPLES = 2 * SAMPLE_RATE
"""More than the lead-in that a window may have in front of its speech, 384 ms. It does not bring
the model's state back, nor would a minute: that depends on all that was heard."""
ASK_SAMPLES = 10 * SAMPLE_RATE
"""Without a final for so long, or an answer to the last question, the pipeline is asked how to go
on. It costs as much as an empty hop, and a kilobyte and a half."""
MARGIN_SAMPLES = ASK_SAMPLES + 5 * SAMPLE_RATE
"""Added to the longest utterance: the answer may be of its beginning, and be that old. A cut is
made once the audio behind it is there, and the question is asked behind a hop."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What has to be sent again, and how."""

    start: int
    """Position of its first sample, a VAD frame's of the sequence that broke off."""
    resume: Mapping[str, Any]
    """Fields of `StreamOptions` that say from where on the audio is unsettled."""
    pcm: bytes


class Tape:
    """The unsettled audio of one session."""

    def __init__(self, options: StreamOptions) -> None:
        self._pcm = bytearray()
        self._start = 0  # position of its first sample, where a VAD frame begins
        self._grid = 0  # position at which a VAD frame of the present sequence begins
        self._resume: Mapping[str, Any] = {}
        self._asked_at = 0  # position
        self.configure(options)

    def configure(self, options: StreamOptions) -> None:
        """The options hold for what comes: how long an utterance may be."""
        pad = ms_to_samples(options.speech_pad_ms)
        longest_s = options.max_utterance_s + options.min_silence_ms / 1000
        self._longest = int(longest_s * SAMPLE_RATE) + pad + MARGIN_SAMPLES
        self._warm_up = WARM_UP_SAMPLES + pad  # pad leads in to speech too

    @property
    def end(self) -> int:
        """Position behind the last sample."""
        return self._start + len(self._pcm) // SAMPLE_BYTES

    def __len__(self) -> int:
        """Samples on the tape."""
        return len(self._pcm) // SAMPLE_BYTES

    def append(self, pcm: bytes) -> None:
        """Audio that goes to Triton, signed 16 bit."""
        self._pcm += pcm

    def begin_sequence(self) -> None:
        """What comes next is the first of a new sequence. All before it has been settled."""
        self._grid = self._start = self.end
        self._pcm.clear()
        self._resume = _from(self._start)

    def settle(self, resume: Mapping[str, Any]) -> None:
        """How to go on with the rest: what a final that has gone out says, or the pipeline when it
        was asked, with all finals before it gone out. What it does not say is as before."""
        if resume["listen_from"] > self._listen_from:
            self._move_to({**self._resume, **resume})

    def needs_resume(self) -> bool:
        """Whether the pipeline is to be asked how to go on behind what was appended so far. It is
        said once."""
        is_needed = self.end - max(self._listen_from, self._asked_at) >= ASK_SAMPLES
        if is_needed:
            self._asked_at = self.end
        return is_needed

    def answered(self, position: int) -> None:
        """Every hop before this position has been answered, so what is far before it is settled."""
        bound = position - self._longest
        if bound > self._listen_from:
            self._move_to({**_without_state(self._resume), **_from(bound)})

    def rewind(self) -> Replay:
        """What has to be sent again now."""
        self._asked_at = 0  # the answer is lost too
        start = self._first_needed()
        pcm = bytes(self._pcm[(start - self._start) * SAMPLE_BYTES :])
        return Replay(start, self._resume, pcm)

    @property
    def _listen_from(self) -> int:
        return int(self._resume.get("listen_from", 0))

    def _move_to(self, resume: Mapping[str, Any]) -> None:
        self._resume = resume
        drop = self._first_needed() - self._start
        if drop > 0:
            del self._pcm[: drop * SAMPLE_BYTES]
            self._start += drop

    def _first_needed(self) -> int:
        """Where a replay starts: it is on the tape."""
        if self._resume.get("vad_state") and self._resume["vad_state_at"] >= self._start:
            return int(self._resume["vad_state_at"])
        return self._frame_before(self._listen_from - self._warm_up)

    def _frame_before(self, position: int) -> int:
        """The last beginning of a VAD frame at or before a position, that is on the tape."""
        frames = (position - self._grid) // VAD_FRAME_SAMPLES
        return max(self._start, self._grid + frames * VAD_FRAME_SAMPLES)


def _without_state(resume: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in resume.items() if not name.startswith("vad_state")}


def _from(position: int) -> Mapping[str, Any]:
    """All audio before a position is settled."""
    return {"listen_from": position, "settled_until": position}
