"""Conversation items out of a session's transcriptions.

Sans-I/O. With turn detection an utterance is an item: it opens with the utterance's first message
and is committed with its final. Without, and after a client's own commit, an item takes all
utterances until the flush that a commit causes is over. Rules:

1. Deltas only add text: they are made of what is committed of an utterance, and of its final where
   that goes on from there. `completed` has the text as it stands at last.
2. Every item that was committed ends with `completed` or `failed`, once.
"""

from dataclasses import dataclass, field

from gateway.dialects.realtime import events
from gateway.messages import Frame
from pipeline.language import UNDETERMINED, UNSPACED_LANGUAGES

NOTHING_TOLD = "no text has come for this part of the audio"


@dataclass
class Item:
    """One that is not complete."""

    id: str = field(default_factory=lambda: events.new_id("item"))
    utterance: int = -1
    """The newest that it has a message of."""
    is_committed: bool = False
    has_speech: bool = False
    """Whether `speech_started` was told."""
    end_s: float = 0.0
    """Where its speech ends, as far as is known."""
    texts: str = ""
    """The finals so far."""
    shown: str = ""
    """What deltas have told of the open utterance."""
    seconds: float = 0.0
    languages: list[str] = field(default_factory=list)
    problem: str | None = None

    def show(self, text: str, language: str | None) -> list[Frame]:
        """The delta that gets the open utterance to this text, if it only adds to it."""
        if not text.startswith(self.shown) or text == self.shown:
            return []
        more = text[len(self.shown) :]
        if not self.shown:
            more = _gap(self.texts, language) + more
        self.shown = text
        return [events.delta(self.id, more)]

    def take(self, final: Frame) -> list[Frame]:
        """The open utterance's final; the delta that it makes."""
        text, language = final["transcript"], final["language_code"]
        deltas = self.show(text, language)
        self.texts += _gap(self.texts, language) + text if text else ""
        self.shown = ""
        self.seconds += final["audio_length_sec"]
        if text and language not in (None, UNDETERMINED, *self.languages):
            self.languages.append(language)
        return deltas

    def end(self) -> Frame:
        """`completed`, or `failed` if a part of it failed and there is no text."""
        if self.problem is not None and not self.texts:
            return events.failed(self.id, self.problem)
        return events.completed(self.id, self.texts, self.seconds, self.languages)


class Items:
    """Those of one session."""

    def __init__(self, *, is_beta: bool) -> None:
        self.is_beta = is_beta
        self.is_manual = False
        """Whether only the client commits."""
        self._item: Item | None = None
        self._previous: str | None = None
        self._drops = False

    def transcription(self, frame: Frame) -> list[Frame]:
        """The events that a transcription message makes."""
        if self._drops:
            return []
        told = self._end_unfinished(frame["transcription_num"])
        item = self._open()
        item.utterance = frame["transcription_num"]
        if frame["segments"]:
            item.end_s = frame["segments"][-1]["end_time"]
        ends_itself = not self.is_manual and not item.is_committed
        if ends_itself:
            told += self._speech_started(item, frame)
        if not frame["is_final"]:
            return told + item.show(frame["committed"], frame["language_code"])
        if not ends_itself:
            return told + item.take(frame)
        told += [_speech_stopped(item), *self._commit(item)]
        return told + item.take(frame) + self._end(item)

    def commit(self) -> list[Frame]:
        """The client commits what it has sent; `settled` will say that all of it is told."""
        return self._commit(self._open())

    def settled(self) -> list[Frame]:
        """All that was committed has been told."""
        return [] if self._item is None else self._end(self._item)

    def leave(self) -> list[Frame]:
        """The session ends: what was committed gets no more than it has."""
        return self.settled() if self._item is not None and self._item.is_committed else []

    def drop(self) -> None:
        """The client wants nothing of what is not committed; until `dropped`."""
        self._drops = True

    def dropped(self) -> None:
        """All of it has gone."""
        self._drops = False
        self._item = None

    def fail(self, problem: str) -> list[Frame]:
        """A part of the audio could not be transcribed."""
        if self._drops:
            return []
        item = self._open()
        item.problem = problem
        if self.is_manual or item.is_committed:
            return []
        told = [*self._commit(item), events.failed(item.id, problem)]
        self._item = None
        return told

    def _open(self) -> Item:
        if self._item is None:
            self._item = Item()
        return self._item

    def _end_unfinished(self, utterance: int) -> list[Frame]:
        """An item by itself whose utterance has got no final, and now will get none."""
        item = self._item
        if item is None or self.is_manual or item.is_committed or item.utterance in (-1, utterance):
            return []
        self._item = None
        return [*self._commit(item), events.failed(item.id, NOTHING_TOLD)]

    def _speech_started(self, item: Item, frame: Frame) -> list[Frame]:
        if item.has_speech or not frame["segments"]:
            return []
        item.has_speech = True
        start_ms = round(1000 * frame["segments"][0]["start_time"])
        kind = "input_audio_buffer.speech_started"
        return [events.event(kind, audio_start_ms=start_ms, item_id=item.id)]

    def _commit(self, item: Item) -> list[Frame]:
        item.is_committed = True
        previous, self._previous = self._previous, item.id
        kind = "input_audio_buffer.committed"
        committed = events.event(kind, previous_item_id=previous, item_id=item.id)
        return [committed, *events.added(item.id, previous, self.is_beta)]

    def _end(self, item: Item) -> list[Frame]:
        self._item = None
        return [item.end()]


def _gap(before: str, language: str | None) -> str:
    """What stands between two texts of a language."""
    return "" if not before or language in UNSPACED_LANGUAGES else " "


def _speech_stopped(item: Item) -> Frame:
    end_ms = round(1000 * item.end_s)
    return events.event("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item.id)
