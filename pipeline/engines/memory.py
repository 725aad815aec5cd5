"""What an engine has just decoded: an equal window of the same stream is answered at once.

An utterance's early window and its final are equal when nothing more was said in between, so the
final costs nothing; while the early one is still being decoded, `pipeline.engines.schedule` lets
the final wait for it. It knows no Triton: windows are equal when all that the engine is given of
them is.
"""

import threading
from collections import OrderedDict
from hashlib import blake2b
from typing import Protocol

from pipeline.engines.request import Answer, EngineRequest
from pipeline.engines.schedule import Done

REMEMBERED = 128
"""Answers kept, a few hundred bytes each: more than streams have utterances open at a time."""


class Submitter(Protocol):
    """What the memory needs of the engine's threads."""

    def submit(self, request: EngineRequest, key: bytes, done: Done) -> None:
        """Decode a window some time soon. Windows with an equal key are equal."""


class EngineMemory:
    """Stands in front of an engine's threads. Errors are not remembered."""

    def __init__(self, workers: Submitter) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, Answer] = OrderedDict()

    def submit(self, request: EngineRequest, done: Done) -> None:
        """Decode a window unless an equal one has been."""
        key = _key(request)
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            done(known)
            return

        def remember_and_tell(answer: Answer | Exception) -> None:
            self._remember(key, answer)
            done(answer)

        self._workers.submit(request, key, remember_and_tell)

    def _remember(self, key: bytes, answer: Answer | Exception) -> None:
        if isinstance(answer, Exception) or answer.superseded:
            return
        with self._lock:
            self._known[key] = answer
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


def _key(request: EngineRequest) -> bytes:
    """A digest of everything that decides the answer."""
    rest = (
        request.features.shape,
        request.prompt,
        request.max_new_tokens,
        request.beam_width,
        request.length_penalty,
        request.repetition_penalty,
        request.no_repeat_ngram_size,
        request.is_draft,
        request.place.stream,
        request.place.utterance,
    )
    digest = blake2b(request.features.tobytes(), digest_size=16)
    digest.update(repr(rest).encode())
    return digest.digest()
