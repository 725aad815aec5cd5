"""Ends a process whose event loop is stuck: nobody is served by it, and it cannot say so itself.

Only Kubernetes starts a gateway again because `/healthz` does not answer. One that has ended is
started again everywhere, and clients that connect again find it there, or another. A thread of
Python's own, which needs no lock of the interpreter, writes where each thread is and ends the
process with status 1, unless the loop puts it off in time.

A process that is stopped for so long and goes on (`docker pause`, a debugger) ends likewise.
"""

import asyncio
import contextlib
import faulthandler
from collections.abc import AsyncIterator
from typing import NoReturn

LIMIT_S = 30.0
"""Far more than a turn of the loop takes on a loaded machine."""
RENEWAL_S = 1.0
"""Each costs 50 microseconds."""


@contextlib.asynccontextmanager
async def guarded() -> AsyncIterator[None]:
    """The process ends when the loop does not turn for `LIMIT_S` meanwhile."""
    renewing = asyncio.create_task(_renew(), name="gateway-guard")
    try:
        yield
    finally:
        renewing.cancel()
        faulthandler.cancel_dump_traceback_later()


async def _renew() -> NoReturn:
    while True:
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)
        await asyncio.sleep(RENEWAL_S)
