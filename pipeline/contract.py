"""The tensor contract of the ensemble: every name, type and shape that crosses a stage.

Tests hold this module against every `config.pbtxt`. It knows no Triton API and no stage's logic.
Shapes are those of one request, with the leading batch dimension of 1.

| step       | takes                                  | gives                                      |
|------------|----------------------------------------|--------------------------------------------|
| silero_vad | AUDIO                                  | WINDOW, WINDOW_INFO (none when none is due)|
|            |                                        | RESUME, of a hop that asks for it alone    |
| log_mel    | WINDOW, WINDOW_INFO                    | the engine's inputs, LANGUAGE_PROB         |
| whisper    | the engine's inputs                    | the engine's outputs                       |
|            | embedded: WINDOW_INFO as well          |                                            |
| transcript | the engine's outputs and prompt,       | TRANSCRIPT, FEEDBACK                       |
|            | LANGUAGE_PROB, WINDOW, WINDOW_INFO     |                                            |
"""

from typing import NamedTuple

ENSEMBLE = "streaming_whisper"
SILERO_VAD = "silero_vad"
LOG_MEL = "log_mel"
WHISPER = "whisper"
TRANSCRIPT_MODEL = "transcript"


class Tensor(NamedTuple):
    """A tensor's name, Triton data type and dims without the batch dimension (-1: any)."""

    name: str
    data_type: str
    dims: tuple[int, ...]


AUDIO = Tensor("AUDIO", "TYPE_INT16", (-1,))
"""One hop: PCM at 16 kHz, [1, n], 0 <= n <= MAX_HOP_SAMPLES. Whole VAD frames are cheapest."""

TRANSCRIPT = Tensor("TRANSCRIPT", "TYPE_STRING", (1,))
"""The transcription message of the wire protocol, JSON. `transcription_num` counts utterances.
Empty for a window that the client did not ask for: only its FEEDBACK is of use."""
FEEDBACK = Tensor("FEEDBACK", "TYPE_STRING", (1,))
"""Opaque to clients: the newest one goes back as the parameter `feedback` of the next hop."""

WINDOW = Tensor("WINDOW", "TYPE_INT16", (-1,))
"""The audio of one engine request, PCM at 16 kHz."""
WINDOW_INFO = Tensor("WINDOW_INFO", "TYPE_STRING", (1,))
"""What the later stages must know of the window: `pipeline.window.WindowInfo` as JSON."""

RESUME = Tensor("RESUME", "TYPE_STRING", (1,))
"""How the sequence would go on elsewhere: fields of `pipeline.options.StreamOptions` as JSON.

No output of the ensemble, which answers a hop with all of its outputs or none. Whoever wants it
asks the model itself, between two hops of the ensemble and with their sequence id."""

LANGUAGE_PROB = Tensor("LANGUAGE_PROB", "TYPE_FP32", (1,))
"""Probability of the language that log_mel chose for a window; NO_PROBABILITY if it chose none."""
NO_PROBABILITY = -1.0

ENGINE_INPUTS = (
    Tensor("encoder_input_features", "TYPE_FP16", (-1, -1)),  # [1, frames, n_mels], frames even
    Tensor("encoder_output_lengths", "TYPE_INT32", (1,)),  # frames / 2
    Tensor("input_lengths", "TYPE_INT32", (1,)),  # frames
    Tensor("decoder_input_ids", "TYPE_INT32", (-1,)),  # the decoder prompt
    Tensor("request_output_len", "TYPE_INT32", (1,)),  # most new tokens
    Tensor("end_id", "TYPE_INT32", (1,)),
    Tensor("pad_id", "TYPE_INT32", (1,)),
    Tensor("runtime_top_k", "TYPE_INT32", (1,)),
    Tensor("return_log_probs", "TYPE_BOOL", (1,)),
    Tensor("beam_width", "TYPE_INT32", (1,)),
    Tensor("temperature", "TYPE_FP32", (1,)),
    Tensor("len_penalty", "TYPE_FP32", (1,)),
    Tensor("repetition_penalty", "TYPE_FP32", (1,)),
)
ENGINE_OUTPUTS = (
    Tensor("output_ids", "TYPE_INT32", (-1, -1)),  # [1, beam, len], padded with -1
    Tensor("sequence_length", "TYPE_INT32", (-1,)),  # [1, beam]
    Tensor("cum_log_probs", "TYPE_FP32", (-1,)),  # [1, beam]
    Tensor("output_log_probs", "TYPE_FP32", (-1, -1)),  # [1, beam, len]
)

EMBEDDED_ENGINE_HINTS = (WINDOW_INFO,)
"""What the embedded engine is told besides, optional: which windows to decode first, and which
a newer one supersedes. TensorRT-LLM's backend has no tensor for it, and Triton's Python API (2.51)
cannot set the response parameters that an ensemble hands on. So the ensemble has a configuration of
its own for that engine, which differs in this one line."""

# Request parameters of a hop, all optional.
OPTIONS_PARAMETER = "options"
"""On START: `pipeline.options.StreamOptions` as JSON. Without it the defaults hold.

A gRPC header of this name does as well (Triton's `--grpc-header-forward-pattern`), for clients such
as perf_analyzer that cannot send such a parameter."""
FEEDBACK_PARAMETER = "feedback"
"""The newest FEEDBACK that the client has received, sent back as it came."""
DISCARD_PARAMETER = "discard"
"""On END, true: nobody waits for the open utterance, so it is dropped and not decoded."""
RESUME_PARAMETER = "resume"
"""True, on an empty hop of an open sequence that goes to silero_vad: it is answered with RESUME, or
with nothing if too little was heard so far, and changes nothing."""
NO_REPEAT_NGRAM_PARAMETER = "no_repeat_ngram_size"
"""Integer, on every hop of a stream that asks for it: TensorRT-LLM's contract has no tensor for
it, so it reaches the embedded engine as a request parameter and TensorRT-LLM ignores it."""
