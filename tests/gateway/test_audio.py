"""The packet decoder: what comes out depends on the bytes, not on the packets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.audio import MULAW_TABLE, PCM_MULAW, PCM_S16LE, AudioFormat, PacketDecoder

RATES = [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000]


def decode(audio_format: AudioFormat, data: bytes, packet_sizes: list[int]) -> NDArray[np.int16]:
    """Decode the data cut into packets of these sizes, over and over."""
    decoder, pcm, start, i = PacketDecoder(audio_format), b"", 0, 0
    while start < len(data):
        size = packet_sizes[i % len(packet_sizes)]
        pcm += decoder.decode(data[start : start + size])
        start, i = start + size, i + 1
    return np.frombuffer(pcm + decoder.flush(), np.int16)


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from([PCM_S16LE, PCM_MULAW]),
    rate=st.sampled_from(RATES),
    data=st.binary(max_size=3000),
    packet_sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=6),
)
def test_packet_sizes_do_not_matter(
    encoding: str, rate: int, data: bytes, packet_sizes: list[int]
) -> None:
    audio_format = AudioFormat(encoding, rate)
    whole = decode(audio_format, data, [max(1, len(data))])
    assert np.array_equal(decode(audio_format, data, packet_sizes), whole)


@pytest.mark.parametrize("packet_bytes", [1, 320, 1024, 4096, 65536])
def test_a_fifth_of_a_second_at_any_rate_is_as_long_at_16_khz(packet_bytes: int) -> None:
    for rate in RATES:
        data = bytes(2 * rate // 5)
        assert len(decode(AudioFormat(PCM_S16LE, rate), data, [packet_bytes])) == 3_200


def test_16_khz_pcm_passes_unchanged() -> None:
    samples = np.arange(-300, 300, dtype=np.int16)
    assert np.array_equal(decode(AudioFormat(), samples.tobytes(), [7]), samples)


def test_an_odd_byte_waits_for_its_other_half_even_across_a_flush() -> None:
    decoder = PacketDecoder(AudioFormat())
    assert decoder.decode(b"\x01") == b""
    assert decoder.flush() == b""
    assert decoder.decode(b"\x02\x03") == b"\x01\x02"
    assert decoder.decode(b"") == b""
    assert decoder.decode(b"\x04\x05") == b"\x03\x04"


def test_mulaw_is_that_of_g711() -> None:
    assert len(set(MULAW_TABLE.tolist())) == 255  # two bytes mean zero
    expected = {0x00: -32124, 0x80: 32124, 0xFF: 0, 0x7F: 0, 0xFE: 8, 0x7E: -8, 0x8F: 16764}
    assert {code: int(MULAW_TABLE[code]) for code in expected} == expected


def test_a_tone_keeps_its_pitch_and_loudness() -> None:
    rate, hertz = 48_000, 1000
    tone = 10_000 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
    out = decode(AudioFormat(PCM_S16LE, rate), tone.astype(np.int16).tobytes(), [1024])
    spectrum = np.abs(np.fft.rfft(out))
    assert int(spectrum.argmax()) == hertz
    assert np.abs(out[1000:-1000]).max() == pytest.approx(10_000, rel=0.01)


def test_what_swings_over_the_top_is_clipped_and_does_not_wrap() -> None:
    square = np.where(np.arange(8000) // 8 % 2, 32767, -32768).astype(np.int16)
    out = decode(AudioFormat(PCM_S16LE, 8_000), square.tobytes(), [1024])
    expected_sign = np.repeat(np.sign(square.astype(int)), 2)
    middle = slice(200, -200)
    loud = np.abs(out[middle].astype(int)) > 20_000
    assert np.array_equal(np.sign(out[middle].astype(int))[loud], expected_sign[middle][loud])
    assert out.max() == 32767


def test_after_a_flush_the_clock_goes_on() -> None:
    decoder = PacketDecoder(AudioFormat(PCM_S16LE, 8_000))
    pcm = b"".join(decoder.decode(bytes(1600)) + decoder.flush() for _ in range(3))
    assert len(pcm) == 2 * 3 * 1600


@pytest.mark.parametrize(
    ("audio_format", "count"),
    [
        (AudioFormat(), 8192),
        (AudioFormat(PCM_MULAW, 16_000), 4096),
        (AudioFormat(PCM_MULAW, 8_000), 2048),
        (AudioFormat(PCM_S16LE, 48_000), 24_576),
    ],
)
def test_how_many_bytes_become_so_many_samples(audio_format: AudioFormat, count: int) -> None:
    decoder = PacketDecoder(audio_format)
    assert decoder.bytes_for(4096) == count
    pcm = decoder.decode(bytes(count)) + decoder.flush()
    assert len(pcm) == 4096 * 2
