"""Whether one more stream would be served well: how late the engine has been of late, and how many
streams it would be late with.

Pure: it knows no clock, no socket and no Triton; times are passed in, in seconds of any monotonic
clock. Live streams are never touched: under load the pipeline makes their partials rarer by itself,
and the engine takes finals first. What cannot be stretched is refused at the door. Rules:

1. A delay is the time from a hop to its answer, of hops that gave a window which the client asked
   for. The last `RECENT_S` count, of all streams. A window without a message is no sample.
2. The engine is late when the median of the partials' delays or the 90th percentile of the finals'
   is above its limit, over `ENOUGH` samples.
3. A hop that is unanswered for longer than the limit is a sample too, with the time it has waited
   so far: an engine that hangs gives no answers. It is one per stream, the oldest (whatever comes
   behind it waits for the same reason), and a partial where the stream has partials: those come
   last.
4. Only hops of streams that keep to real time count. Windows of a stream that is ahead queue up
   behind its own, and one client with a file would shut everybody else out. A stream's lead is the
   audio that it has sent less the time since its first hop. While a stream that is ahead is held
   up for want of room (`gateway.in_flight`), its lead stays as it is: the pace is the server's.
   What it sends late, having been held up by a late engine, is real time as before.
5. A stream is *live* while audio comes, and for a moment after it was let in. It is *settled* when
   audio has come for `SETTLING_S`: from then on its cost shows in the delays. Others may be open
   for hours and cost nothing. How many may be live is `gateway.capacity`'s estimate.
"""

from collections import deque
from collections.abc import Iterable

from gateway.capacity import Capacity

RECENT_S = 10.0
"""Long enough for three finals of a stream, short enough to notice that others have left."""
ENOUGH = 5
"""Samples that must be there before anybody is refused."""
PARTIALS_SHARE = 0.5
FINALS_SHARE = 0.9
REAL_TIME_LEAD_S = 1.0
"""Packets of a second are real time."""
SETTLING_S = 5.0
"""By then a stream has had partials and most likely a final, and half of what counts is newer."""
RECOUNT_S = 1.0
"""How old the number of live streams may be while nobody comes or goes."""
MAX_LAG_S = 30.0
"""A stream may catch up with what it could not send for so long, and be real time. More is not
kept: a client that pauses has saved nothing up for a file."""
FORGETTING = 1.05
"""Seconds of lead that a second takes away: what was sent ahead at the start of a real-time stream
is forgotten, a second of it in twenty."""


class StreamDelays:
    """One stream's hops under way. Made by `Admission.open`."""

    def __init__(self, admission: "Admission", now: float) -> None:
        self._admission = admission
        self._unanswered: dict[int, float] = {}
        self._lead_s = 0.0
        self._sent_at: float | None = None
        self._began_at = now
        self.partials = False
        """Whether the client asked for partials."""
        self.is_ahead = False
        """Whether the newest hop came faster than real time."""

    def sent(self, hop: int, audio_s: float, held_up: bool, now: float) -> None:
        """A hop with so much audio goes to Triton. `held_up`: there was no room for it at first."""
        if self._sent_at is None or not self.is_live(now):
            self._began_at = now
        if not (held_up and self.is_ahead):
            lead_s = max(self._lead_s - FORGETTING * self._since_last_hop(now), -MAX_LAG_S)
            self.is_ahead = lead_s > REAL_TIME_LEAD_S
            self._lead_s = lead_s + audio_s
        self._sent_at = now
        if not self.is_ahead:
            self._unanswered[hop] = now

    def answered(self, hop: int, is_final: bool | None, now: float) -> float | None:
        """Triton's answer to a hop has come; None: it tells the client nothing. The delay comes
        out if it counts."""
        sent_at = self._unanswered.pop(hop, None)
        if sent_at is None or is_final is None:
            return None
        self._admission.add(is_final, now - sent_at, now)
        return now - sent_at

    def is_live(self, now: float) -> bool:
        """Whether it counts among the streams that the engine has to serve."""
        if self._sent_at is None:
            return now - self._began_at < SETTLING_S
        return now - self._sent_at < RECENT_S

    def is_settled(self, now: float) -> bool:
        """Whether its cost shows in the delays."""
        is_heard = self._sent_at is not None and self.is_live(now)
        return is_heard and now - self._began_at >= SETTLING_S

    def _since_last_hop(self, now: float) -> float:
        return 0.0 if self._sent_at is None else now - self._sent_at

    def waits_since(self) -> float | None:
        """When the oldest unanswered hop was sent, if one is unanswered."""
        return next(iter(self._unanswered.values()), None)

    def interrupt(self) -> None:
        """Triton is lost: no hop so far is answered any more."""
        self._unanswered.clear()

    def close(self) -> None:
        """The stream has ended; nothing more is expected of it."""
        self._admission.forget(self)


