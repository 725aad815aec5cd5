"""Room for hops: the audio from the oldest unanswered one to the newest."""

import asyncio

import pytest

from gateway.in_flight import HopsInFlight
from gateway.sequence import Hop

HOP_SAMPLES = 512
LIMIT = 4 * HOP_SAMPLES


def hop(index: int, samples: int = HOP_SAMPLES) -> Hop:
    """One of hops that are all of the same size, but perhaps this one."""
    return Hop(index, 1, 0, bytes(2 * samples), HOP_SAMPLES * index + samples)


async def waits(in_flight: HopsInFlight, entering: Hop) -> bool:
    """Whether one more hop has to wait now."""
    has_room = in_flight.has_room(entering)
    try:
        async with asyncio.timeout(0.02):
            await in_flight.enter(entering)
    except TimeoutError:
        assert not has_room
        return True
    assert has_room
    return False


async def with_hops(*indices: int) -> HopsInFlight:
    in_flight = HopsInFlight(LIMIT)
    for index in indices:
        await in_flight.enter(hop(index))
    return in_flight


async def test_so_much_audio_has_room_and_one_more_hop_waits() -> None:
    assert await waits(await with_hops(0, 1, 2, 3), hop(4))


@pytest.mark.parametrize(("samples", "has_to_wait"), [(0, False), (1, True)])
async def test_what_counts_is_the_audio_and_not_the_number_of_hops(
    samples: int, has_to_wait: bool
) -> None:
    in_flight = await with_hops(0, 1, 2, 3)
    assert await waits(in_flight, hop(4, samples)) is has_to_wait


async def test_a_hop_that_is_longer_than_all_the_room_goes_alone() -> None:
    assert not await waits(HopsInFlight(LIMIT), hop(0, 2 * LIMIT))
    assert await waits(await with_hops(0), hop(1, 2 * LIMIT))


async def test_a_hop_that_is_not_answered_holds_up_those_far_behind_it() -> None:
    """It waits for the engine; more windows behind it would stand in front of other clients'."""
    in_flight = await with_hops(0, 1, 2, 3)
    for answered in (1, 2, 3):
        in_flight.leave(answered)
    assert await waits(in_flight, hop(4))


async def test_there_is_room_again_when_the_oldest_is_answered() -> None:
    in_flight = await with_hops(0, 1, 2, 3)
    entering = asyncio.create_task(in_flight.enter(hop(4)))
    await asyncio.sleep(0)
    assert not entering.done()
    in_flight.leave(0)
    await asyncio.wait_for(entering, 1)
    assert await waits(in_flight, hop(5))


async def test_hops_that_are_answered_at_once_make_nobody_wait() -> None:
    in_flight = HopsInFlight(LIMIT)
    for index in range(40):
        assert not await waits(in_flight, hop(index))
        in_flight.leave(index)
    await asyncio.wait_for(in_flight.drained(), 1)


async def test_all_who_wait_are_woken_and_one_that_is_cancelled_disturbs_no_other() -> None:
    in_flight = await with_hops(0, 1)
    waiting = [asyncio.create_task(in_flight.drained()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    in_flight.leave(0)
    await asyncio.sleep(0.01)
    assert [task.done() for task in waiting] == [True, False, False]
    in_flight.leave(1)
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 1)


async def test_who_is_in_a_hurry_waits_for_no_answer() -> None:
    in_flight = await with_hops(0)
    waiting = asyncio.create_task(in_flight.drained_or_hurried())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    in_flight.hurry()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(in_flight.drained_or_hurried(), 1)
