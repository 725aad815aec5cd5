"""The CTranslate2 engine on real recordings, with the real weights."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio import MAX_ENCODER_STATES, MAX_MEL_FRAMES, MEL_FRAMES_PER_STATE
from pipeline.engines.ctranslate2_engine import LEAST_FRAMES, CTranslate2Engine
from pipeline.engines.request import EngineRequest, Hypothesis, Place, Purpose
from tests.pipeline.engines.support import ARCTIC, answer, asked, transcribe
from tests.pipeline.support import JFK, words_of


class CountsStates(CTranslate2Engine):
    """Remembers the length of the states that each call decodes; it shares another one's model."""

    def __init__(self, engine: CTranslate2Engine) -> None:
        vars(self).update(vars(engine))
        self.decoded_states: list[int] = []

    def _generate(
        self,
        states: NDArray[np.float32],
        prompts: list[list[int]],
        requests: Sequence[EngineRequest],
    ) -> list[list[Hypothesis]]:
        self.decoded_states.append(states.shape[1])
        return super()._generate(states, prompts, requests)


class ShortWindowsLoop(CountsStates):
    """An engine that loops in every window but Whisper's own."""

    def _generate(
        self,
        states: NDArray[np.float32],
        prompts: list[list[int]],
        requests: Sequence[EngineRequest],
    ) -> list[list[Hypothesis]]:
        if len(requests[0].features) == MAX_MEL_FRAMES:
            return super()._generate(states, prompts, requests)
        self.decoded_states.append(states.shape[1])
        loop = self.tokenizer.encode(" you know" * 25)
        return [[Hypothesis(loop, [-0.1] * len(loop))] for _ in requests]


@pytest.mark.parametrize("language", ["en", None])
def test_a_loop_is_decoded_again_in_whispers_own_window(
    engine: CTranslate2Engine, language: str | None
) -> None:
    looping = ShortWindowsLoop(engine)
    found = answer(looping, asked(engine.tokenizer, ARCTIC, language))
    assert looping.decoded_states[-1] == MAX_ENCODER_STATES
    assert len(looping.decoded_states) == 2
    assert "table" in words_of(engine.tokenizer.decode(found.tokens))


def draft_of(request: EngineRequest, stream: int = 1) -> EngineRequest:
    """The same window as a partial."""
    return replace(request, place=Place(stream, 0, Purpose.PARTIAL))


def test_drafts_of_different_lengths_are_decoded_together_and_with_less_silence(
    engine: CTranslate2Engine,
) -> None:
    counted = CountsStates(engine)
    requests = [asked(engine.tokenizer, JFK), asked(engine.tokenizer, ARCTIC)]
    finals, drafts = transcribe(counted, requests), transcribe(counted, [*map(draft_of, requests)])
    assert counted.decoded_states[-1] < min(counted.decoded_states[:-1])
    assert len(counted.decoded_states) == 3
    for final, draft in zip(finals, drafts, strict=True):
        said = [words_of(engine.tokenizer.decode(b[0].tokens)) for b in (final, draft)]
        assert len(set(said[0]) ^ set(said[1])) <= 2


def test_a_draft_that_loops_says_nothing_and_gets_no_second_attempt(
    engine: CTranslate2Engine,
) -> None:
    looping = ShortWindowsLoop(engine)
    found = answer(looping, draft_of(asked(engine.tokenizer, ARCTIC)))
    assert found.tokens == []
    assert len(looping.decoded_states) == 1


def test_a_draft_too_short_for_the_graft_is_refused(engine: CTranslate2Engine) -> None:
    request = asked(engine.tokenizer, ARCTIC)
    draft = draft_of(replace(request, features=request.features[:100]))
    with pytest.raises(ValueError, match="too short to graft silence on"):
        transcribe(engine, [draft])


def test_a_short_final_is_padded(engine: CTranslate2Engine) -> None:
    request = asked(engine.tokenizer, ARCTIC)
    request = replace(request, features=request.features[:200])
    assert len(engine.encode(request).states) == LEAST_FRAMES / MEL_FRAMES_PER_STATE
