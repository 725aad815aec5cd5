"""What an engine has just decoded: an equal window is answered at once, or with the first.

An utterance's early window and its final are equal when nothing more was said in between, so the
final costs nothing. It knows no Triton and no streams: windows are equal when all that the engine
is given of them is.
"""

import threading
from collections import OrderedDict
from hashlib import blake2b
from typing import Protocol

from pipeline.engines.request import EngineRequest, Hypothesis
from pipeline.engines.workers import Done, deliver

REMEMBERED = 128
"""Answers kept, a few hundred bytes each: more than streams have utterances open at a time."""


class Submitter(Protocol):
    """What the memory needs of the engine's threads."""

    def submit(self, request: EngineRequest, done: Done) -> None:
        """Decode a window some time soon."""


class EngineMemory:
    """Stands in front of an engine's threads. Errors are not remembered."""

    def __init__(self, workers: Submitter) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._waiting: dict[bytes, list[Done]] = {}
        self._known: OrderedDict[bytes, list[Hypothesis]] = OrderedDict()

    def submit(self, request: EngineRequest, done: Done) -> None:
        """Decode a window unless an equal one has been or is being decoded."""
        key = _key(request)
        with self._lock:
            known = self._known.get(key)
            if known is None:
                is_first = key not in self._waiting
                self._waiting.setdefault(key, []).append(done)
        if known is not None:
            done(known)
        elif is_first:
            self._workers.submit(request, lambda result: self._answer(key, result))

    def _answer(self, key: bytes, result: list[Hypothesis] | Exception) -> None:
        with self._lock:
            waiting = self._waiting.pop(key)
            if not isinstance(result, Exception):
                self._known[key] = result
                if len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        for done in waiting:
            deliver(done, result)


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
    )
    digest = blake2b(request.features.tobytes(), digest_size=16)
    digest.update(repr(rest).encode())
    return digest.digest()
