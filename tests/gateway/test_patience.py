"""A time limit for repeated waits: `asyncio.timeout` without a timer for each."""

import asyncio
import weakref

import pytest

from gateway.patience import Patience


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_what_comes_in_time_comes_out() -> None:
    assert await Patience().wait(asyncio.sleep(0.001, "here"), now() + 1) == "here"


async def test_what_does_not_come_is_cancelled_in_time() -> None:
    patience, never = Patience(), asyncio.Event()
    began = now()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await patience.wait(never.wait(), now() + 0.02)
    assert 0.05 < now() - began < 0.5


async def test_a_limit_may_be_nearer_than_the_one_before() -> None:
    patience, never = Patience(), asyncio.Event()
    assert await patience.wait(asyncio.sleep(0, "soon"), now() + 60) == "soon"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(patience.wait(never.wait(), now() + 0.02), 1)


async def test_a_limit_that_moves_on_with_each_wait_ends_none_of_them() -> None:
    patience = Patience()
    for _ in range(20):
        await patience.wait(asyncio.sleep(0.01), now() + 0.1)


async def test_a_limit_that_passes_between_two_waits_disturbs_nobody() -> None:
    patience = Patience()
    await patience.wait(asyncio.sleep(0), now() + 0.01)
    await asyncio.sleep(0.03)
    assert await patience.wait(asyncio.sleep(0.01, "later"), now() + 1) == "later"


async def test_a_task_that_is_cancelled_is_not_told_of_a_timeout() -> None:
    patience, never = Patience(), asyncio.Event()
    for limit_s in (60.0, 0.0):
        task = asyncio.create_task(patience.wait(never.wait(), now() + limit_s))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_after_a_timeout_the_task_can_be_cancelled_as_any_other() -> None:
    patience, never = Patience(), asyncio.Event()

    async def twice() -> None:
        with pytest.raises(TimeoutError):
            await patience.wait(never.wait(), now())
        await never.wait()

    task = asyncio.create_task(twice())
    await asyncio.sleep(0.01)
    assert not task.done()
    assert not task.cancelling()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_comes_out_as_it_is() -> None:
    async def fail() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await Patience().wait(fail(), now() + 1)


async def test_once_closed_nothing_keeps_it_alive() -> None:
    patience = Patience()
    await patience.wait(asyncio.sleep(0), now() + 60)
    alive = weakref.ref(patience)
    patience.close()
    patience.close()
    del patience
    assert alive() is None


async def test_what_is_there_already_comes_even_when_time_is_over() -> None:
    patience, ready = Patience(), asyncio.Event()
    ready.set()
    for _ in range(3):
        assert await patience.wait(ready.wait(), now() - 1)
    with pytest.raises(TimeoutError):
        await patience.wait(asyncio.Event().wait(), now() - 1)
