"""The pipeline's stages as Triton Python models: the only module that knows Triton's Python API.

Each `model.py` in the model repository names one of these classes. They move tensors in and out
and hold no logic: what a stage does stands in the module of its name.

Errors are answered to the request that caused them, never raised out of `execute`, which would
fail every request of the batch.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from pipeline import contract
from pipeline.audio import ms_to_samples
from pipeline.companion import Companion
from pipeline.contract import Tensor
from pipeline.engine_manifest import MANIFEST_FILE, read_manifest
from pipeline.engines.choice import make_engine
from pipeline.engines.ctranslate2_engine import EngineSettings
from pipeline.engines.memory import EngineMemory
from pipeline.engines.request import Answer as EngineAnswer
from pipeline.engines.request import Place, Purpose, output_tensors, parse_request
from pipeline.engines.schedule import Done
from pipeline.engines.workers import EngineWorkers
from pipeline.log_mel import LogMel, WindowPolicy
from pipeline.silero import SileroVad
from pipeline.tokens import WhisperTokenizer
from pipeline.transcript import Answer, TranscriptWriter, read_outputs
from pipeline.voice_activity import Hop, HopError, Resume, VoiceActivity
from pipeline.window import WindowInfo

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
GPU_WORKERS = 4
"""Measured on an H100 with 16 cores: of 192 streams two workers hold 171, four 192; of 256 four
hold 251 and six 221 (docs/benchmarks.md)."""
START = pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START
END = pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END


class SileroVadModel:
    """`silero_vad`: decoupled; a hop is answered with a window, or with nothing."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load Silero VAD from the file that SILERO_VAD_ONNX names."""
        parameters = _parameters(args)
        early_silence = ms_to_samples(int(parameters["early_silence_ms"])) or None
        segment = ms_to_samples(int(parameters["segment_ms"])) or None
        most = int(parameters["early_most_per_core"]) * _core_count()
        vad = SileroVad(_required_setting("SILERO_VAD_ONNX"))
        self._stage = VoiceActivity(vad, early_silence, segment, most)

    def execute(self, requests: Sequence[Any]) -> None:
        """Answer each hop at once."""
        answers = self._stage.take([_hop(request) for request in requests], time.monotonic())
        for request, answer in zip(requests, answers, strict=True):
            sender = request.get_response_sender()
            if isinstance(answer, HopError):
                sender.send(_error(answer), flags=FINAL)
            elif answer is None:
                sender.send(flags=FINAL)
            elif isinstance(answer, Resume):
                resume = _text_tensor(contract.RESUME, json.dumps(answer.options))
                sender.send(pb_utils.InferenceResponse([resume]), flags=FINAL)
            else:
                window, info = answer
                audio = np.frombuffer(window.audio, np.int16)[None]
                text = _text_tensor(contract.WINDOW_INFO, info.model_dump_json())
                tensors = [pb_utils.Tensor(contract.WINDOW.name, audio), text]
                sender.send(pb_utils.InferenceResponse(tensors), flags=FINAL)


class LogMelModel:
    """`log_mel`: a window in, the engine's inputs out."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the window policy from config.pbtxt and the tokenizer from WHISPER_MODEL_DIR."""
        model_dir = _required_setting("WHISPER_MODEL_DIR")
        tokenizer = WhisperTokenizer(model_dir)
        policy = _window_policy(_parameters(args), tokenizer.n_mels)
        if Path(model_dir, MANIFEST_FILE).is_file():  # a compiled engine's folder
            policy = policy.limited_to(read_manifest(Path(model_dir)))
        self._stage = LogMel(policy, tokenizer, _companion())

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Prepare each window."""
        return [_guarded(self._prepare, request) for request in requests]

    def _prepare(self, request: Any) -> list[Any]:
        audio = _array(request, contract.WINDOW)[0]
        return _tensors(self._stage.prepare(audio, _window_info(request)))


class EmbeddedWhisperModel:
    """`whisper` on an engine of its own: answers come from the engine's threads, in any order."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model that WHISPER_MODEL_DIR names; config.pbtxt says how it runs."""
        parameters = _parameters(args)
        device = os.environ.get("WHISPER_DEVICE", parameters["device"])
        workers = _worker_count(parameters["workers"], device)
        settings = EngineSettings(
            model_dir=_required_setting("WHISPER_MODEL_DIR"),
            device=device,
            compute_type=os.environ.get("WHISPER_COMPUTE_TYPE", parameters["compute_type"]),
            workers=workers,
            guesses=parameters["guesses"] == "true",
            silence_stride=int(parameters["silence_stride"]),
        )
        most = None if parameters["max_batch"] == "auto" else int(parameters["max_batch"])
        engine = make_engine(settings, os.environ.get("WHISPER_RUNTIME", parameters["runtime"]))
        in_flight = parameters["in_flight_batching"] == "true"
        self._workers = EngineWorkers(engine, workers, most, in_flight=in_flight)
        self._memory = EngineMemory(self._workers)

    def execute(self, requests: Sequence[Any]) -> None:
        """Hand each window to the engine's threads and return at once."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                hint = json.loads(request.parameters()).get(contract.NO_REPEAT_NGRAM_PARAMETER, 0)
                tensors = {t.name: _array(request, t) for t in contract.ENGINE_INPUTS}
                engine_request = parse_request(tensors, int(hint), _place(request))
            except Exception as error:
                sender.send(_error(error), flags=FINAL)
            else:
                self._memory.submit(engine_request, _answer_with(sender))

    def finalize(self) -> None:
        """End the engine's threads."""
        self._workers.stop()


