"""What reaches the engine of large-v3, and what is made of its answers."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from pipeline.audio import MAX_MEL_FRAMES
from pipeline.contract import ENGINE_OUTPUTS, WHISPER
from pipeline.log_mel import LogMel, WindowPolicy
from pipeline.tokens import WhisperTokenizer
from scripts.server import Server
from tests.end_to_end.recordings import DASHWOOD, GREGSON, audio, errors_in, samples, silence
from tests.end_to_end.sessions import END_AUDIO, Session, talk, transcribe
from tests.pipeline.support import window_info
from tests.production.conftest import RequestLog

Arrays = dict[str, NDArray[Any]]
ANSWERED_S = 20
"""Patience with the early window's answer, which comes in a second on an idle machine."""


class NoDetector:
    """Nobody restricts the languages here."""

    def detect(self, waveform: NDArray[np.float32], options: list[str]) -> tuple[str, float]:
        raise AssertionError("no language was to be detected")


@pytest.fixture(scope="module")
def tokenizer(engine_dir: str) -> WhisperTokenizer:
    return WhisperTokenizer(engine_dir)


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.settings.gateway.triton) as opened:
        yield opened


async def asked_for(
    engine_log: RequestLog, server: Server, *sent: bytes, **params: object
) -> tuple[Session, list[dict[str, Any]]]:
    """A session of these recordings, and what it asked of the engine."""
    before = len(engine_log.lines())
    session = await transcribe(server, b"".join(sent), {"whisper_params": params})
    return session, engine_log.lines()[before:]


async def test_every_window_has_thirty_seconds_of_128_mel_bins(
    server: Server, engine_log: RequestLog
) -> None:
    _, requests = await asked_for(engine_log, server, audio(GREGSON))
    assert requests
    assert all(request["features"] == [1, MAX_MEL_FRAMES, 128] for request in requests)


async def test_a_given_language_is_asked_for_with_the_tokens_of_large_v3(
    server: Server, engine_log: RequestLog
) -> None:
    """Ids of openai/whisper's tokenizer with 100 languages; base's are lower from here on."""
    _, requests = await asked_for(engine_log, server, audio(GREGSON), audio_language="en")
    assert {tuple(request["prompt"]) for request in requests} == {(50258, 50259, 50360, 50364)}
    _, requests = await asked_for(engine_log, server, audio(GREGSON), audio_language="yue")
    assert {tuple(request["prompt"]) for request in requests} == {(50258, 50358, 50360, 50364)}


async def test_an_unknown_language_is_left_to_the_model_whose_timestamps_are_not_text(
    server: Server, engine_log: RequestLog, tokenizer: WhisperTokenizer
) -> None:
    session, requests = await asked_for(engine_log, server, audio(GREGSON), audio_language="auto")
    assert {tuple(request["prompt"]) for request in requests} == {(tokenizer.start,)}
    assert any(token > tokenizer.no_timestamps for token in requests[-1]["tokens"])
    assert [final["language_code"] for final in session.finals] == ["en"]
    assert 0.5 < session.finals[0]["language_prob"] <= 1
    assert "<|" not in session.text
    assert errors_in(session.text, GREGSON).errors <= 1


async def test_the_longest_prompt_fits_the_engine_and_keeps_the_end_of_what_was_given(
    server: Server, engine_log: RequestLog, tokenizer: WhisperTokenizer
) -> None:
    prompt = "nothing of this is left. " * 150 + "Gregson was there."
    session, requests = await asked_for(engine_log, server, audio(GREGSON), prompt=prompt)
    assert {len(request["prompt"]) for request in requests} == {228}
    kept = requests[-1]["prompt"]
    assert kept[0] == tokenizer.start_of_prev
    assert tokenizer.decode(kept).endswith("Gregson was there.")
    assert session.errors == []


async def test_more_beams_than_the_engine_was_built_for_are_lowered(
    server: Server, engine_log: RequestLog
) -> None:
    params = {"beam_width": 5}
    session, requests = await asked_for(
        engine_log, server, audio(GREGSON), whisper_sampling_params=params, show_beam_results=True
    )
    assert {request["beam_width"] for request in requests} == {1}
    assert [len(segment["beam_results"]) for segment in session.segments] == [1]


