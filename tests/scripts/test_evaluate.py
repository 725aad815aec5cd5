"""Word error rates: how errors are counted, summed and shown, and a whole run with a server."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts import evaluate, report
from scripts.error_rate import WordErrors, word_errors
from scripts.manifest import Item, ManifestError, limited, read_manifest
from scripts.offline import OfflineReference
from scripts.report import Result
from tests.scripts.fake_gateway import FakeGateway, Session, transcription

CLIPS = Path(__file__).parents[1] / "data" / "clips"
MANIFEST = CLIPS / "manifest.tsv"


def item(name: str, language: str, text: str, duration_s: float = 2.0) -> Item:
    return Item(name, Path(name), duration_s, language, text)


def heard(said: Item, text: str, **more: Any) -> Result:
    return Result(said, text, text, **more)


ENGLISH = item("ast/one.wav", "en", "Press one for help, Mister Smith.")
FRENCH = item("ast/deux.wav", "fr", "Vous n'êtes plus en ligne.")
MUSIC = item("music/song.wav", "-", "")


def test_english_is_compared_without_case_punctuation_or_spelling_of_numbers() -> None:
    assert word_errors("Mister Smith, it's 25 dollars!", "mr smith it is $25", "en").errors == 0


def test_other_languages_keep_their_accents() -> None:
    assert word_errors("Ça va, l'été ?", "ça va l été", "fr") == WordErrors(words=4)
    assert word_errors("été", "ete", "fr") == WordErrors(words=1, substitutions=1)


def test_errors_are_counted_by_kind_and_add_up() -> None:
    some = word_errors("a b c d", "a x c d e f", "fr")
    lost = word_errors("a b", "", "fr")
    extra = word_errors("", "a b", "fr")
    assert some == WordErrors(4, substitutions=1, insertions=2)
    assert lost == WordErrors(2, deletions=2)
    assert extra == WordErrors(0, insertions=2)
    assert (some + lost + extra).rate_percent == pytest.approx(100 * 7 / 6)


def test_tables_sum_per_language_and_per_folder() -> None:
    results = [
        heard(ENGLISH, "Press two for help, Mr. Smith.", suspect_finals=1, language_right=True),
        heard(FRENCH, "Vous n'êtes plus en ligne.", language_right=False),
        heard(MUSIC, "la la"),
    ]
    lines = list(report.tables("streaming", results))
    rows = {line.split()[0]: line.split()[1:] for line in lines if line and line[0] != " "}
    assert rows["en"] == ["1", "2.0", "6", "16.67", "1", "0", "0", "1", "1/1"]
    assert rows["fr"] == ["1", "2.0", "6", "0.00", "0", "0", "0", "0", "0/1"]
    assert rows["-"] == ["1", "2.0", "0", "-", "0", "0", "0", "0", "-"]
    assert rows["ast"][:4] == ["2", "4.0", "12", "8.33"]
    assert rows["all"] == ["3", "6.0", "12", "8.33", "1", "0", "0", "1", "1/2"]


def test_the_difference_to_offline_is_per_language() -> None:
    streamed = [heard(ENGLISH, "Press two for help, Mister Smith."), heard(MUSIC, "")]
    offline = [heard(ENGLISH, ENGLISH.text), heard(MUSIC, "")]
    lines = [line.split() for line in report.difference(streamed, offline)]
    assert ["en", "16.67", "0.00", "+16.67", "-"] in lines
    assert ["-", "-", "-", "-", "-"] in lines


def test_the_difference_has_an_interval_where_there_are_several_recordings() -> None:
    streamed = 2 * [heard(ENGLISH, "Press two for help, Mister Smith.")]
    lines = [
        line.split() for line in report.difference(streamed, 2 * [heard(ENGLISH, ENGLISH.text)])
    ]
    assert ["en", "16.67", "0.00", "+16.67", "+16.67", "to", "+16.67"] in lines


def test_the_worst_recordings_come_with_both_texts() -> None:
    results = [heard(FRENCH, FRENCH.text), heard(ENGLISH, "Press two."), heard(MUSIC, "x y z")]
    assert list(report.worst(results, None, 1)) == [
        "ast/one.wav: WER 83 % of 6 words (S 1, D 4, I 0)",
        "  said:    press one for help mister smith",
        "  heard:   press 2",
    ]


def test_with_a_reference_the_worst_are_those_that_streaming_lost() -> None:
    results = [heard(FRENCH, "Vous en ligne."), heard(ENGLISH, "Press two.")]
    reference = [heard(FRENCH, "Vous êtes plus en ligne."), heard(ENGLISH, "Press two.")]
    lines = list(report.worst(results, reference, 1))
    assert lines[0].startswith("ast/deux.wav")
    assert lines[-1] == "  offline: vous êtes plus en ligne  (WER 17 % of 6 words (S 0, D 1, I 0))"


def test_unmarked_text_without_speech_is_a_failure() -> None:
    marked = Result(MUSIC, "Thank you.", "", suspect_finals=1)
    assert list(report.failures([marked, heard(MUSIC, " ... ")])) == []
    assert list(report.failures([heard(MUSIC, "Thank you.")])) == [
        "FAILED music/song.wav: no speech, but heard: Thank you."
    ]


def test_the_manifest_of_the_clips_is_complete() -> None:
    items = read_manifest(MANIFEST)
    assert [entry.name for entry in items if not entry.has_speech] == ["music/cold_day.wav"]
    assert {entry.folder for entry in items} == {"en", "es", "fr", "ru", "music"}
    assert {entry.path for entry in items} == set(CLIPS.rglob("*.wav"))
    assert [entry.folder for entry in limited(items, 1)] == ["en", "es", "fr", "ru", "music"]


def test_a_manifest_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    path = tmp_path / "manifest.tsv"
    with pytest.raises(ManifestError, match="cannot read"):
        read_manifest(path)
    path.write_text("wav\tlanguage\ttext\na.wav\ten\thello\n")
    with pytest.raises(ManifestError, match="no column duration_s"):
        read_manifest(path)
    path.write_text("wav\tduration_s\tlanguage\ttext\na.wav\t1\ten\thello\n")
    with pytest.raises(ManifestError, match=r"line 2: there is no recording .*a\.wav"):
        read_manifest(path)


def test_quotes_in_a_text_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    path = tmp_path / "manifest.tsv"
    path.write_text('wav\tduration_s\tlanguage\ttext\na.wav\t1\ten\t"Dial one\n')
    assert read_manifest(path)[0].text == '"Dial one'


TEXTS = {
    "en": "I am sorry, there is no call parked on that extension.",
    "fr": "Pour laisser un message.",
}


def answers_by(text_of: Callable[[Session], str], **segment: Any) -> FakeGateway:
    """A server that gives every session one final."""

    async def behave(session: Session) -> None:
        await session.hear()
        language = session.metadata["whisper_params"]["audio_language"]
        code = "en" if language == "auto" else language
        await session.finish(transcription(text_of(session), language_code=code, **segment))

    return FakeGateway(behave)


def by_language(session: Session) -> str:
    return TEXTS.get(session.metadata["whisper_params"]["audio_language"], "")


async def run(*arguments: str) -> int:
    """The whole script but for its event loop, which is the test's."""
    return await asyncio.to_thread(evaluate.main, list(arguments))


