"""The order in which a session's transcripts go to its client.

Sans-I/O and pure: answers to hops go in, in any order, each hop exactly once; messages to send
come out. Rules:

1. Finals go out in the order of their utterances. A final waits for earlier utterances' finals
   only while a hop sent before its own is unanswered: after that they cannot come any more.
2. A partial goes out only when every earlier utterance's final is out (or cannot come any more).
   While it waits, the newest of its utterance is kept.
3. A partial is dropped when a newer one of its utterance, or its final, has gone out.
4. An utterance of which nothing was recognised is not told: a message without segments goes out
   only to take back text that was shown. `transcription_num` counts what is told, from 0.
5. An errored hop counts as answered.
6. When Triton is lost, what waits is forgotten: it comes again in a new sequence, whose first
   utterance is the one that was under way.
7. How the stream could go on behind a hop counts once all hops before it are answered: then every
   final of them is out.

The pipeline counts utterances from 0 in each sequence, so an utterance's key here is the pair
(sequence, utterance), and a sequence is named by its first hop.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Message = dict[str, Any]
RESUME = "resume"
"""Key of a final that is the gateway's own and not told."""


class _Key(NamedTuple):
    sequence: int
    utterance: int


class _Waiting(NamedTuple):
    hop: int
    message: Message


class Relay:
    """Orders the answers of one session."""

    def __init__(self) -> None:
        self._unanswered = 0  # every hop below this one has been answered
        self._answered_above: set[int] = set()
        self._expected = _Key(0, 0)  # no utterance before this one can go out any more
        self._finals: dict[_Key, _Waiting] = {}
        self._partials: dict[_Key, _Waiting] = {}
        self._partial_hop = -1  # hop of the newest partial sent of the expected utterance
        self._told = False  # whether anything of the expected utterance was sent
        self._next_num = 0
        self.resume: Message | None = None
        """What the last final that is out says of what comes after it."""
        self.asked: Mapping[str, Any] | None = None
        """What the last hop that asked, and counts, was told of what comes after it."""
        self._told_asking: dict[int, Mapping[str, Any]] = {}  # by its hop, until it counts

    def answer(
        self,
        hop: int,
        sequence: int,
        transcript: Message | None,
        resume: Mapping[str, Any] | None = None,
    ) -> list[Message]:
        """Take the answer to a hop (None: empty or errored); messages to send now come out.

        Args:
            hop: its index.
            sequence: the first hop of its sequence.
            transcript: what it yielded.
            resume: what it was told if it asked how the stream could go on behind it.
        """
        self._mark_answered(hop)
        if transcript is not None:
            self._keep(hop, _Key(sequence, transcript["transcription_num"]), transcript)
        if resume is not None:
            self._told_asking[hop] = resume
        due = self._due()
        self._count_asked()
        return due

    def interrupt(self, next_hop: int) -> None:
        """No hop before this one, which begins a new sequence, is answered any more."""
        self._unanswered = next_hop
        self._answered_above.clear()
        self._finals.clear()
        self._partials.clear()
        self._told_asking.clear()
        self._expected = _Key(next_hop, 0)
        self._partial_hop = -1

    def _mark_answered(self, hop: int) -> None:
        self._answered_above.add(hop)
        while self._unanswered in self._answered_above:
            self._answered_above.remove(self._unanswered)
            self._unanswered += 1

    def _count_asked(self) -> None:
        for hop in sorted(hop for hop in self._told_asking if hop < self._unanswered):
            self.asked = self._told_asking.pop(hop)

    def _keep(self, hop: int, key: _Key, transcript: Message) -> None:
        waiting = self._finals if transcript["is_final"] else self._partials
        newer = key not in waiting or waiting[key].hop < hop
        if key >= self._expected and newer:
            waiting[key] = _Waiting(hop, transcript)

    def _due(self) -> list[Message]:
        due: list[Message] = []
        for key in sorted({*self._finals, *self._partials}):
            final, partial = self._finals.get(key), self._partials.get(key)
            if final is not None and self._may_go(key, final.hop):
                due += self._take_final(key)
            elif partial is not None and self._may_go(key, partial.hop):
                due += self._take_partial(key)
            if key in self._finals or key in self._partials:
                break  # it waits, so whatever comes after it waits too
        return due

    def _take_final(self, key: _Key) -> list[Message]:
        self._expect(key)
        message = self._finals.pop(key).message
        self.resume = message.get(RESUME, self.resume)
        told = self._tell(message)
        self._expect(_Key(key.sequence, key.utterance + 1))
        return told

    def _take_partial(self, key: _Key) -> list[Message]:
        self._expect(key)
        hop, message = self._partials.pop(key)
        if hop < self._partial_hop:
            return []
        self._partial_hop = hop
        return self._tell(message)

    def _may_go(self, key: _Key, hop: int) -> bool:
        """Whether all that could precede this utterance is out or cannot come any more.

        The first utterance of a sequence follows only what was sent before the sequence.
        """
        barrier = hop if key.utterance else key.sequence
        return key == self._expected or self._unanswered >= barrier

    def _expect(self, key: _Key) -> None:
        """Everything before this utterance is closed."""
        if key == self._expected:
            return
        self._expected = key
        self._partials = {k: waiting for k, waiting in self._partials.items() if k >= key}
        self._partial_hop = -1
        self._next_num += self._told
        self._told = False

    def _tell(self, message: Message) -> list[Message]:
        if not message["segments"] and not self._told:
            return []
        self._told = True
        told = {name: value for name, value in message.items() if name != RESUME}
        return [told | {"transcription_num": self._next_num}]