class Admission:
    """The delays of all streams of the process."""

    def __init__(
        self, max_partial_delay_s: float, max_final_delay_s: float, burst_streams: int
    ) -> None:
        """`burst_streams` may begin at once before anything is known of the engine."""
        self._max_partial_delay_s = max_partial_delay_s
        self._max_final_delay_s = max_final_delay_s
        self._capacity = Capacity(burst_streams)
        self._partials: deque[tuple[float, float]] = deque()
        self._finals: deque[tuple[float, float]] = deque()
        self._streams: set[StreamDelays] = set()
        self._live = 0
        self._counted_at: float | None = None  # None: somebody has come or gone since

    def open(self, now: float) -> StreamDelays:
        """The delays of a stream that is let in. Close it at the stream's end."""
        stream = StreamDelays(self, now)
        self._streams.add(stream)
        self._counted_at = None
        return stream

    def forget(self, stream: StreamDelays) -> None:
        """The stream has ended; its delays go on counting until they are old."""
        self._streams.discard(stream)
        self._counted_at = None

    def add(self, is_final: bool, delay_s: float, now: float) -> None:
        """An answer has come after so long."""
        samples = self._finals if is_final else self._partials
        samples.append((now, delay_s))
        _drop_old(samples, now)

    def partial_delay_s(self, now: float) -> float | None:
        """The median delay of partials, None without any."""
        delays = self._delays(False, now)
        return _quantile(delays, PARTIALS_SHARE) if delays else None

    def final_delay_s(self, now: float) -> float | None:
        """The 90th percentile of the delays of finals, None without any."""
        delays = self._delays(True, now)
        return _quantile(delays, FINALS_SHARE) if delays else None

    def is_overloaded(self, now: float) -> bool:
        """Whether the engine is so late that another stream would only make it later."""
        share = self._share(now)
        return share is not None and share > 1

    def free_streams(self, now: float) -> int:
        """How many more live streams would be served in time, by the estimate."""
        settled = sum(stream.is_settled(now) for stream in self._streams)
        share = self._share(now)
        self._capacity.learn(settled, share)
        if share is not None and share > 1:
            return 0
        live = sum(stream.is_live(now) for stream in self._streams)
        return max(0, self._capacity.streams(settled, share) - live)

    def live_streams(self, now: float) -> int:
        """How many streams are live. It is cheap: they are counted when somebody comes or goes, and
        every second."""
        if self._counted_at is None or now - self._counted_at >= RECOUNT_S:
            self._live = sum(stream.is_live(now) for stream in self._streams)
            self._counted_at = now
        return self._live

    def why_full(self, now: float) -> str | None:
        """Why one more stream would not be served in time, None if it would be; for clients."""
        if self.is_overloaded(now):
            return "the server is overloaded: words come late"
        if not self.free_streams(now):
            return "the server is nearly full: new streams are let in a few at a time"
        return None

    def _share(self, now: float) -> float | None:
        """The share of the allowed delay that words have, of finals or partials, whichever is
        more; None while too few have come."""
        shares = [
            _quantile(delays, share) / limit_s
            for delays, share, limit_s in (
                (self._delays(False, now), PARTIALS_SHARE, self._max_partial_delay_s),
                (self._delays(True, now), FINALS_SHARE, self._max_final_delay_s),
            )
            if len(delays) >= ENOUGH
        ]
        return max(shares, default=None)

    def _delays(self, finals: bool, now: float) -> list[float]:
        samples = self._finals if finals else self._partials
        _drop_old(samples, now)
        return [delay_s for _, delay_s in samples] + list(self._overdue(finals, now))

    def _overdue(self, finals: bool, now: float) -> Iterable[float]:
        limit_s = self._max_final_delay_s if finals else self._max_partial_delay_s
        for stream in self._streams:
            since = stream.waits_since()
            if stream.partials is not finals and since is not None and now - since > limit_s:
                yield now - since


def _drop_old(samples: deque[tuple[float, float]], now: float) -> None:
    while samples and samples[0][0] < now - RECENT_S:
        samples.popleft()


def _quantile(values: list[float], share: float) -> float:
    """The lower one where it falls between two: a single late one of a few is no percentile."""
    return sorted(values)[int(share * (len(values) - 1))]
