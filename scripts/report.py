"""Results of an evaluation as tables. Pure: results in, lines of text out."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from scripts.bootstrap import difference_interval
from scripts.error_rate import WordErrors, normalized, word_errors
from scripts.manifest import Item

_HEADING = (
    f"{'':14} {'recordings':>10} {'audio s':>8} {'words':>6} {'WER %':>6} "
    f"{'S':>5} {'D':>5} {'I':>5} {'suspect':>7} {'language':>8}"
)
"""`suspect`: finals marked as possible hallucination; `language`: recordings with it right."""


@dataclass(frozen=True)
class Result:
    """What came back for one recording."""

    item: Item
    text: str
    unmarked_text: str
    """What is left of the text without finals marked as possible hallucination."""
    suspect_finals: int = 0
    language_right: bool | None = None
    """None: the language was given, or nothing was heard."""
    failure: str | None = None
    """Why the session did not come to its end."""

    @property
    def errors(self) -> WordErrors:
        return word_errors(self.item.text, self.text, self.item.language)

    @property
    def invented(self) -> bool:
        """Text, and unmarked, where nothing is said."""
        return not self.item.has_speech and bool(normalized(self.unmarked_text, "-"))


@dataclass
class Group:
    """Sums over the recordings of a language or a folder."""

    recordings: int = 0
    audio_s: float = 0.0
    errors: WordErrors = field(default_factory=WordErrors)
    errors_of_each: list[WordErrors] = field(default_factory=list)
    """Of each recording with speech."""
    suspect_finals: int = 0
    languages_right: int = 0
    languages_known: int = 0

    def add(self, result: Result) -> None:
        self.recordings += 1
        self.audio_s += result.item.duration_s
        self.suspect_finals += result.suspect_finals
        self.languages_known += result.language_right is not None
        self.languages_right += bool(result.language_right)
        if result.item.has_speech:
            self.errors_of_each.append(result.errors)
            self.errors += result.errors


Groups = dict[str, Group]


def grouped(results: Iterable[Result], key: Callable[[Item], str]) -> Groups:
    """Groups in the order of their first recording, and all recordings as `all`."""
    groups: Groups = {}
    total = Group()
    for result in results:
        groups.setdefault(key(result.item), Group()).add(result)
        total.add(result)
    return groups | {"all": total}


def tables(title: str, results: list[Result]) -> Iterator[str]:
    """One table per language and one per folder."""
    for kind, key in GROUPINGS.items():
        yield f"{title}, per {kind}"
        yield _HEADING
        for name, group in grouped(results, key).items():
            yield _line(name, group)
        yield ""


def difference(results: list[Result], reference: list[Result]) -> Iterator[str]:
    """Word error rates side by side; positive: streaming is worse. The interval is that of
    `scripts.bootstrap`: where it holds 0, the difference may be chance."""
    for kind, key in GROUPINGS.items():
        yield f"WER %, per {kind}"
        yield f"{'':14} {'streaming':>10} {'offline':>8} {'difference':>11} {'95 % interval':>16}"
        offline = grouped(reference, key)
        for name, group in grouped(results, key).items():
            here, there = group.errors.rate_percent, offline[name].errors.rate_percent
            gap = "-" if math.isnan(here - there) else f"{here - there:+.2f}"
            chance = _interval(group, offline[name])
            yield f"{name:14} {_percent(here):>10} {_percent(there):>8} {gap:>11} {chance:>16}"
        yield ""


def worst(results: list[Result], reference: list[Result] | None, count: int) -> Iterator[str]:
    """The recordings with the most word errors, or most above the reference, with all texts."""
    offline = {result.item.name: result for result in reference or []}

    def excess(result: Result) -> int:
        there = offline.get(result.item.name)
        return result.errors.errors - (there.errors.errors if there else 0)

    spoken = [result for result in results if result.item.has_speech]
    for result in sorted(spoken, key=excess, reverse=True)[:count]:
        language = result.item.language
        yield f"{result.item.name}: {_counts(result.errors)}"
        yield f"  said:    {normalized(result.item.text, language)}"
        yield f"  heard:   {normalized(result.text, language)}"
        if there := offline.get(result.item.name):
            yield f"  offline: {normalized(there.text, language)}  ({_counts(there.errors)})"


def failures(results: list[Result]) -> Iterator[str]:
    """Sessions that broke, and text where nothing was said."""
    for result in results:
        if result.failure:
            yield f"FAILED {result.item.name}: {result.failure}"
        if result.invented:
            yield f"FAILED {result.item.name}: no speech, but heard: {result.unmarked_text}"


def as_json(results: list[Result], reference: list[Result] | None) -> dict[str, object]:
    """Everything in the tables and every text, for machines."""
    offline = {result.item.name: result.text for result in reference or []}
    return {
        "groups": {"streaming": _groups_json(results)}
        | ({"offline": _groups_json(reference)} if reference else {}),
        "recordings": [_result_json(result, offline) for result in results],
    }


GROUPINGS: dict[str, Callable[[Item], str]] = {
    "language": lambda item: item.language,
    "folder": lambda item: item.folder,
}


def _line(name: str, group: Group) -> str:
    errors = group.errors
    right = f"{group.languages_right}/{group.languages_known}" if group.languages_known else "-"
    return (
        f"{name:14} {group.recordings:10} {group.audio_s:8.1f} {errors.words:6} "
        f"{_percent(errors.rate_percent):>6} {errors.substitutions:5} {errors.deletions:5} "
        f"{errors.insertions:5} {group.suspect_finals:7} {right:>8}"
    )


def _counts(errors: WordErrors) -> str:
    return (
        f"WER {errors.rate_percent:.0f} % of {errors.words} words "
        f"(S {errors.substitutions}, D {errors.deletions}, I {errors.insertions})"
    )


def _interval(group: Group, reference: Group) -> str:
    interval = difference_interval(
        [each.words for each in group.errors_of_each],
        [each.errors for each in group.errors_of_each],
        [each.errors for each in reference.errors_of_each],
    )
    return "-" if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}"


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{rate:.2f}"


def _groups_json(results: list[Result]) -> dict[str, dict[str, dict[str, object]]]:
    return {
        kind: {name: _group_json(group) for name, group in grouped(results, key).items()}
        for kind, key in GROUPINGS.items()
    }


def _group_json(group: Group) -> dict[str, object]:
    return {
        "recordings": group.recordings,
        "audio_s": round(group.audio_s, 3),
        "suspect_finals": group.suspect_finals,
        "languages_right": group.languages_right,
        "languages_known": group.languages_known,
        **_errors_json(group.errors),
    }


def _errors_json(errors: WordErrors) -> dict[str, object]:
    return {
        "words": errors.words,
        "wer_percent": round(errors.rate_percent, 3) if errors.words else None,
        "substitutions": errors.substitutions,
        "deletions": errors.deletions,
        "insertions": errors.insertions,
    }


def _result_json(result: Result, offline: dict[str, str]) -> dict[str, object]:
    return {
        "wav": result.item.name,
        "language": result.item.language,
        "said": result.item.text,
        "heard": result.text,
        "offline": offline.get(result.item.name),
        "suspect_finals": result.suspect_finals,
        "language_right": result.language_right,
        "failure": result.failure,
        **_errors_json(result.errors),
    }
