"""A manifest of recordings: tab-separated, with a heading, one recording per line.

Columns used are `wav` (relative to the manifest), `language`, `text` and `duration_s`; others are
for people. A recording whose text is empty has no speech in it.
"""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipeline.language import LANGUAGES

DEFAULT_LANGUAGE = "en"
"""Told to the server about a recording without speech, as a client that knows no better would."""

_REQUIRED = ("wav", "duration_s", "language", "text")


class ManifestError(Exception):
    """The manifest cannot be used; the message says why."""


@dataclass(frozen=True)
class Item:
    """One recording and what is said in it."""

    name: str
    """As the manifest writes it."""
    path: Path
    duration_s: float
    language: str
    text: str

    @property
    def folder(self) -> str:
        return Path(self.name).parent.as_posix()

    @property
    def has_speech(self) -> bool:
        return bool(self.text.strip())

    @property
    def given_language(self) -> str:
        return self.language if self.language in LANGUAGES else DEFAULT_LANGUAGE


def read_manifest(path: Path) -> list[Item]:
    """The recordings in the order of the manifest.

    Raises:
        ManifestError: unreadable, a column missing, or no recording in it.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            # Quotes are part of the texts, not of the format.
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot read {path}: {error}") from error
    if not rows:
        raise ManifestError(f"{path} lists no recordings")
    if missing := [name for name in _REQUIRED if rows[0].get(name) is None]:
        raise ManifestError(f"{path} has no column {', '.join(missing)} (columns are tabs apart)")
    return [_item(path, number, row) for number, row in enumerate(rows, 2)]


def limited(items: list[Item], per_folder: int | None) -> list[Item]:
    """At most the first so many of every folder, so that every language stays in."""
    if per_folder is None:
        return items
    seen: Counter[str] = Counter()
    kept = []
    for item in items:
        seen[item.folder] += 1
        if seen[item.folder] <= per_folder:
            kept.append(item)
    return kept


def _item(manifest: Path, line: int, row: dict[str, str]) -> Item:
    path = manifest.parent / row["wav"]
    if not path.is_file():
        raise ManifestError(f"{manifest}, line {line}: there is no recording {path}")
    try:
        duration_s = float(row["duration_s"])
    except ValueError as error:
        raise ManifestError(f"{manifest}, line {line}: duration_s: {error}") from error
    return Item(row["wav"], path, duration_s, row["language"], row["text"] or "")