class TranscriptModel:
    """`transcript`: the engine's outputs in, message and feedback out."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the tokenizer from WHISPER_MODEL_DIR."""
        tokenizer = WhisperTokenizer(_required_setting("WHISPER_MODEL_DIR"))
        self._stage = TranscriptWriter(tokenizer, _companion())

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Write each window's message."""
        return [_guarded(self._write, request) for request in requests]

    def _write(self, request: Any) -> list[Any]:
        beams = read_outputs({t.name: _array(request, t) for t in contract.ENGINE_OUTPUTS})
        prompt = [int(token) for token in _named_array(request, "decoder_input_ids").reshape(-1)]
        audio = _array(request, contract.WINDOW)[0]
        prob = float(_array(request, contract.LANGUAGE_PROB).item())
        answer = Answer(beams, prompt, None if prob == contract.NO_PROBABILITY else prob)
        info = _window_info(request)
        message, feedback = self._stage.write(answer, audio, info)
        text = json.dumps(message, ensure_ascii=False) if info.is_wanted else ""
        return [
            _text_tensor(contract.TRANSCRIPT, text),
            _text_tensor(contract.FEEDBACK, feedback.model_dump_json()),
        ]


def _window_policy(parameters: Mapping[str, str], n_mels: int) -> WindowPolicy:
    """What config.pbtxt says of windows; `n_mels` is the model's own."""
    wanted = parameters["n_mels"]
    return WindowPolicy(
        n_mels=n_mels if wanted == "auto" else int(wanted),
        trailing_silence_ms=int(parameters["trailing_silence_ms"]),
        min_partial_ms=int(parameters["min_partial_ms"]),
        min_final_ms=int(parameters["min_final_ms"]),
        force_known=parameters["force_known"] == "true",
        may_write_timestamps=parameters["may_write_timestamps"] == "true",
    )


def _hop(request: Any) -> Hop:
    parameters = _hop_parameters(request.parameters())
    flags = request.flags()
    return Hop(
        stream_id=request.correlation_id(),
        audio=_array(request, contract.AUDIO).reshape(-1),
        start=bool(flags & START),
        end=bool(flags & END),
        options=parameters.get(contract.OPTIONS_PARAMETER),
        feedback=parameters.get(contract.FEEDBACK_PARAMETER),
        discard=bool(parameters.get(contract.DISCARD_PARAMETER, False)),
        resume=bool(parameters.get(contract.RESUME_PARAMETER, False)),
    )


@lru_cache(maxsize=1024)  # most hops say the same as the stream's hop before
def _hop_parameters(text: str) -> Mapping[str, Any]:
    parameters: Mapping[str, Any] = json.loads(text)
    return parameters


def _window_info(request: Any) -> WindowInfo:
    text = _array(request, contract.WINDOW_INFO).item()
    return WindowInfo.model_validate_json(text)


def _guarded(stage: Callable[[Any], list[Any]], request: Any) -> Any:
    """A stage's response to one request, an error response where it fails."""
    try:
        return pb_utils.InferenceResponse(stage(request))
    except Exception as error:
        return _error(error)


def _place(request: Any) -> Place:
    """Where a window belongs; of no stream when the model is asked on its own."""
    if pb_utils.get_input_tensor_by_name(request, contract.WINDOW_INFO.name) is None:
        return Place()
    info = _window_info(request)
    purpose = Purpose.PARTIAL
    if info.is_whole:
        purpose = Purpose.EARLY if info.early else Purpose.FINAL
    return Place(request.correlation_id(), info.utterance, purpose)


def _answer_with(sender: Any) -> Done:
    def done(answer: EngineAnswer | Exception) -> None:
        if isinstance(answer, Exception):
            sender.send(_error(answer), flags=FINAL)
        else:
            response = pb_utils.InferenceResponse(_tensors(output_tensors(answer.beams)))
            sender.send(response, flags=FINAL)

    return done


def _error(error: Exception) -> Any:
    text = str(error) if isinstance(error, HopError) else f"{type(error).__name__}: {error}"
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(text))


def _array(request: Any, tensor: Tensor) -> NDArray[Any]:
    return _named_array(request, tensor.name)


def _named_array(request: Any, name: str) -> NDArray[Any]:
    array: NDArray[Any] = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
    return array


def _tensors(arrays: dict[str, NDArray[np.generic]]) -> list[Any]:
    return [pb_utils.Tensor(name, array) for name, array in arrays.items()]


def _text_tensor(tensor: Tensor, text: str) -> Any:
    return pb_utils.Tensor(tensor.name, np.array([[text.encode()]], np.object_))


def _worker_count(wanted: str, device: str) -> int:
    """auto: a worker for each core that this process may use, two at least. On a GPU each of them
    takes most of a core, to launch kernels: four where there are cores for the other stages too.
    """
    if wanted != "auto":
        return int(wanted)
    most = _core_count() if device == "cpu" else min(GPU_WORKERS, _core_count() // 2)
    return max(2, most)


def _core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _parameters(args: dict[str, str]) -> dict[str, str]:
    """The `parameters` of config.pbtxt."""
    config = json.loads(args["model_config"])
    return {name: value["string_value"] for name, value in config["parameters"].items()}


def _required_setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise pb_utils.TritonModelException(
            f"the environment variable {name} is not set: start Triton with scripts/serve.py, or "
            "set it as docs/architecture.md says"
        )
    return value


def _companion() -> Companion:
    return Companion(
        os.environ.get("WHISPER_COMPANION_DIR") or _required_setting("WHISPER_MODEL_DIR")
    )
