"""A session's way from metadata to `finished`, over a real websocket and real gRPC."""

import asyncio
import json

import numpy as np
import pytest

from gateway import uplink
from tests.gateway.fake_triton import FakeTriton, SeenHop, text_of
from tests.gateway.support import (
    END_AUDIO,
    HOP_SAMPLES,
    Server,
    errors,
    finals,
    receive_all,
    send_all,
    silence,
    speech,
    tone,
    transcribe,
)

ACKNOWLEDGED = {"type": "end_audio", "body": {"status": "acknowledged"}}
FINISHED = {"type": "end_audio", "body": {"status": "finished"}}
PARTIALS = {"streaming_params": {"enable_partial_transcripts": True}}
TOLD_KEYS = (
    "segments language_code language_prob diarization timing_info "
    "enable_chunk_level_language_detection audio_length_sec is_final transcription_num "
    "next_partial pipeline_latency type transcript committed confidence"
).split()


async def test_each_utterance_gets_its_final_with_every_key(server: Server) -> None:
    frames = await transcribe(server, speech(1, 2).tobytes())
    assert [final["transcript"] for final in finals(frames)] == [
        text_of(tone(3 * HOP_SAMPLES, seed).tobytes()) for seed in (1, 2)
    ]
    assert [final["transcription_num"] for final in finals(frames)] == [0, 1]
    assert set(finals(frames)[0]) == set(TOLD_KEYS)


async def test_end_audio_is_acknowledged_and_the_open_utterance_finished(server: Server) -> None:
    audio = tone(HOP_SAMPLES + 100).tobytes()
    frames = await transcribe(server, audio)
    assert frames[0] == ACKNOWLEDGED
    assert finals(frames)[0]["transcript"] == text_of(audio)
    assert frames[-1] == FINISHED


async def test_an_empty_stream_is_finished_without_touching_triton(
    server: Server, triton: FakeTriton
) -> None:
    assert await transcribe(server, b"") == [ACKNOWLEDGED, FINISHED]
    assert triton.hops == []


async def test_silence_only_yields_nothing(server: Server, triton: FakeTriton) -> None:
    assert await transcribe(server, silence(4000).tobytes()) == [ACKNOWLEDGED, FINISHED]
    assert [hop.start for hop in triton.hops] == [True] + [False] * 8
    assert [hop.end for hop in triton.hops] == [False] * 8 + [True]


async def test_partials_precede_their_final_and_share_its_number(server: Server) -> None:
    frames = await transcribe(server, speech(1, 2).tobytes(), PARTIALS)
    told = [(f["transcription_num"], f["is_final"]) for f in frames if "is_final" in f]
    assert told == [(0, False)] * 3 + [(0, True)] + [(1, False)] * 3 + [(1, True)]


@pytest.mark.parametrize("packet_bytes", [1, 320, 1024, 4096, 65536])
async def test_finals_do_not_depend_on_packet_sizes(server: Server, packet_bytes: int) -> None:
    audio = speech(1, 2)[:-100].tobytes()
    whole = await transcribe(server, audio, packet_bytes=len(audio))
    cut = await transcribe(server, audio, packet_bytes=packet_bytes)
    assert finals(cut) == finals(whole)
    assert len(finals(cut)) == 2


async def test_other_rates_and_encodings_reach_triton_as_16_khz(
    server: Server, triton: FakeTriton
) -> None:
    metadata = {"streaming_params": {"encoding": "pcm_mulaw", "sample_rate": 8000}}
    await transcribe(server, bytes(range(256)) * 8, metadata)
    assert sum(hop.samples for hop in triton.hops) == 2 * 8 * 256


async def test_feedback_goes_back_with_the_next_hop(server: Server, triton: FakeTriton) -> None:
    async with server.connect() as client:
        await client.send(json.dumps(PARTIALS))
        for seed in range(3):
            await client.send(tone(HOP_SAMPLES, seed).tobytes())
            await client.recv()
    assert [hop.parameters["feedback"] for hop in triton.hops[:3]] == [
        "",
        "feedback 0",
        "feedback 1",
    ]


async def test_feedback_is_sent_once_and_the_first_hop_says_that_it_will_be(
    server: Server, triton: FakeTriton
) -> None:
    async with server.connect() as client:
        await client.send("{}")
        await client.send(speech(1).tobytes())
        await client.recv()
        await client.send(silence(2 * HOP_SAMPLES).tobytes())
        await client.send(END_AUDIO)
        await receive_all(client)
    said = [hop.parameters.get("feedback") for hop in triton.hops]
    assert said == ["", None, None, None, "feedback 3", None, None]