@pytest.mark.parametrize("language", ["en", "auto"])
async def test_a_final_begins_with_what_the_engine_has_said_of_the_same_audio(
    language: str, server: Server, engine_log: RequestLog, tokenizer: WhisperTokenizer
) -> None:
    """The audio ends between the early window, after half a second, and the endpoint."""
    before = len(engine_log.lines())
    metadata = {
        "whisper_params": {"audio_language": language},
        "streaming_vad_config": {"min_silence_duration_ms": 1000},
    }
    async with talk(server, metadata) as talking:
        await talking.send_audio(audio(DASHWOOD) + silence(0.7))
        async with asyncio.timeout(ANSWERED_S):
            while len(engine_log.lines()) == before:
                await asyncio.sleep(0.05)
        await talking.send(END_AUDIO)
        session = await talking.receive_all()
    early, *_, final = engine_log.lines()[before:]
    said = tokenizer.text_tokens(early["tokens"])
    assert len(said) > 15
    assert tokenizer.decode(tokenizer.forced_text(final["prompt"])) == tokenizer.decode(said)
    assert tokenizer.text_tokens(final["tokens"]) == []  # so it took a step, and not one a token
    assert errors_in(session.text, DASHWOOD).errors <= 1
    (segment,) = session.segments
    assert segment["log_prob"] < 0
    assert segment["language_code"] == "en"
    assert (segment["language_prob"] is None) == (language == "en")


def request_of(tokenizer: WhisperTokenizer, **changes: object) -> Arrays:
    """A request as log_mel makes it for a recording, changed."""
    stage = LogMel(WindowPolicy(n_mels=128, min_final_ms=30_000), tokenizer, NoDetector())
    pcm = samples(GREGSON)
    prepared = stage.prepare(pcm, window_info(len(pcm)))
    named: Arrays = {name: prepared[name] for name in prepared if name != "LANGUAGE_PROB"}
    for name, change in changes.items():
        named[name] = np.asarray(change, named[name].dtype)
    return named


def infer(client: triton.InferenceServerClient, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The engine's outputs for these inputs."""
    inputs = []
    for name, array in arrays.items():
        tensor = triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    result = client.infer(WHISPER, inputs)
    return {tensor.name: result.as_numpy(tensor.name) for tensor in ENGINE_OUTPUTS}


def test_the_engine_alone_answers_what_log_mel_makes(
    client: triton.InferenceServerClient, tokenizer: WhisperTokenizer
) -> None:
    outputs = infer(client, request_of(tokenizer))
    length = int(outputs["sequence_length"][0, 0])
    assert outputs["output_ids"].shape == (1, 1, length)
    text = tokenizer.decode([int(token) for token in outputs["output_ids"][0, 0]])
    assert errors_in(text, GREGSON).errors <= 1
    assert outputs["output_log_probs"].shape == (1, 1, length)
    assert outputs["cum_log_probs"][0, 0] == pytest.approx(outputs["output_log_probs"].sum(), 1e-3)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"input_lengths": [[2998]]}, "features"),
        ({"encoder_output_lengths": [[1499]]}, "encoder_output_lengths"),
        ({"decoder_input_ids": [[50258] * 229]}, "a prompt of 229 tokens"),
        ({"decoder_input_ids": [[51866]]}, "no tokens of the model"),
        ({"request_output_len": [[445]]}, "tokens are too many"),
        ({"beam_width": [[2]]}, "too many beams"),
        ({"runtime_top_k": [[0]]}, "no sampling parameter"),
        ({"return_log_probs": [[False]]}, "log-probs are not asked for"),
    ],
)
def test_the_stand_in_refuses_what_the_engine_could_not_take(
    changes: dict[str, object],
    broken: str,
    client: triton.InferenceServerClient,
    tokenizer: WhisperTokenizer,
) -> None:
    with pytest.raises(InferenceServerException, match=broken):
        infer(client, request_of(tokenizer, **changes))


def test_the_engine_is_not_asked_without_all_of_its_constants(
    client: triton.InferenceServerClient, tokenizer: WhisperTokenizer
) -> None:
    arrays = request_of(tokenizer)
    del arrays["end_id"]
    with pytest.raises(InferenceServerException, match=r"end_id|expected \d+ inputs"):
        infer(client, arrays)
