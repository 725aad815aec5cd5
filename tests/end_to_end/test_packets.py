"""What is heard depends on the audio and not on how it is cut, encoded or sampled."""

import pytest

from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE
from scripts.recording import pcm_bytes
from scripts.server import Server
from tests.end_to_end.recordings import (
    DASHWOOD,
    GREGSON,
    JFK,
    audio,
    errors_in,
    mulaw,
    samples,
    silence,
)
from tests.end_to_end.sessions import Frame, Session, transcribe

PACKET_BYTES = (320, 1024, 4096, 65536)
TWO_READINGS = audio(JFK) + silence(0.8) + audio(DASHWOOD)


def streaming(encoding: str, sample_rate: int) -> Frame:
    return {"streaming_params": {"encoding": encoding, "sample_rate": sample_rate}}


def told(session: Session) -> list[tuple[str, float, float]]:
    """Texts and times, all that packets must not change."""
    return [(s["text"], s["start_time"], s["end_time"]) for s in session.segments]


async def told_by_packet_size(
    server: Server, data: bytes, metadata: Frame
) -> list[list[tuple[str, float, float]]]:
    return [
        told(await transcribe(server, data, metadata, packet_bytes=size)) for size in PACKET_BYTES
    ]


async def test_packets_of_any_size_give_the_same_finals(server: Server) -> None:
    first, *others = await told_by_packet_size(server, TWO_READINGS, {})
    assert len(first) >= 5
    assert others == [first] * len(others)


async def test_packets_of_one_byte_give_the_same_finals(server: Server) -> None:
    half_a_s = audio(GREGSON)[: SAMPLE_RATE * SAMPLE_BYTES // 2]
    whole = told(await transcribe(server, half_a_s))
    assert len(whole) == 1
    assert told(await transcribe(server, half_a_s, packet_bytes=1)) == whole


@pytest.mark.parametrize("sample_rate", [8000, 44_100, 48_000])
async def test_packets_of_any_size_give_the_same_finals_when_the_rate_is_converted(
    sample_rate: int, server: Server
) -> None:
    data = pcm_bytes(samples(DASHWOOD, sample_rate))
    first, *others = await told_by_packet_size(server, data, streaming("pcm_s16le", sample_rate))
    assert errors_in(" ".join(text for text, _, _ in first), DASHWOOD).errors <= 1
    assert others == [first] * len(others)


async def test_packets_of_any_size_give_the_same_finals_of_telephony(server: Server) -> None:
    metadata = streaming("pcm_mulaw", 8000)
    first, *others = await told_by_packet_size(server, mulaw(DASHWOOD, 8000), metadata)
    assert errors_in(" ".join(text for text, _, _ in first), DASHWOOD).errors <= 1
    assert others == [first] * len(others)


@pytest.mark.parametrize(
    ("encoding", "sample_rate"),
    [
        ("pcm_s16le", 8000),
        ("pcm_mulaw", 8000),
        ("pcm_mulaw", 16_000),
        ("pcm_s16le", 22_050),
        ("pcm_s16le", 44_100),
        ("pcm_s16le", 48_000),
    ],
)
async def test_the_same_speech_has_the_same_times_in_every_encoding_and_rate(
    encoding: str, sample_rate: int, server: Server
) -> None:
    pcm = samples(DASHWOOD, sample_rate)
    data = mulaw(DASHWOOD, sample_rate) if encoding == "pcm_mulaw" else pcm_bytes(pcm)
    session = await transcribe(server, data, streaming(encoding, sample_rate))
    assert errors_in(session.text, DASHWOOD).errors <= 1
    ((start_s, end_s),) = session.spans
    ((expected_start_s, expected_end_s),) = (await transcribe(server, audio(DASHWOOD))).spans
    assert abs(start_s - expected_start_s) <= 0.1
    assert abs(end_s - expected_end_s) <= 0.15
