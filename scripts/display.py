"""How transcription messages look to a person: finals are kept, the partial is replaced in place.

Of a partial, what the server may still change is faint. Writes to any text stream and uses escape
codes only on a terminal. Knows no network.
"""

import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

Message = dict[str, Any]

_WIDE = ("W", "F")
_FAINT, _NORMAL = "\x1b[2m", "\x1b[22m"
_PARTIAL_MARK = "..."


class Display:
    """Shows messages on `out`. Without a terminal a partial is a line of its own."""

    def __init__(self, out: TextIO, *, terminal: bool | None = None) -> None:
        self._out = out
        self._terminal = out.isatty() if terminal is None else terminal
        self._rows = 0
        """Rows of the partial that is on the terminal now."""

    def show(self, message: Message) -> None:
        """A `transcription` message; a partial replaces the one before, a final ends it."""
        if message.get("is_final"):
            self.lines(final_lines(message))
        else:
            self._partial(partial_text(message), message.get("committed"))

    def lines(self, lines: Iterable[str]) -> None:
        """Lines that stay, in the place of the partial."""
        self.erase()
        for line in lines:
            self._out.write(f"{line}\n")
        self._out.flush()

    def erase(self) -> None:
        """Take the partial off the terminal."""
        if self._rows:
            up = f"\x1b[{self._rows - 1}A" if self._rows > 1 else ""
            self._out.write(f"\r{up}\x1b[J")
            self._out.flush()
        self._rows = 0

    def _partial(self, text: str, committed: str | None) -> None:
        if not self._terminal:
            self.lines([f"{_PARTIAL_MARK} {text}"] if text else [])
            return
        self.erase()
        size = shutil.get_terminal_size()
        rows = wrap(f"{_PARTIAL_MARK} {text}", size.columns - 1) if text else []
        if committed is not None:
            rows = faint_behind(rows, _visible(_PARTIAL_MARK + _printable(committed)))
        rows = rows[-max(1, size.lines - 1) :]
        self._out.write("\n".join(rows))
        self._out.flush()
        self._rows = len(rows)


def final_lines(message: Message) -> Iterator[str]:
    """A final as lines: one per segment, with its words and beams when they were asked for."""
    for segment in message.get("segments") or []:
        span = f"[{segment['start_time']:6.2f} - {segment['end_time']:6.2f}]"
        parts = [span, _language(segment), _printable(segment.get("text") or "")]
        if segment.get("possible_hallucination"):
            parts.append("(possible hallucination)")
        yield " ".join(part for part in parts if part)
        yield from _word_lines(segment)
        yield from _beam_lines(segment)


def partial_text(message: Message) -> str:
    """The text of a partial, on one line."""
    texts = [segment.get("text") or "" for segment in message.get("segments") or []]
    return _printable(" ".join(texts)).strip()


def timing_line(message: Message) -> str:
    """The server's own account of a message's way, as it came."""
    timing = message.get("timing_info") or {}
    parts = [f"{name} {value}" for name, value in timing.items()]
    if message.get("pipeline_latency") is not None:
        parts.append(f"pipeline_latency {message['pipeline_latency']}")
    return "    timing: " + (", ".join(parts) or "none given")


def wrap(text: str, columns: int) -> list[str]:
    """Text in rows of at most `columns` cells, broken between words where a row has any."""
    rows = [""]
    for word in text.split(" "):
        joined = f"{rows[-1]} {word}" if rows[-1] else word
        if cells(joined) <= columns:
            rows[-1] = joined
        else:
            rows.extend(_broken(word, columns))
    return [row for row in rows if row]


def faint_behind(rows: Sequence[str], kept: int) -> list[str]:
    """Rows with all but the first `kept` visible characters faint; each row ends as it began."""
    shown = []
    for row in rows:
        cut = next((i for i in range(len(row)) if _visible(row[:i]) == kept), len(row))
        faint = _visible(row) > kept
        shown.append(f"{row[:cut]}{_FAINT}{row[cut:]}{_NORMAL}" if faint else row)
        kept = max(0, kept - _visible(row))
    return shown


def _visible(text: str) -> int:
    """Characters of a text; spaces come and go with the rows."""
    return len(text) - text.count(" ")


def cells(text: str) -> int:
    """Columns that text takes on a terminal: East Asian characters two, combining ones none."""
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def _broken(word: str, columns: int) -> list[str]:
    """A word in pieces that fit a row: languages without spaces are one long word."""
    rows = [""]
    for character in word:
        if rows[-1] and cells(rows[-1]) + _cell(character) > columns:
            rows.append("")
        rows[-1] += character
    return rows


def _printable(text: str) -> str:
    """Nothing a terminal could take for a command, and no line breaks."""
    return "".join(c if c.isprintable() else " " for c in text)


def _language(segment: Message) -> str:
    """The language when it was detected; a given one comes without probability."""
    probability = segment.get("language_prob")
    return "" if probability is None else f"({segment['language_code']} {probability:.2f})"


def _word_lines(segment: Message) -> Iterator[str]:
    for word in segment.get("word_timestamps") or []:
        span = f"{word['start_time']:6.2f} - {word['end_time']:6.2f}"
        yield f"    {span}  {_printable(word['word']).strip()}  ({word['prob']:.2f})"


def _beam_lines(segment: Message) -> Iterator[str]:
    for beam in segment.get("beam_results") or []:
        text = _printable(str(beam["text"])) if isinstance(beam, dict) else _printable(str(beam))
        scored = isinstance(beam, dict) and beam.get("log_prob") is not None
        yield f"    beam: {text}  ({beam['log_prob']:.2f})" if scored else f"    beam: {text}"
