"""What survives a lost connection: the audio that is not final yet, the clock, and the numbers.

Sans-I/O and pure: audio goes in, and out again for each connection; messages of a connection go in
and come out with the times and numbers of the whole session. Rules:

1. Audio is kept until a final has covered it. A new connection is sent what is kept, so it begins
   where the last final ended, and what was not final is recognised anew.
2. Times of a connection count from the audio that was kept when it began, its numbers from the
   number behind the last final.
3. The server tells how far it has read: after every `MARK_S` of audio a health check goes out, and
   its answer means that all audio before it has been taken. What lies `KEEP_S` before that has got
   its final or was no speech, and is forgotten. So silence of hours costs no memory.
4. Audio that is `MAX_AHEAD_S` in front of what the server has read waits with its sender.
   So no more than `KEEP_S + MAX_AHEAD_S` and a packet are kept, however fast audio comes.

Positions are bytes of the audio as it is sent, from the start of the session.
"""

from collections import deque
from collections.abc import Iterator

from gateway.client.options import SAMPLE_BYTES, Groups
from gateway.wire import Segment, Transcription, Word

MARK_S = 2.0
MAX_AHEAD_S = 20.0
KEEP_S = 60.0
"""An utterance lasts 30 s at most; as much again for what the engine may be behind."""
MS_PER_S = 1000
DIGITS = 3
"""Times on the wire are whole milliseconds."""


class Resumption:
    """A session's memory across connections."""

    def __init__(self, metadata: Groups) -> None:
        """`metadata` is the session's first message, with encoding and rate."""
        audio, voice = metadata["streaming_params"], metadata.get("streaming_vad_config", {})
        self._sample_bytes: int = SAMPLE_BYTES[audio["encoding"]]
        self._bytes_per_s: int = audio["sample_rate"] * self._sample_bytes
        self._pad_s: float = voice.get("speech_pad_ms", 0) / MS_PER_S
        self._kept: deque[bytes] = deque()  # sent on this connection
        self._waiting: deque[bytes] = deque()  # not sent on it yet
        self._kept_from = 0
        self._marks: deque[int] = deque()  # positions of the checks that are not answered
        self._end = 0  # of all audio
        self._base = 0  # where the audio of this connection began
        self._sent = 0  # how far this connection has been sent
        self._marked = 0  # position of the last health check
        self._taken = 0  # how far the server has read for certain
        self._next_number = 0  # behind the last final
        self._base_number = 0

    @property
    def position_s(self) -> float:
        """Where the audio that is kept begins, in seconds of the session."""
        return self._kept_from / self._bytes_per_s

    @property
    def kept_bytes(self) -> int:
        """How much audio is kept."""
        return self._end - self._kept_from

    @property
    def has_room(self) -> bool:
        """Whether more audio may be added now."""
        return self._end - self._taken <= MAX_AHEAD_S * self._bytes_per_s

    def add(self, packet: bytes) -> None:
        """Audio of the session, to be sent."""
        if packet:
            self._waiting.append(packet)
            self._end += len(packet)

    def next_packet(self) -> bytes | None:
        """The audio that this connection is to be sent next; None: there is none now."""
        if not self._waiting:
            return None
        packet = self._waiting.popleft()
        self._kept.append(packet)
        self._sent += len(packet)
        return packet

    def take_mark(self) -> bool:
        """Whether a health check is due behind what has been sent; it counts as sent then."""
        if self._sent - self._marked < MARK_S * self._bytes_per_s:
            return False
        self._marked = self._sent
        self._marks.append(self._sent)
        return True

    def mark_answered(self) -> None:
        """The oldest health check of this connection has been answered."""
        if self._marks:
            self._taken = self._marks.popleft()
            self._forget(self._taken - round(KEEP_S * self._bytes_per_s))

    def restart(self) -> None:
        """The connection is a new one: it is sent everything that is kept."""
        self._base = self._sent = self._marked = self._taken = self._kept_from
        self._base_number = self._next_number
        self._marks.clear()
        self._waiting.extendleft(reversed(self._kept))
        self._kept.clear()

    def heard(self, message: Transcription) -> Transcription:
        """A message of this connection with the session's times and number; a final frees audio."""
        told = self._placed(message)
        if told.is_final:
            self._next_number = told.transcription_num + 1
            if told.end_s is not None:
                self._forget(round((told.end_s - self._pad_s) * self._bytes_per_s))
        return told

    def _forget(self, position: int) -> None:
        """Audio in front of this position is not needed any more; samples stay whole."""
        position = min(position, self._sent)
        position -= (position - self._base) % self._sample_bytes
        while self._kept and self._kept_from + len(self._kept[0]) <= position:
            self._kept_from += len(self._kept.popleft())
        if self._kept and self._kept_from < position:
            self._kept[0] = self._kept[0][position - self._kept_from :]
            self._kept_from = position

    def _placed(self, message: Transcription) -> Transcription:
        by_s = self._base / self._bytes_per_s
        timing = message.timing_info
        received_s = None if timing is None else round(timing.audio_received_sec + by_s, DIGITS)
        return message.model_copy(
            update={
                "transcription_num": message.transcription_num + self._base_number,
                "segments": [_later(segment, by_s) for segment in message.segments],
                "timing_info": timing
                and timing.model_copy(update={"audio_received_sec": received_s}),
            }
        )


def _later(segment: Segment, by_s: float) -> Segment:
    def words() -> Iterator[Word]:
        for word in segment.word_timestamps:
            yield word.model_copy(update=_moved(word.start_time, word.end_time, by_s))

    moved = _moved(segment.start_time, segment.end_time, by_s)
    return segment.model_copy(update={**moved, "word_timestamps": [*words()]})


def _moved(start_s: float, end_s: float, by_s: float) -> dict[str, float]:
    return {"start_time": round(start_s + by_s, DIGITS), "end_time": round(end_s + by_s, DIGITS)}
