"""One real-time stream: packets out by the clock, messages in with the time of their arrival.

The clock never waits for the server: packet n is due when its last sample would have been spoken,
whatever became of the packets before. What the generator itself is late is kept apart from what
the server makes packets wait. It computes nothing of what it hears.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from gateway.client.errors import NotReadingError, RefusedError
from gateway.client.options import Options
from scripts.client import Message, Packet, Progress, SessionError, error_text, run_session
from scripts.display import partial_text
from scripts.load.playlist import AUTO, Plan
from scripts.load.track import Failure, Shown, Track

FINISH_TIMEOUT_S = 30.0
"""How long a server may take for the last finals after the last packet."""
_BLOCKED_S = 0.02
"""A send that takes longer than this has waited for the server."""


@dataclass(frozen=True)
class Target:
    """The server, and what streams ask of it."""

    url: str
    api_key: str | None = None
    interval_s: float = 1.0
    min_silence_ms: int = 300
    speech_pad_ms: int = 0
    detect_language: bool = False
    timing: bool = False
    """Have the server say how late its messages are."""
    metadata: dict[str, Message] = field(default_factory=dict)
    """More fields of the metadata, by group; they win over ours."""

    def session(self, plan: Plan) -> Message:
        """The first message of a stream."""
        return Options(
            encoding=plan.form.encoding,
            sample_rate=plan.form.rate_hz,
            language=AUTO if self.detect_language else plan.language,
            partials=True,
            partial_interval_s=self.interval_s,
            min_silence_ms=self.min_silence_ms,
            speech_pad_ms=self.speech_pad_ms,
            timing=self.timing,
            more=self.metadata,
        ).metadata()


class Player:
    """Plays one plan. `track` grows while it does."""

    def __init__(
        self, plan: Plan, target: Target, on_shown: Callable[[Track, Shown], None]
    ) -> None:
        self.track = Track(
            plan.index,
            plan.language,
            f"{plan.form.encoding} {plan.form.rate_hz / 1000:g} kHz",
            list(plan.played),
            plan.duration_s,
        )
        self.is_open = False
        self._plan = plan
        self._target = target
        self._on_shown = on_shown
        self._began = 0.0

    async def run(self) -> None:
        """Play it all and wait for the last final; failures end up in the track."""
        progress = Progress()
        limit_s = self._plan.duration_s + FINISH_TIMEOUT_S
        try:
            async with asyncio.timeout(limit_s):
                await run_session(
                    self._target.url,
                    self._target.session(self._plan),
                    self._packets(),
                    self._take,
                    api_key=self._target.api_key,
                    progress=progress,
                )
        except SessionError as error:
            self.track.failure = failure(error)
        except TimeoutError:
            reason = f"not finished {FINISH_TIMEOUT_S:.0f} s after the end of its audio"
            self.track.failure = Failure("unfinished", reason)
        self.is_open = False

    async def _packets(self) -> AsyncIterator[Packet]:
        loop = asyncio.get_running_loop()
        self._began, self.is_open = loop.time(), True
        track, length_s = self.track, self._plan.packet_s
        behind = False  # the server made an earlier packet wait, and this one with it
        for count, data in enumerate(self._plan.packets(), 1):
            due = self._began + count * length_s
            ahead_s = due - loop.time()
            # Sleeping for nothing still lets the other streams run.
            await asyncio.sleep(max(0.0, ahead_s))
            ready = loop.time()
            if ahead_s > 0 or not behind:
                track.lateness_s.append(ready - due)
            yield Packet(data, length_s)
            waited_s = loop.time() - ready
            behind = waited_s > _BLOCKED_S or (behind and ahead_s <= 0)
            track.blocked_s += waited_s if waited_s > _BLOCKED_S else 0.0
            track.sent_s = count * length_s

    def _take(self, message: Message) -> None:
        at_s = asyncio.get_running_loop().time() - self._began
        if message.get("type") == "transcription":
            arrived = shown(message, at_s)
            self.track.shown.append(arrived)
            self._on_shown(self.track, arrived)
        elif message.get("type") == "error":
            self.track.errors.append(error_text(message))


def shown(message: Message, at_s: float) -> Shown:
    """What a transcription message shows."""
    segments = message.get("segments") or []
    return Shown(
        at_s,
        bool(message.get("is_final")),
        int(message.get("transcription_num") or 0),
        partial_text(message) or str(message.get("transcript") or ""),
        segments[0].get("start_time") if segments else None,
        segments[-1].get("end_time") if segments else None,
    )


def failure(error: SessionError) -> Failure:
    """A session's end by what the server meant with it."""
    refused = isinstance(error, RefusedError | NotReadingError)
    return Failure("refused" if refused else "disconnected", str(error))
