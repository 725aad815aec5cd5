"""A file's audio as 16 kHz mono PCM, block by block: what FFmpeg reads, in any usual container.

The only module that knows FFmpeg, through PyAV: libsndfile (`soundfile`) reads neither AAC nor
WebM, which phones and browsers record. Synchronous and slow: call it in a thread. Memory is bounded
by one block, whatever the file claims. Rules:

- Only containers of `FORMATS` are opened, and through them nothing but the file itself: playlists
  and references to other files or addresses are refused.
- Damaged packets are left out. Where time stamps jump, silence stands for what is missing, so that
  later times stay right.
- A file that ends before it says it does is refused, where its container says so.
"""

from collections.abc import Iterator
from typing import IO, Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE

FORMATS = "wav,w64,flac,mp3,ogg,mov,mp4,matroska,webm,aac,aiff,caf,au,mpeg"
"""FFmpeg's names of the containers: what OpenAI's API takes, and other usual ones."""
ACCEPTED = "WAV, FLAC, MP3, OGG (Opus or Vorbis), M4A, MP4, AAC, WebM, AIFF and CAF"
BLOCK_BYTES = SAMPLE_RATE * SAMPLE_BYTES
"""A second: what a block holds, and a little more."""
MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 384_000
"""Beyond these no recording is made; a rate of 1 Hz would make one frame of a file gigabytes."""
MAX_MISSING_S = 1.0
"""A file may end this much earlier than it says: time stamps are rounded, encoders pad."""
MIN_GAP_S = 0.25
MAX_GAP_S = 3_600.0
"""Time stamps that jump by less are jitter, by more a new beginning."""
STATES_LENGTH = frozenset({"flac", "mov", "mp4", "m4a", "matroska", "webm", "aiff", "au"})
"""Containers whose duration is stated. That of the others may be FFmpeg's estimate."""
_PYAV = int(av.__version__.partition(".")[0])
TOLERANT: dict[str, Any] = {"metadata_errors": "ignore"} if _PYAV < 19 else {}
"""Titles in any encoding do no harm. PyAV 19 never minds them; before, it had to be told."""
RIFF_HEADER_BYTES = 8
MAX_RIFF_BYTES = 0x7FFF_0000
"""A RIFF header that says more, or 0, was written before the length was known."""


class UndecodableError(Exception):
    """There is no audio to be had from the file, or only a part of it; one line says why."""


class AudioFile:
    """An open file. Iterate `blocks` once, then `close`."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        """Read the file's header. `size` is that of the file, in bytes.

        Raises:
            UndecodableError: it is none of the accepted formats, or has no audio.
        """
        if not size:
            raise UndecodableError("the file is empty")
        _check_riff(file, size)
        try:
            self._container = _open(file)
        except (av.FFmpegError, ValueError) as error:
            raise UndecodableError(
                f"the file cannot be read as audio; accepted are {ACCEPTED}"
            ) from error
        stream = self._container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            self.close()
            raise UndecodableError("there is no audio in the file")
        self._stream = stream
        self._samples = 0
        self._reached_s = 0.0

    @property
    def duration_s(self) -> float:
        """Seconds that have been decoded so far, all of them after the last block."""
        return self._samples / SAMPLE_RATE

    def blocks(self) -> Iterator[bytes]:
        """PCM (signed 16 bit, little endian, mono) at `SAMPLE_RATE`, about a second each.

        Raises:
            UndecodableError: the file ends too early, or nothing in it can be decoded.
        """
        block = bytearray()
        for pcm in self._pcm():
            self._samples += len(pcm) // SAMPLE_BYTES
            block += pcm
            if len(block) >= BLOCK_BYTES:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)
        self._check_end()

    def close(self) -> None:
        """Give FFmpeg's memory back. The file stays open."""
        self._container.close()

    def _pcm(self) -> Iterator[bytes]:
        resampler = Resampler()
        for frame in self._frames():
            yield from self._gap(frame)
            yield from resampler.push(frame)
        yield from resampler.flush()

    def _frames(self) -> Iterator[AudioFrame]:
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            for frame in frames:
                assert isinstance(frame, AudioFrame)
                if not MIN_RATE_HZ <= frame.sample_rate <= MAX_RATE_HZ:
                    raise UndecodableError(
                        f"the file's sample rate is {frame.sample_rate} Hz; accepted are "
                        f"{MIN_RATE_HZ} to {MAX_RATE_HZ}"
                    )
                yield frame

    def _gap(self, frame: AudioFrame) -> Iterator[bytes]:
        """Silence for what is missing between the frame before and this one."""
        starts_s = frame.time
        ends_before_s, length_s = self._reached_s, frame.samples / frame.sample_rate
        self._reached_s = (ends_before_s if starts_s is None else starts_s) + length_s
        if starts_s is None or not self._samples:
            return
        gap_s = starts_s - ends_before_s
        if MIN_GAP_S <= gap_s <= MAX_GAP_S:
            whole, rest = divmod(round(gap_s * SAMPLE_RATE) * SAMPLE_BYTES, BLOCK_BYTES)
            yield from (bytes(BLOCK_BYTES) for _ in range(whole))
            yield bytes(rest)

    def _check_end(self) -> None:
        stated_s = self._stated_s()
        if stated_s is not None and self._reached_s < stated_s - MAX_MISSING_S:
            raise UndecodableError(
                f"the file is truncated: it says it ends at {stated_s:.1f} s, and audio is there "
                f"up to {self._reached_s:.1f} s"
            )
        if not self._samples:
            raise UndecodableError("the file holds no audio that can be decoded")

    def _stated_s(self) -> float | None:
        """When the audio ends by what the file itself says, on its own clock."""
        if STATES_LENGTH.isdisjoint(self._container.format.name.split(",")):
            return None
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base is not None:
            return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
        if container.duration is not None and len(container.streams) == 1:
            return (container.duration + (container.start_time or 0)) / av.time_base
        return None


class Resampler:
    """Frames of any kind, which may change between two of them, to PCM at `SAMPLE_RATE`."""

    def __init__(self) -> None:
        self._kind: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def push(self, frame: AudioFrame) -> Iterator[bytes]:
        """The samples that this frame completes."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            yield from self.flush()
            self._kind = kind
            self._resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
        assert self._resampler is not None
        frame.pts = None  # it would pad or cut to follow them
        yield from map(_pcm, self._resampler.resample(frame))

    def flush(self) -> Iterator[bytes]:
        """The samples that are left."""
        if self._resampler is not None:
            yield from map(_pcm, self._resampler.resample(None))


def _pcm(frame: AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * SAMPLE_BYTES]


def _open(file: IO[bytes]) -> InputContainer:
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    container: InputContainer = av.open(file, mode="r", options=options, **TOLERANT)
    return container


def _check_riff(file: IO[bytes], size: int) -> None:
    """FFmpeg takes a WAV file that is cut off for a shorter one."""
    header = file.read(RIFF_HEADER_BYTES)
    file.seek(0)
    stated = int.from_bytes(header[4:], "little")
    if header[:4] != b"RIFF" or not 0 < stated < MAX_RIFF_BYTES:
        return
    if size < stated:
        raise UndecodableError(
            f"the file is truncated: its header says {stated + RIFF_HEADER_BYTES} bytes, "
            f"and {size} are there"
        )
