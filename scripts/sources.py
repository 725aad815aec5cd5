"""Where packets of audio come from: a recording, standard input or the microphone.

Each source is an asynchronous iterator of `Packet`. A paced source sends by the clock: packet n is
due when its last sample would have been spoken, so a late packet does not delay those after it.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.client.options import Encoding
from pipeline.audio import SAMPLE_BYTES
from scripts.client import Packet
from scripts.recording import Recording, mulaw_bytes, pcm_bytes, sample_count

PCM: Encoding = "pcm_s16le"
MULAW: Encoding = "pcm_mulaw"
ENCODINGS = (PCM, MULAW)

_PIPE_READ_BYTES = 1 << 16
_PIPE_QUEUE_READS = 16
"""Reads of standard input waiting to be sent; beyond that the writer of the pipe has to wait."""


class SourceError(Exception):
    """There is no audio to be had; the message says what to do about it."""


@dataclass(frozen=True)
class PacketFormat:
    """How audio is cut and encoded for the wire."""

    rate_hz: int
    packet_ms: int
    encoding: Encoding = PCM

    @property
    def packet_bytes(self) -> int:
        """Bytes of `pcm_s16le` behind one packet, whatever its encoding."""
        return max(1, self.rate_hz * self.packet_ms // 1000) * SAMPLE_BYTES

    def packet(self, pcm_s16le: bytes) -> Packet:
        data = mulaw_bytes(pcm_s16le) if self.encoding == MULAW else pcm_s16le
        return Packet(data, sample_count(pcm_s16le) / self.rate_hz)


class Reblocker:
    """Cuts bytes that arrive in any sizes into packets of one size and a shorter last one."""

    def __init__(self, form: PacketFormat) -> None:
        self._form = form
        self._waiting = bytearray()

    def push(self, data: bytes) -> Iterator[Packet]:
        """The packets that are complete with these bytes."""
        self._waiting += data
        size = self._form.packet_bytes
        while len(self._waiting) >= size:
            yield self._form.packet(bytes(self._waiting[:size]))
            del self._waiting[:size]

    def rest(self) -> Iterator[Packet]:
        """The whole samples that are left; half a sample is none."""
        whole = sample_count(bytes(self._waiting)) * SAMPLE_BYTES
        if whole:
            yield self._form.packet(bytes(self._waiting[:whole]))


async def from_recording(
    recording: Recording, form: PacketFormat, speed: float
) -> AsyncIterator[Packet]:
    """A recording at `speed` times real time; 0 is as fast as the packets are taken."""
    async for packet in paced(_slices(recording, form), speed):
        yield packet


async def from_pipe(descriptor: int, form: PacketFormat, speed: float) -> AsyncIterator[Packet]:
    """Raw `pcm_s16le` from a file descriptor until it ends."""
    async for packet in paced(_reblocked(_reads(descriptor), form), speed):
        yield packet


async def from_microphone(form: PacketFormat, stop: asyncio.Event) -> AsyncIterator[Packet]:
    """The default input device until `stop` is set.

    Raises:
        SourceError: no `sounddevice`, no PortAudio, or no device that can do this.
    """
    async for packet in _reblocked(_recorded(form, stop), form):
        yield packet


async def paced(packets: AsyncIterator[Packet], speed: float) -> AsyncIterator[Packet]:
    """The same packets, each not before it is due at `speed`; 0 does not wait."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    audio_s = 0.0
    async for packet in packets:
        audio_s += packet.duration_s
        due = started + audio_s / speed if speed else 0.0
        # Sleeping for nothing still lets the receiver run: a send that does not block would not.
        await asyncio.sleep(max(0.0, due - loop.time()))
        yield packet


async def _slices(recording: Recording, form: PacketFormat) -> AsyncIterator[Packet]:
    samples = form.packet_bytes // SAMPLE_BYTES
    for start in range(0, len(recording.pcm), samples):
        yield form.packet(pcm_bytes(recording.pcm[start : start + samples]))


async def _reblocked(reads: AsyncIterator[bytes], form: PacketFormat) -> AsyncIterator[Packet]:
    blocks = Reblocker(form)
    async for data in reads:
        for packet in blocks.push(data):
            yield packet
    for packet in blocks.rest():
        yield packet


async def _reads(descriptor: int) -> AsyncIterator[bytes]:
    """What a thread reads: the event loop cannot wait for a redirected regular file.

    The thread is a daemon that uses no buffered reader, so a read that never returns holds up
    neither Ctrl-C nor the interpreter's exit.
    """
    loop = asyncio.get_running_loop()
    reads: asyncio.Queue[bytes] = asyncio.Queue(_PIPE_QUEUE_READS)

    def read_all() -> None:
        data = b"?"
        while data and not loop.is_closed():
            data = _read_or_end(descriptor)
            with contextlib.suppress(RuntimeError):  # the session ended meanwhile
                asyncio.run_coroutine_threadsafe(reads.put(data), loop).result()

    threading.Thread(target=read_all, daemon=True).start()
    while data := await reads.get():
        yield data


def _read_or_end(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIPE_READ_BYTES)
    except OSError as error:
        print(f"standard input ended early: {error}", file=sys.stderr)
        return b""


async def _recorded(form: PacketFormat, stop: asyncio.Event) -> AsyncIterator[bytes]:
    """What the sound card delivers. Unbounded: it does not wait, and no word may be lost."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def on_audio(data: bytes) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, data)

    with _open_microphone(form, on_audio):
        ended = asyncio.create_task(stop.wait())
        ended.add_done_callback(lambda _: heard.put_nowait(b""))
        try:
            while data := await heard.get():
                yield data
        finally:
            ended.cancel()


def _open_microphone(form: PacketFormat, on_audio: Callable[[bytes], None]) -> Any:
    try:
        import sounddevice  # here, because it needs PortAudio and only the microphone needs it
    except ImportError as error:
        raise SourceError(
            "the microphone needs the package sounddevice: pip install sounddevice"
        ) from error
    except OSError as error:
        raise SourceError(
            f"the microphone needs the PortAudio library ({error}): "
            "apt install libportaudio2, or brew install portaudio"
        ) from error
    try:
        return sounddevice.RawInputStream(
            samplerate=form.rate_hz,
            blocksize=form.packet_bytes // SAMPLE_BYTES,
            channels=1,
            dtype="int16",
            callback=lambda indata, *_: on_audio(bytes(indata)),
        )
    except sounddevice.PortAudioError as error:
        raise SourceError(f"cannot open the microphone: {error}") from error
