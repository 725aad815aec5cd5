"""The engine on ONNX Runtime: its texts depend on nothing but their windows."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.audio import MAX_MEL_FRAMES
from pipeline.engines import onnx_engine as module
from pipeline.engines.ctranslate2_engine import EngineSettings
from pipeline.engines.int8_graph import exactness_graph
from pipeline.engines.onnx_engine import OnnxEngine
from pipeline.engines.request import Encoded, EngineRequest, Hypothesis, Place, Purpose
from tests.pipeline.engines.support import ARCTIC, FRENCH, SPANISH, answer, asked, transcribe
from tests.pipeline.support import JFK, MODEL_DIR, words_of

SAME_LOG_PROB = 1e-5
"""The last sum over the vocabulary is split by the number of rows; what decides a text is not."""


class CountsRows:
    """A decoder's step that remembers how many rows it was given each time."""

    def __init__(self, engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        self._step = engine._decoder._step
        monkeypatch.setattr(engine._decoder, "_step", self)

    def __call__(self, inputs: Any) -> Any:
        self.rows.append(len(inputs["embedded"]))
        return self._step(inputs)


def at(window: Encoded, stream: int, purpose: Purpose = Purpose.FINAL) -> Encoded:
    """The same window of some stream."""
    return replace(window, request=replace(window.request, place=Place(stream, 0, purpose)))


def decode(engine: OnnxEngine, *windows: Encoded) -> list[Hypothesis]:
    found = dict(engine.decode(windows))
    return [found[i][0] for i in range(len(windows))]


@pytest.fixture(scope="module")
def windows(onnx_engine: OnnxEngine) -> list[Encoded]:
    """Windows of several lengths and languages."""
    tokenizer = onnx_engine.tokenizer
    requests = [
        asked(tokenizer, ARCTIC),
        asked(tokenizer, FRENCH, "fr"),
        asked(tokenizer, SPANISH, None),
        asked(tokenizer, JFK, prompt="A speech of many words that are not those of the recording."),
    ]
    requests += [cut(asked(tokenizer, JFK), seconds) for seconds in (2, 5, 8)]
    return [onnx_engine.encode(request) for request in requests]


def cut(request: EngineRequest, seconds: int) -> EngineRequest:
    return replace(request, features=request.features[: 100 * seconds])


def test_neither_guesses_nor_the_windows_beside_it_change_a_text(
    onnx_engine: OnnxEngine, windows: list[Encoded]
) -> None:
    alone = [decode(onnx_engine, window)[0] for window in windows]
    chance = random.Random(1)
    for trial in range(12):
        chosen = [chance.randrange(len(windows)) for _ in range(chance.randint(1, 6))]
        batch = []
        for place, i in enumerate(chosen):
            stream = 100 * trial + place + 1
            onnx_engine._last.remember((stream, 0), guess(alone, i, chance))
            batch.append(at(windows[i], stream))
        for i, found in zip(chosen, decode(onnx_engine, *batch), strict=True):
            assert found.tokens == alone[i].tokens
            np.testing.assert_allclose(found.log_probs, alone[i].log_probs, atol=SAME_LOG_PROB)


def test_windows_that_join_those_under_way_change_no_text(
    onnx_engine: OnnxEngine, windows: list[Encoded]
) -> None:
    tokenizer = onnx_engine.tokenizer
    long = asked(tokenizer, JFK, prompt=" ".join(["So many words that it takes two steps."] * 8))
    whole = replace(long, features=np.resize(long.features, (MAX_MEL_FRAMES, 80)))
    rare = asked(tokenizer, ARCTIC, beam_width=2)
    known = [*windows, *(onnx_engine.encode(request) for request in (long, whole, rare))]
    alone = [decode(onnx_engine, window)[0] for window in known]
    chance = random.Random(2)
    for trial in range(6):
        order = [chance.randrange(len(known)) for _ in range(10)]
        left = []
        for place, i in enumerate(order):
            stream = 10_000 + 100 * trial + place
            onnx_engine._last.remember((stream, 0), guess(alone, i, chance))
            left.append(at(known[i], stream))
        first = [left.pop(0) for _ in range(chance.randint(1, 3))]

        def joining(left: list[Encoded] = left) -> list[Encoded]:
            return [left.pop(0) for _ in range(min(len(left), chance.choice([0, 0, 1, 2])))]

        found = dict(onnx_engine.decode(first, joining))
        assert sorted(found) == list(range(10 - len(left)))
        for i, beams in found.items():
            assert beams[0].tokens == alone[order[i]].tokens


def guess(texts: list[Hypothesis], i: int, chance: random.Random) -> list[int]:
    """A window's text or another one, with some tokens replaced, left out or put in."""
    tokens = [*texts[chance.choice([i, i, chance.randrange(len(texts))])].tokens]
    for _ in range(chance.randint(0, 3)):
        place, gone, new = (chance.randint(0, most) for most in (len(tokens), 2, 2))
        tokens[place : place + gone] = [chance.randrange(50_000) for _ in range(new)]
    return tokens


def test_a_right_guess_is_decoded_in_one_step_and_a_step_has_few_rows(
    onnx_engine: OnnxEngine, windows: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = CountsRows(onnx_engine, monkeypatch)
    window = windows[0]
    text = decode(onnx_engine, at(window, 9001))[0].tokens
    steps = len(counted.rows)
    assert steps == len(text) + 1  # the end is one as well
    assert decode(onnx_engine, at(window, 9001))[0].tokens == text
    assert counted.rows[steps:] == [len(window.request.prompt) + len(text)]


def test_without_guesses_every_token_is_a_step_of_its_own(
    onnx_engine: OnnxEngine, windows: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(onnx_engine._settings, guesses=False)
    monkeypatch.setattr(onnx_engine, "_settings", settings)
    counted = CountsRows(onnx_engine, monkeypatch)
    text = decode(onnx_engine, at(windows[0], 9004))[0].tokens
    assert decode(onnx_engine, at(windows[0], 9004))[0].tokens == text
    assert counted.rows == 2 * [len(windows[0].request.prompt), *[1] * len(text)]


def test_of_the_silence_it_sees_as_many_states_as_it_is_told(onnx_engine: OnnxEngine) -> None:
    dense = OnnxEngine(replace(onnx_engine._settings, silence_stride=1))
    few, all_ = onnx_engine._decoder._silence, dense._decoder._silence
    assert few.places == pytest.approx(all_.places / 8, abs=1)
    request = asked(onnx_engine.tokenizer, JFK)
    words = [
        words_of(onnx_engine.tokenizer.decode(answer(it, request).tokens))
        for it in (onnx_engine, dense)
    ]
    assert len(set(words[0]) ^ set(words[1])) <= 2


def test_streams_and_utterances_do_not_guess_for_each_other(
    onnx_engine: OnnxEngine, windows: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode(onnx_engine, at(windows[0], 9002))
    counted = CountsRows(onnx_engine, monkeypatch)
    decode(onnx_engine, at(windows[0], 9003))
    decode(onnx_engine, windows[0])  # of no stream
    assert counted.rows[0] == len(windows[0].request.prompt)
    assert len(counted.rows) > 10


def test_its_texts_are_about_ctranslate2s(onnx_engine: OnnxEngine, engine: Any) -> None:
    for path, language in ((ARCTIC, "en"), (FRENCH, "fr"), (SPANISH, "es"), (JFK, "en")):
        request = asked(onnx_engine.tokenizer, path, language)
        texts = [
            onnx_engine.tokenizer.decode(answer(it, request).tokens) for it in (onnx_engine, engine)
        ]
        ours, theirs = map(words_of, texts)
        assert len(set(ours) ^ set(theirs)) <= 2


@pytest.mark.parametrize("language", ["en", None])
def test_a_loop_is_decoded_again_in_whispers_own_window(
    onnx_engine: OnnxEngine, language: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    looping(onnx_engine, monkeypatch)
    encoded: list[int] = []
    encode = onnx_engine._encode

    def count_and_encode(features: Any) -> Any:
        encoded.append(len(features))
        return encode(features)

    monkeypatch.setattr(onnx_engine, "_encode", count_and_encode)
    found = answer(onnx_engine, asked(onnx_engine.tokenizer, ARCTIC, language))
    assert encoded[-1] == MAX_MEL_FRAMES
    assert len(encoded) == 2
    assert "table" in words_of(onnx_engine.tokenizer.decode(found.tokens))


def test_a_draft_that_loops_says_nothing_and_gets_no_second_attempt(
    onnx_engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looping(onnx_engine, monkeypatch)
    window = onnx_engine.encode(asked(onnx_engine.tokenizer, ARCTIC))
    assert decode(onnx_engine, at(window, 9004, Purpose.PARTIAL))[0].tokens == []


def looping(engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every window but Whisper's own is taken for a loop."""
    monkeypatch.setattr(
        module, "is_loop", lambda text, request, tokenizer: len(request.features) < MAX_MEL_FRAMES
    )


@pytest.mark.parametrize(
    ("option", "is_plain"),
    [
        ({}, True),
        ({"length_penalty": 2.0}, True),
        ({"beam_width": 2}, False),
        ({"repetition_penalty": 1.5}, False),
        ({"no_repeat_ngram_size": 2}, False),
    ],
)
def test_what_is_rare_goes_to_ctranslate2(
    onnx_engine: OnnxEngine, option: dict[str, Any], is_plain: bool
) -> None:
    request = asked(onnx_engine.tokenizer, ARCTIC, **option)
    assert (onnx_engine.encode(request).seen is not None) is is_plain
    assert "table" in words_of(onnx_engine.tokenizer.decode(answer(onnx_engine, request).tokens))


def test_windows_for_both_engines_are_decoded_together(onnx_engine: OnnxEngine) -> None:
    tokenizer = onnx_engine.tokenizer
    requests = [asked(tokenizer, ARCTIC, beam_width=2), asked(tokenizer, JFK)]
    beams, plain = transcribe(onnx_engine, requests)
    assert (len(beams), len(plain)) == (2, 1)
    assert "table" in words_of(tokenizer.decode(beams[0].tokens))
    assert "americans" in words_of(tokenizer.decode(plain[0].tokens))


@pytest.mark.parametrize("seconds", [0.02, 0.5, 1])
def test_a_window_of_any_length_is_decoded(onnx_engine: OnnxEngine, seconds: float) -> None:
    request = asked(onnx_engine.tokenizer, ARCTIC)
    short = replace(request, features=request.features[: int(100 * seconds)])
    assert len(answer(onnx_engine, short).tokens) < 30


def test_unsigned_weights_give_the_same_texts(
    onnx_engine: OnnxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on processors that do not multiply signed ones exactly."""
    monkeypatch.setattr(module, "multiplies_signed_exactly", lambda: False)
    unsigned = OnnxEngine(EngineSettings(MODEL_DIR, workers=1))
    request = asked(onnx_engine.tokenizer, JFK)
    assert answer(unsigned, request).tokens == answer(onnx_engine, request).tokens


def test_inexact_products_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Saturates:
        def run(self, _: None, inputs: dict[str, Any]) -> list[Any]:
            return [np.full((3, 16), 32767 * 32, np.int32)]

    assert module._session(exactness_graph(signed=False)).run(
        None, {"values": np.full((1, 64), 255, np.uint8)}
    )[0].tolist() == [[255 * 127 * 64] * 16]
    session: Callable[[bytes], Any] = lambda graph: Saturates()  # noqa: E731
    monkeypatch.setattr(module, "_session", session)
    assert not module.multiplies_signed_exactly()
