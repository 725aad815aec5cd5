"""One sequence of the Triton ensemble by tritonclient's ordinary streaming API.

Hops go in, messages come out in the order of their hops. Every hop gets exactly one answer, an
empty one where no window was due (`enable_empty_final_response`), so all is said when every hop
is answered. Knows no files and no clock but its own time-outs.
"""

import contextlib
import json
import queue
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from pipeline.contract import (
    AUDIO,
    DISCARD_PARAMETER,
    ENSEMBLE,
    FEEDBACK,
    FEEDBACK_PARAMETER,
    NO_REPEAT_NGRAM_PARAMETER,
    OPTIONS_PARAMETER,
    TRANSCRIPT,
)
from pipeline.options import StreamOptions

Message = dict[str, Any]

MAX_SEQUENCE_ID = 2**63 - 1
ANSWER_TIMEOUT_S = 120
"""Longest wait for an answer that is owed before Triton counts as stuck."""

DISCARD_TIMEOUT_S = 1
"""How long an abandoned stream waits for Triton to have heard of it."""


class EnsembleStream:
    """A context manager: opens the stream, and lets go of the sequence when left early."""

    def __init__(
        self, client: triton.InferenceServerClient, options: StreamOptions, sequence_id: int
    ) -> None:
        self._client = client
        self._options = options
        self._sequence_id = sequence_id
        self._answers: queue.Queue[triton.InferResult | InferenceServerException] = queue.Queue()
        self._messages: dict[int, list[Message]] = {}
        """By hop: what its answer held, until all hops before it are answered too."""
        self._feedback = ""
        """The newest one; until there is any, an empty one says that it will be echoed."""
        self._feedback_hop = -1
        self.has_news = False
        """Whether there is FEEDBACK that no hop has carried yet."""
        self._sent = 0
        self._answered = 0
        self._handed_out = 0
        self._ended = False

    def __enter__(self) -> Self:
        self._client.start_stream(lambda result, error: self._answers.put(error or result))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sent and not self._ended:
            self._abandon()
        self._client.stop_stream(cancel_requests=True)

    def send(
        self, audio: npt.NDArray[np.int16], *, end: bool = False, discard: bool = False
    ) -> None:
        """One hop, shape [samples]; the one with `end` closes the open utterance."""
        tensor = triton.InferInput(AUDIO.name, [1, len(audio)], "INT16")
        tensor.set_data_from_numpy(audio[np.newaxis])
        self._client.async_stream_infer(
            ENSEMBLE,
            [tensor],
            request_id=str(self._sent),
            sequence_id=self._sequence_id,
            sequence_start=self._sent == 0,
            sequence_end=end,
            enable_empty_final_response=True,
            parameters=self._parameters(discard),
        )
        self._ended = end
        self.has_news = False
        self._sent += 1

    def messages_until(self, due: float) -> Iterator[Message]:
        """Messages that become due until `time.monotonic()` reaches `due`."""
        while self._take_answer(due - time.monotonic()):
            yield from self._due()

    def messages_while(self, more_unanswered_than: int) -> Iterator[Message]:
        """Messages that become due until so few hops wait for their answer.

        Raises:
            InferenceServerException: Triton's own error, or no answer in `ANSWER_TIMEOUT_S`.
        """
        while self._sent - self._answered > more_unanswered_than:
            if not self._take_answer(ANSWER_TIMEOUT_S):
                raise InferenceServerException(f"no answer from Triton in {ANSWER_TIMEOUT_S} s")
            yield from self._due()

    def _parameters(self, discard: bool) -> dict[str, str | bool | int]:
        parameters: dict[str, str | bool | int] = {FEEDBACK_PARAMETER: self._feedback}
        if self._sent == 0:
            parameters[OPTIONS_PARAMETER] = self._options.model_dump_json()
        if self._options.no_repeat_ngram_size:
            parameters[NO_REPEAT_NGRAM_PARAMETER] = self._options.no_repeat_ngram_size
        if discard:
            parameters[DISCARD_PARAMETER] = True
        return parameters

    def _take_answer(self, timeout_s: float) -> bool:
        """Wait for one answer; false when there was none in time."""
        try:
            answer = self._answers.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return False
        if isinstance(answer, InferenceServerException):
            self._ended = True  # Triton drops a sequence whose request failed
            raise answer
        self._note(answer)
        return True

    def _note(self, answer: triton.InferResult) -> None:
        response = answer.get_response()
        hop = int(response.id)
        messages = self._messages.setdefault(hop, [])
        transcript = answer.as_numpy(TRANSCRIPT.name)
        if transcript is not None and transcript.item():  # empty: a window nobody asked for
            messages.append(json.loads(transcript.item()))
        feedback = answer.as_numpy(FEEDBACK.name)
        if feedback is not None and hop > self._feedback_hop:
            self._feedback, self._feedback_hop = feedback.item().decode(), hop
            self.has_news = True
        if response.parameters["triton_final_response"].bool_param:
            self._answered += 1

    def _due(self) -> Iterator[Message]:
        while self._handed_out in self._messages:
            yield from self._messages.pop(self._handed_out)
            self._handed_out += 1

    def _abandon(self) -> None:
        """Nobody waits for the open utterance: the stage may forget it undecoded."""
        self.send(np.zeros(0, np.int16), end=True, discard=True)
        deadline = time.monotonic() + DISCARD_TIMEOUT_S
        with contextlib.suppress(InferenceServerException):  # what led here is reported instead
            while self._answered < self._sent:
                if not self._take_answer(deadline - time.monotonic()):
                    return
