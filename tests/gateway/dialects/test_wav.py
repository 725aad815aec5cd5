"""WAV files as they stream in, however they are cut."""

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.wav import MAX_HEADER_BYTES, UndecodableError, WavFormat, WavReader

AUDIO = bytes(range(200))


def wav(audio: bytes = AUDIO, rate: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(audio)
    return file.getvalue()


def part(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data


def riff(*parts: bytes) -> bytes:
    return b"RIFF\0\0\0\0WAVE" + b"".join(parts)


def fmt(tag: int, bits: int, channels: int = 1) -> bytes:
    return struct.pack("<HHIIHH", tag, channels, 8_000, 8_000, 1, bits)


def read(data: bytes, sizes: list[int]) -> tuple[WavFormat | None, bytes]:
    reader, audio, at, i = WavReader(), b"", 0, 0
    while at < len(data):
        size = sizes[i % len(sizes)]
        audio += reader.take(data[at : at + size])
        at, i = at + size, i + 1
    return reader.format, audio


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_packet_sizes_do_not_matter(sizes: list[int]) -> None:
    data = riff(
        part(b"LIST", b"odd", 3) + b"\0",
        part(b"fmt ", fmt(7, 8)),
        part(b"data", AUDIO),
        part(b"LIST", b"no audio"),
    )
    assert read(data, sizes) == (WavFormat("mulaw", 8_000), AUDIO)


def test_a_file_of_the_standard_library_s_is_read() -> None:
    assert read(wav(rate=44_100), [7]) == (WavFormat("linear16", 44_100), AUDIO)


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF])
def test_a_length_that_was_not_known_ends_nowhere(size: int) -> None:
    data = riff(part(b"fmt ", fmt(6, 8)), part(b"data", AUDIO, size))
    assert read(data + AUDIO, [64]) == (WavFormat("alaw", 8_000), AUDIO * 2)


def test_the_extensible_format_is_looked_into() -> None:
    extensible = fmt(0xFFFE, 16) + struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    data = riff(part(b"fmt ", extensible), part(b"data", AUDIO))
    assert read(data, [50]) == (WavFormat("linear16", 8_000), AUDIO)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"OggS" + bytes(60), "no WAV"),
        (b"\x1aE\xdf\xa3", "no WAV"),
        (b"RIFF\0\0\0\0AVI LIST", "no WAV"),
        (wav(channels=2), "2 channels"),
        (wav(width=1), "8 bits"),
        (riff(part(b"data", AUDIO)), "before its format"),
        (riff(part(b"fmt ", b"short"), part(b"data", AUDIO)), "cut short"),
        (riff(part(b"LIST", b"", 10**9)), "longer than"),
        (riff(part(b"LIST", bytes(MAX_HEADER_BYTES), 60_000)), "longer than"),
    ],
)
def test_anything_else_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(UndecodableError, match=why):
        read(data, [len(data)])