async def test_what_the_answers_say_is_heard_before_the_end(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda hop: 0 if hop.end else 0.1
    frames = await transcribe(server, tone(3 * HOP_SAMPLES).tobytes(), PARTIALS)
    assert len(finals(frames)) == 1
    said = [(hop.samples, hop.end, hop.parameters.get("feedback")) for hop in triton.hops]
    assert said[0] == (HOP_SAMPLES, False, "")
    assert said[1:3] == [(HOP_SAMPLES, False, None)] * 2
    assert said[3:] == [(0, False, "feedback 2"), (0, True, None)]


async def test_nothing_is_said_twice_before_the_end(server: Server, triton: FakeTriton) -> None:
    await transcribe(server, tone(2 * HOP_SAMPLES).tobytes())
    assert [hop.parameters.get("feedback") for hop in triton.hops] == ["", None, None]


async def test_partials_go_to_the_client_while_the_end_waits_for_them(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda hop: 0.1 * hop.index
    async with server.connect() as client:
        await client.send(json.dumps(PARTIALS))
        await client.send(tone(3 * HOP_SAMPLES).tobytes())
        await client.send(END_AUDIO)
        told = [json.loads(await client.recv())["type"] for _ in range(3)]
        assert sorted(told) == ["end_audio", "transcription", "transcription"]
        assert not triton.hops[-1].end
        await receive_all(client)


async def test_options_go_with_the_first_hop_and_ngram_size_with_every_hop(
    server: Server, triton: FakeTriton
) -> None:
    metadata = {
        "whisper_params": {
            "audio_language": "fr-CA",
            "whisper_sampling_params": {"no_repeat_ngram_size": 3},
        }
    }
    await transcribe(server, tone(2 * HOP_SAMPLES).tobytes(), metadata)
    assert json.loads(triton.hops[0].parameters["options"]) == {
        "language": "fr",
        "no_repeat_ngram_size": 3,
    }
    assert ["options" in hop.parameters for hop in triton.hops] == [True, False, False]
    assert [hop.parameters["no_repeat_ngram_size"] for hop in triton.hops] == [3, 3, 3]


async def test_timing_is_told_when_asked_for(server: Server) -> None:
    audio = speech(1).tobytes()
    (final,) = finals(await transcribe(server, audio, {"include_timing_info": True}))
    assert 0 < final["pipeline_latency"] < 5
    timing = final["timing_info"]
    assert timing["audio_received_sec"] == pytest.approx(len(audio) / 2 / 16000, abs=1e-3)
    latency = timing["answered_at"] - timing["hop_sent_at"]
    assert latency == pytest.approx(final["pipeline_latency"], abs=1e-3)
    (quiet,) = finals(await transcribe(server, audio))
    assert quiet["pipeline_latency"] is None
    assert quiet["timing_info"] is None


async def test_finals_stay_in_order_when_answers_overtake_each_other(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda hop: 0.1 if hop.index == 3 else 0  # the first utterance's final
    frames = await transcribe(server, speech(1, 2, 3).tobytes(), PARTIALS)
    assert [f["transcription_num"] for f in finals(frames)] == [0, 1, 2]
    numbers = [f["transcription_num"] for f in frames if "is_final" in f]
    assert numbers == sorted(numbers)


async def test_eight_sessions_at_once_hear_their_own_audio_only(server: Server) -> None:
    sessions = [transcribe(server, speech(seed, hops=9).tobytes()) for seed in range(8)]
    for seed, frames in enumerate(await asyncio.gather(*sessions)):
        expected = text_of(tone(9 * HOP_SAMPLES, seed).tobytes())
        assert [final["transcript"] for final in finals(frames)] == [expected]


async def test_a_health_check_is_answered_and_the_session_goes_on(server: Server) -> None:
    async with server.connect() as client:
        await client.send("{}")
        await client.send('{"type": "health_check"}')
        assert json.loads(await client.recv()) == {
            "type": "health_check",
            "body": {"status": "ok"},
        }
        await client.send(END_AUDIO)
        assert (await receive_all(client))[-1] == FINISHED


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "finalize"}',
        '{"terminate_session": true}',
        "{broken",
        "[]",
        "3",
        "null",
        '{"type": ["end_audio"]}',
        '{"type": NaN}',
        "[" * 60_000,
        " " * 100_000,
    ],
)
async def test_a_text_that_is_not_understood_is_an_error_and_the_session_goes_on(
    server: Server, text: str
) -> None:
    async with server.connect() as client:
        await client.send("{}")
        await client.send(text)
        frame = json.loads(await client.recv())
        assert frame["type"] == "error"
        assert "health_check" in frame["message"]
        await send_all(client, speech(1).tobytes())
        await client.send(END_AUDIO)
        frames = await receive_all(client)
    assert len(finals(frames)) == 1
    assert client.close_code == 1000


async def test_audio_after_end_audio_is_a_recoverable_error(
    server: Server, triton: FakeTriton
) -> None:
    triton.delay_s = lambda _: 0.05
    async with server.connect() as client:
        await client.send("{}")
        await send_all(client, tone(HOP_SAMPLES).tobytes())
        await client.send(END_AUDIO)
        await client.send(b"\1\0" * 600)
        await client.send(END_AUDIO)
        frames = await receive_all(client)
    assert [error.partition(";")[0] for error in errors(frames)] == [
        "the audio has ended with end_audio",
        "the audio has already ended",
    ]
    assert len(finals(frames)) == 1
    assert frames[-1] == FINISHED
    assert client.close_code == 1000


async def test_a_part_that_fails_time_and_again_is_told_and_the_session_goes_on(
    server: Server, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "FIRST_PAUSE_S", 0.01)
    poison = tone(HOP_SAMPLES, seed=99).tobytes()

    def error(hop: SeenHop) -> str | None:
        return "out of memory\n  at line 3" if poison in hop.audio else None

    triton.error = error
    audio = speech(1, 2).tobytes() + poison + silence(HOP_SAMPLES).tobytes() + speech(3).tobytes()
    frames = await transcribe(server, audio)
    assert errors(frames) == ["a part of the audio could not be transcribed: out of memory"]
    texts = [final["transcript"] for final in finals(frames)]
    assert texts[:2] == [text_of(tone(3 * HOP_SAMPLES, seed).tobytes()) for seed in (1, 2)]
    assert frames[-1] == FINISHED


async def test_utterances_without_words_are_not_told(server: Server, triton: FakeTriton) -> None:
    triton.empty = True
    assert await transcribe(server, speech(1, 2).tobytes(), PARTIALS) == [ACKNOWLEDGED, FINISHED]


async def test_a_packet_of_many_seconds_is_heard_whole(server: Server) -> None:
    audio = np.tile(tone(1000), 200).tobytes()
    (final,) = finals(await transcribe(server, audio, packet_bytes=len(audio)))
    assert final["transcript"] == text_of(audio)