async def test_every_recording_is_streamed_in_its_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    async with answers_by(by_language) as gateway:
        code = await run(str(MANIFEST), "--url", gateway.url, "--jobs", "3", "--json", str(out))
    assert code == 1  # the music, streamed as English, came back as words
    assert len(gateway.sessions) == 13
    shown = capsys.readouterr()
    assert "streaming, per language" in shown.out
    assert "FAILED music/cold_day.wav: no speech, but heard: I am sorry" in shown.out
    assert "streamed 13/13" in shown.err
    results = json.loads(out.read_text())
    russian = results["groups"]["streaming"]["language"]["ru"]
    assert russian["deletions"] == russian["words"] > 40
    assert results["recordings"][0]["wav"] == "en/sense_and_sensibility.wav"


async def test_marked_finals_are_counted_and_do_not_fail_the_music(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with answers_by(by_language, possible_hallucination=True) as gateway:
        code = await run(str(MANIFEST), "--url", gateway.url, "--limit", "1")
    assert code == 0
    assert len(gateway.sessions) == 5
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("music")]
    assert line.split()[-2:] == ["1", "-"]


async def test_languages_are_judged_when_they_are_detected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with answers_by(lambda _: "hello", possible_hallucination=True) as gateway:
        await run(str(MANIFEST), "--url", gateway.url, "--language", "auto", "--limit", "1")
    languages = {s.metadata["whisper_params"]["audio_language"] for s in gateway.sessions}
    assert languages == {"auto"}
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert [row[-1] for row in rows if row[0] in ("en", "fr", "all")][:3] == ["1/1", "0/1", "1/4"]


