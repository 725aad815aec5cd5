"""Several Tritons that serve the same ensemble: which one a stream goes to, and which are well.

A stream stays with the Triton that it was opened on: the state of its sequence is there. One task
per Triton asks it every second whether it is ready. One that has ended breaks its streams by
itself; one that hangs does not, so its streams are given up once it has been silent for too long.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from gateway.closing import EngineUnavailable
from gateway.gauges import TritonState
from gateway.tracing import Metadata
from gateway.triton import HEALTH_TIMEOUT_S, Answer, Triton, TritonStream

PROBE_INTERVAL_S = 1.0

logger = logging.getLogger(__name__)


class Tritons:
    """The process's connections to all Tritons. Make it in a running event loop."""

    def __init__(self, addresses: Sequence[str], hang_timeout_s: float) -> None:
        self._tritons = [Triton(address) for address in addresses]
        self._hang_timeout_s = hang_timeout_s
        self._unwell: dict[Triton, str] = {}
        """Why no new stream goes there. Until it was asked, a Triton counts as well."""
        self._changed = asyncio.Event()
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
        """The reason why no stream can be served now, None if one of them is ready."""
        reasons = await asyncio.gather(*(triton.why_not_ready() for triton in self._tritons))
        if any(reason is None for reason in reasons):
            return None
        return "; ".join(reason for reason in reasons if reason is not None)

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
        metadata: Metadata = (),
    ) -> TritonStream:
        """A stream in place of one that has broken, as soon as a Triton is well.

        Args:
            broken: its Triton is asked anew before it is trusted again.
            hear: see `open_stream`, as for `metadata`.
            until: of the loop's clock: how long to wait.

        Raises:
            EngineUnavailable: none was by then.
        """
        await self._ask(broken.triton)
        try:
            async with asyncio.timeout_at(until):
                while len(self._unwell) == len(self._tritons):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise EngineUnavailable("; ".join(self._unwell.values())) from None
        return self._choose(broken.triton).open_stream(hear, metadata)

    def _choose(self, but: Triton | None = None) -> Triton:
        """The one with the fewest streams; `but` only if no other is well."""
        well = [triton for triton in self._tritons if triton not in self._unwell]
        others = [triton for triton in well if triton is not but]
        return min(others or well or self._tritons, key=lambda triton: len(triton.streams))

    async def _probe(self, triton: Triton) -> None:
        """Ask for ever."""
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while True:
            if await triton.is_silent(min(HEALTH_TIMEOUT_S, self._hang_timeout_s)):
                self._note(triton, f"Triton at {triton.address} does not answer")
                if loop.time() - heard_at >= self._hang_timeout_s:
                    for stream in list(triton.streams):
                        stream.give_up(self._unwell[triton])
            else:
                heard_at = loop.time()
                await self._ask(triton)
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def _ask(self, triton: Triton) -> None:
        self._note(triton, await triton.why_not_ready(self._hang_timeout_s))

    def _note(self, triton: Triton, why_not: str | None) -> None:
        if why_not is None:
            if self._unwell.pop(triton, None) is not None:
                logger.info("Triton at %s is ready", triton.address)
            self._changed.set()
        elif triton not in self._unwell:
            logger.warning("no stream goes to it for now: %s", why_not)
            self._unwell[triton] = why_not
