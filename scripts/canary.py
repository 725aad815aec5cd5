"""A canary: a short utterance of our own, sent through Triton's ensemble to see that it works.

It is a sequence like anybody's. That a final comes back is all that is asked: what is in it depends
on the model. Engines remember windows of the same sequence only, so each canary is decoded anew.
"""

import random
import time
import wave
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from pipeline.audio import SAMPLE_RATE
from pipeline.options import StreamOptions
from scripts.ensemble_stream import MAX_SEQUENCE_ID, EnsembleStream

RECORDING = Path(__file__).resolve().parents[1] / "pipeline/engines/tail_speech.wav"
"""It is wherever the stages are."""
UTTERANCE_S = 1


class Canary:
    """On its way from when it is made. `close` it."""

    def __init__(self, address: str) -> None:
        """Sends it to the Triton whose gRPC is at this address."""
        self.error: str | None = None
        """What it has come to, if that is nothing good."""
        self.is_answered = False
        self._sent_at = time.monotonic()
        # A connection of its own: no trouble of the one before is left in it.
        self._client = triton.InferenceServerClient(address)
        sequence_id = random.randint(1, MAX_SEQUENCE_ID)
        self._stream = EnsembleStream(self._client, StreamOptions(), sequence_id).__enter__()
        try:
            self._stream.send(_utterance())
            self._stream.send(np.zeros(0, np.int16), end=True)
        except InferenceServerException as error:
            self.error = str(error.message())

    @property
    def age_s(self) -> float:
        """How long it has been on its way."""
        return time.monotonic() - self._sent_at

    def listen(self) -> None:
        """Take in what has come back so far; does not wait."""
        try:
            for message in self._stream.messages_until(time.monotonic()):
                self.is_answered |= bool(message["is_final"])
        except InferenceServerException as error:
            self.error = str(error.message())

    def close(self) -> None:
        """Triton need not answer any more."""
        self._client.stop_stream(cancel_requests=True)
        self._client.close()


@cache
def _utterance() -> npt.NDArray[np.int16]:
    """Somebody says "And so my": [n] at 16 kHz."""
    with wave.open(str(RECORDING)) as recording:
        frames = recording.readframes(UTTERANCE_S * SAMPLE_RATE)
    return np.frombuffer(frames, np.int16)
