"""Room for hops: counted from the oldest unanswered one to the newest."""

import asyncio

import numpy as np

from gateway.in_flight import HopsInFlight
from gateway.sequence import Hop

LIMIT = 4


def hop(index: int) -> Hop:
    return Hop(index, 1, 0, np.zeros(512, np.int16), 512 * (index + 1), "")


async def waits(in_flight: HopsInFlight, index: int) -> bool:
    """Whether one more hop has to wait now."""
    try:
        async with asyncio.timeout(0.02):
            await in_flight.enter(hop(index))
    except TimeoutError:
        return True
    return False


async def with_hops(*indices: int) -> HopsInFlight:
    in_flight = HopsInFlight(LIMIT)
    for index in indices:
        await in_flight.enter(hop(index))
    return in_flight


async def test_so_many_hops_have_room_and_one_more_waits() -> None:
    assert await waits(await with_hops(0, 1, 2, 3), 4)


async def test_a_hop_that_is_not_answered_holds_up_those_far_behind_it() -> None:
    """It waits for the engine; more windows behind it would stand in front of other clients'."""
    in_flight = await with_hops(0, 1, 2, 3)
    for answered in (1, 2, 3):
        await in_flight.leave(answered)
    assert await waits(in_flight, LIMIT)


async def test_there_is_room_again_when_the_oldest_is_answered() -> None:
    in_flight = await with_hops(0, 1, 2, 3)
    entering = asyncio.create_task(in_flight.enter(hop(4)))
    await asyncio.sleep(0)
    assert not entering.done()
    await in_flight.leave(0)
    await asyncio.wait_for(entering, 1)
    assert await waits(in_flight, 5)


async def test_hops_that_are_answered_at_once_make_nobody_wait() -> None:
    in_flight = HopsInFlight(LIMIT)
    for index in range(10 * LIMIT):
        assert not await waits(in_flight, index)
        await in_flight.leave(index)
    await asyncio.wait_for(in_flight.drained(), 1)
