"""What the later stages have told of a stream's open utterance, so that its next windows know it.

It remembers which of the windows that were sent belongs to which segment, since FEEDBACK does not
say so. It decides no window and no language; `Stream` asks it.
"""

from typing import NamedTuple

from pipeline.feedback import Feedback
from pipeline.utterance import Window
from pipeline.window import KnownText, SettledText

MOST_REMEMBERED = 16
"""Windows of one utterance whose answers may teach something; more are not under way."""

Language = tuple[str | None, float | None]
"""The language of a window and how sure the stream is of it; see WindowInfo."""


Speech = tuple[int, int, int, int]
"""What decides a window's audio: where speech and audio start, where they end."""


def _speech_of(window: Window) -> Speech:
    return window.start, window.end, window.audio_start, len(window.audio)


class _Sent(NamedTuple):
    start: int
    speech: Speech | None
    """Of an early window."""
    segment: bool
    language: Language


class Recognised:
    """Texts and language of one utterance."""

    def __init__(self) -> None:
        self.settled: list[SettledText] = []
        """Its segments' texts, in order."""
        self.language: Language | None = None
        """Of its settled segments: the rest is decoded in it too."""
        self._sent: dict[int, _Sent] = {}
        self._segment: int | None = None  # where the one starts that these are of:
        self._previous = ""
        self._committed = ""
        self._known: tuple[Speech, KnownText] | None = None

    def send(self, window: Window, language: Language) -> None:
        """A window of the utterance is about to be decoded."""
        speech = _speech_of(window) if window.early else None
        self._sent[window.number] = _Sent(window.start, speech, window.segment, language)
        if len(self._sent) > MOST_REMEMBERED:
            del self._sent[min(self._sent)]

    def learn(self, feedback: Feedback) -> None:
        """Take the answer to a window that shows what has been said so far."""
        sent = self._take(feedback.number)
        if sent is not None and not sent.segment:
            self._segment = sent.start
            self._previous, self._committed = feedback.text, feedback.committed
            if sent.speech is not None:
                self._known = sent.speech, _known(feedback, sent.language)

    def settle(self, feedback: Feedback, text: SettledText) -> None:
        """Take the answer to a segment that was waited for."""
        sent = self._take(feedback.number)
        self.settled.append(text)
        if self.language is not None:
            return
        if feedback.language is not None:
            self.language = feedback.language, feedback.language_prob
        elif sent is not None and sent.language[0] is not None:
            self.language = sent.language

    def texts_before(self, window: Window) -> tuple[str, str]:
        """What was last recognised of the window's segment, and what of that is committed."""
        return (self._previous, self._committed) if window.start == self._segment else ("", "")

    def known_of(self, window: Window) -> KnownText | None:
        """What the engine has said of this very audio already."""
        if self._known is None or self._known[0] != _speech_of(window):
            return None
        return self._known[1]

    def _take(self, number: int) -> _Sent | None:
        """The window of an answer, if it is of this utterance and the newest answer so far."""
        sent = self._sent.pop(number, None)
        if sent is not None:
            self._sent = {later: it for later, it in self._sent.items() if later > number}
        return sent


def _known(feedback: Feedback, asked: Language) -> KnownText:
    """The language is the one that the window was to be decoded in, or that the engine found."""
    found = feedback.language, feedback.language_prob
    language, prob = asked if feedback.language is None else found
    return KnownText(
        text=feedback.text,
        log_prob=feedback.log_prob,
        tokens=feedback.tokens,
        language=language,
        language_prob=prob,
    )
