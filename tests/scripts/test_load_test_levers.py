"""What makes the server fast can be switched off: every lever fits the repository as it is."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from gateway.settings import Settings
from scripts.load.levers import LEVERS, REPOSITORY, Lever, main, patch, wanted


def parameters(config: Path) -> dict[str, str]:
    parsed = text_format.Parse(config.read_text(encoding="utf-8"), pb.ModelConfig())
    return {name: value.string_value for name, value in parsed.parameters.items()}


@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.off)
def test_a_lever_changes_what_it_names_and_nothing_else(lever: Lever, tmp_path: Path) -> None:
    patch(lever, tmp_path / "repository")
    changed = {
        str(path.relative_to(REPOSITORY))
        for path in REPOSITORY.rglob("*.pbtxt")
        if path.read_text() != (tmp_path / "repository" / path.relative_to(REPOSITORY)).read_text()
    }
    assert changed == {config for config, _ in lever.parameters} | set(lever.texts)
    for config in {config for config, _ in lever.parameters}:
        own = parameters(REPOSITORY / config)
        off = {name: value for (other, name), value in lever.parameters.items() if other == config}
        assert not own.items() & off.items()
        assert parameters(tmp_path / "repository" / config) == own | off


def test_without_hints_the_engine_is_asked_as_tensorrt_llm_is(tmp_path: Path) -> None:
    (lever,) = (lever for lever in LEVERS if lever.texts)
    patch(lever, tmp_path / "repository")
    ensemble = Path("streaming_whisper")
    patched = (tmp_path / "repository" / ensemble / "configs/embedded.pbtxt").read_text()
    plain = (REPOSITORY / ensemble / "config.pbtxt").read_text()
    parsed = [text_format.Parse(text, pb.ModelConfig()) for text in (patched, plain)]
    assert parsed[0] == parsed[1]


def test_the_first_row_has_every_lever_on_and_no_two_are_the_same() -> None:
    assert LEVERS[0] == Lever(LEVERS[0].off)
    assert len({lever.off for lever in LEVERS}) == len(LEVERS)
    rest = [(lever.parameters, lever.texts, lever.environment) for lever in LEVERS[1:]]
    assert all(any(parts) for parts in rest)


@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.off)
def test_a_levers_environment_is_one_that_the_gateway_takes(lever: Lever) -> None:
    Settings.from_environment(lever.environment)


def test_a_lever_for_what_is_not_there_is_refused(tmp_path: Path) -> None:
    lever = Lever("x", {("whisper/configs/embedded.pbtxt", "no_such_parameter"): "1"})
    with pytest.raises(ValueError, match=r"whisper/configs/embedded\.pbtxt does not hold"):
        patch(lever, tmp_path / "repository")


def test_levers_can_be_chosen_by_how_they_begin() -> None:
    levers, others = wanted(["--lever", "in-flight", "--streams", "24", "--lever=guesses"])
    assert [lever.off.partition(":")[0] for lever in levers[1:]] == [
        "guesses",
        "in-flight batching",
    ]
    assert levers[0] == LEVERS[0]
    assert others == ["--streams", "24"]


def test_without_a_choice_all_are_taken() -> None:
    levers, others = wanted(["--streams=8"])
    assert [*levers] == [*LEVERS]
    assert others == ["--streams=8"]


def test_a_lever_that_there_is_not_is_told_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--lever", "turbo"]) == 2
    error = capsys.readouterr().err
    assert "--lever turbo: no lever begins so" in error
    assert "in-flight batching" in error
