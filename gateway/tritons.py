"""Several Tritons that serve the same ensemble: which one a stream goes to, and which are well.

A stream stays with the Triton that it was opened on: the state of its sequence is there. One task
per Triton asks it every second whether it is ready. One that has ended breaks its streams by
itself; one that hangs does not, so its streams are given up once it has been silent for too long.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Sequence

from gateway.closing import EngineUnavailable
from gateway.gauges import TritonState
from gateway.tracing import Metadata
from gateway.triton import HEALTH_TIMEOUT_S, Answer, Triton, TritonStream

PROBE_INTERVAL_S = 1.0
DISTRUST_S = 10.0
"""How long a Triton that has lost a stream comes after the others."""

logger = logging.getLogger(__name__)


class Tritons:
    """The process's connections to all Tritons. Make it in a running event loop."""

    def __init__(self, addresses: Sequence[str], hang_timeout_s: float) -> None:
        self._tritons = [Triton(address) for address in addresses]
        self._hang_timeout_s = hang_timeout_s
        self._unwell: dict[Triton, str] = {}
        """Why no new stream goes there. Until it was asked, a Triton counts as well."""
        self._unasked = set(self._tritons)
        self._lost_at: dict[Triton, float] = {}
        """When it has last lost a stream, of those that were well all the time since."""
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._probes = [
            asyncio.create_task(self._probe(triton), name="gateway-probe")
            for triton in self._tritons
        ]

    async def close(self) -> None:
        """Close the connections; streams that are still open break."""
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        for triton in self._tritons:
            await triton.close()

    async def why_not_ready(self) -> str | None:
        """The reason why no stream can be served now, None if one of them is ready.

        By what they have last said, so that nobody has to be asked for whoever wants to know; only
        their first answer is waited for.
        """
        await self._until(lambda: self._is_known_well() or not self._unasked)
        if self._is_known_well():
            return None
        return "; ".join(self._unwell[triton] for triton in self._tritons)

    def _is_known_well(self) -> bool:
        return any(triton not in self._unasked for triton in self._well())

    def states(self) -> tuple[TritonState, ...]:
        """Each of them, in the order of the setting."""
        return tuple(
            TritonState(triton.address, triton not in self._unwell, len(triton.streams))
            for triton in self._tritons
        )

    def open_stream(
        self, hear: Callable[[Answer], None] = lambda _: None, metadata: Metadata = ()
    ) -> TritonStream:
        """A new stream on the Triton with the fewest; whether it is there shows with its first use.

        `hear` is called with each answer when it arrives, however much later it is received.
        """
        return self._choose().open_stream(hear, metadata)

    async def reopen_stream(
        self,
        broken: TritonStream,
        hear: Callable[[Answer], None],
        until: float,
        pause_s: float,
        metadata: Metadata = (),
    ) -> TritonStream:
        """A stream in place of one that has broken, as soon as a Triton is well.

        Args:
            broken: its Triton is trusted again only if no other is well, and once it was asked.
            hear: see `open_stream`, as for `metadata`.
            until: of the loop's clock: how long to wait.
            pause_s: how long to wait for another before the same one is taken.

        Raises:
            EngineUnavailable: none was by then.
        """
        lost = broken.triton
        self._lost_at[lost] = self._loop.time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(until, self._loop.time() + pause_s)):
                await self._until(lambda: bool(self._well(but=lost)))
        if not self._well(but=lost) and lost not in self._unwell:
            await self._ask(lost)
        try:
            async with asyncio.timeout_at(until):
                await self._until(lambda: bool(self._well()))
        except TimeoutError:
            raise EngineUnavailable("; ".join(self._unwell.values())) from None
        return self._choose(lost).open_stream(hear, metadata)

    def _choose(self, but: Triton | None = None) -> Triton:
        """The one with the fewest streams; `but` only if no other is well.

        One that has lost a stream a moment ago comes last: it may call itself ready and be of no
        use, and with the fewest streams it would get every new one.
        """
        trusted_at = self._loop.time() - DISTRUST_S
        choice = self._well(but) or self._well() or self._tritons
        lost_at = self._lost_at
        return min(choice, key=lambda t: (lost_at.get(t, -math.inf) > trusted_at, len(t.streams)))

    def _well(self, but: Triton | None = None) -> list[Triton]:
        return [each for each in self._tritons if each not in self._unwell and each is not but]

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def _probe(self, triton: Triton) -> None:
        """Ask for ever."""
        heard_at = self._loop.time()
        while True:
            if await triton.is_silent(min(HEALTH_TIMEOUT_S, self._hang_timeout_s)):
                self._note(triton, f"Triton at {triton.address} does not answer")
                if self._loop.time() - heard_at >= self._hang_timeout_s:
                    for stream in list(triton.streams):
                        stream.give_up(self._unwell[triton])
            else:
                heard_at = self._loop.time()
                await self._ask(triton)
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def _ask(self, triton: Triton) -> None:
        self._note(triton, await triton.why_not_ready(self._hang_timeout_s))

    def _note(self, triton: Triton, why_not: str | None) -> None:
        self._unasked.discard(triton)
        if why_not is None:
            if self._unwell.pop(triton, None) is not None:
                logger.info("Triton at %s is ready", triton.address)
                self._lost_at.pop(triton, None)  # it has been started again
        else:
            if triton not in self._unwell:
                logger.warning("no stream goes to it for now: %s", why_not)
            self._unwell[triton] = why_not
        self._changed.set()