async def test_more_metadata_can_be_given() -> None:
    extra = '{"whisper_params": {"prompt": "Digium"}, "streaming_vad_config": {"threshold": 0.4}}'
    async with answers_by(by_language) as gateway:
        await run(str(MANIFEST), "--url", gateway.url, "--limit", "1", "--metadata", extra)
    metadata = gateway.sessions[0].metadata
    assert metadata["whisper_params"] == {"audio_language": "en", "prompt": "Digium"}
    assert metadata["streaming_vad_config"] == {"threshold": 0.4}


async def test_a_session_that_breaks_is_listed_and_the_others_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def behave(session: Session) -> None:
        if by_language(session) == TEXTS["fr"]:
            await session.say({"type": "error", "message": "out of memory"})
            await session.socket.close(1011, "internal failure")
            return
        await session.hear()
        await session.finish()

    async with FakeGateway(behave) as gateway:
        assert await run(str(MANIFEST), "--url", gateway.url, "--limit", "1") == 1
    assert (
        "FAILED fr/vm-whichbox.wav: the server closed the connection: 1011 internal failure; "
        "out of memory"
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--jobs", "0"], ["--metadata", "[]"], ["--metadata", '{"whisper_params": 1}']]
)
def test_bad_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        evaluate.main([str(MANIFEST), *arguments])
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


async def test_a_missing_manifest_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("missing.tsv") == 2
    assert "missing.tsv" in capsys.readouterr().err


class CountingModel:
    """Stands for faster-whisper's model; the real one is exercised by the end-to-end tests."""

    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []

    def transcribe(self, audio: object, **decoding: object) -> tuple[list["Spoken"], None]:
        self.calls.append(decoding)
        return [Spoken(" Hello"), Spoken(" there.")], None


class Spoken:
    def __init__(self, text: str) -> None:
        self.text = text


def test_offline_texts_are_kept_and_the_language_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CT2_FORCE_CPU_ISA", "AVX512")
    (tmp_path / "model.bin").write_bytes(b"weights")
    cache = tmp_path / "offline.json"
    clip = next(entry for entry in read_manifest(MANIFEST) if entry.language == "fr")
    model = CountingModel()
    for _ in range(2):
        reference = OfflineReference(tmp_path, "int8", cache)
        reference._model = model
        assert reference.text(clip) == "Hello there."
    assert model.calls == [
        {
            "language": "fr",
            "beam_size": 1,
            "temperature": 0.0,
            "vad_filter": False,
            "condition_on_previous_text": False,
        }
    ]
    (tmp_path / "model.bin").write_bytes(b"other weights")
    reference = OfflineReference(tmp_path, "int8", cache)
    reference._model = model
    reference.text(clip)
    assert len(model.calls) == 2
    monkeypatch.setenv("CT2_FORCE_CPU_ISA", "AVX2")
    reference.text(clip)
    assert len(model.calls) == 3
