"""Packets: their sizes, and their pace, which is the clock's and not a sum of sleeps."""

import asyncio
import os
from collections.abc import AsyncIterator

import numpy as np
import pytest

from pipeline.audio import SAMPLE_RATE
from scripts.client import Packet
from scripts.recording import Recording, pcm_bytes
from scripts.sources import MULAW, PacketFormat, from_pipe, from_recording, paced

FORM = PacketFormat(SAMPLE_RATE, packet_ms=32)


def recording(duration_s: float) -> Recording:
    samples = np.arange(round(duration_s * SAMPLE_RATE)) % 1_000
    return Recording(samples.astype(np.int16), SAMPLE_RATE)


async def collected(packets: AsyncIterator[Packet]) -> list[Packet]:
    return [packet async for packet in packets]


async def test_a_recording_is_cut_into_packets_and_a_shorter_last_one() -> None:
    source = recording(0.1)
    packets = await collected(from_recording(source, FORM, speed=0))
    assert [len(packet.data) for packet in packets] == [1024, 1024, 1024, 128]
    assert b"".join(packet.data for packet in packets) == pcm_bytes(source.pcm)
    assert sum(packet.duration_s for packet in packets) == pytest.approx(0.1)


async def test_mu_law_is_a_byte_for_each_sample() -> None:
    form = PacketFormat(8_000, packet_ms=20, encoding=MULAW)
    packets = await collected(from_recording(Recording(np.zeros(400, np.int16), 8_000), form, 0))
    assert [len(packet.data) for packet in packets] == [160, 160, 80]
    assert packets[0].duration_s == pytest.approx(0.02)


async def test_late_packets_are_made_up_for() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    number = 0
    async for _ in from_recording(recording(0.64), FORM, speed=1):
        number += 1
        if number == 2:
            await asyncio.sleep(0.2)  # a server that does not take the packet for a while
    assert number == 20
    assert loop.time() - started == pytest.approx(0.64, abs=0.15)


async def test_no_packet_leaves_before_it_could_have_been_spoken() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    spoken_s = 0.0
    async for packet in from_recording(recording(0.5), FORM, speed=2):
        spoken_s += packet.duration_s
        assert loop.time() - started >= spoken_s / 2 - 0.01


async def test_packets_without_pace_still_let_other_tasks_run() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    packets = await collected(from_recording(recording(1), FORM, speed=0))
    task.cancel()
    assert turns >= len(packets)


async def test_a_pipe_is_reblocked_and_half_a_sample_at_its_end_is_dropped() -> None:
    reader, writer = os.pipe()
    for size in (1, 1000, 24, 500):
        os.write(writer, b"x" * size)
    os.close(writer)
    packets = await collected(from_pipe(reader, FORM, speed=0))
    os.close(reader)
    assert [len(packet.data) for packet in packets] == [1024, 500]


async def test_an_empty_pipe_gives_no_packets() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    assert await collected(from_pipe(reader, FORM, speed=0)) == []
    os.close(reader)


async def test_a_source_slower_than_real_time_is_not_held_up_further() -> None:
    async def slow() -> AsyncIterator[Packet]:
        for _ in range(4):
            await asyncio.sleep(0.05)
            yield Packet(b"", 0.01)

    loop = asyncio.get_running_loop()
    started = loop.time()
    await collected(paced(slow(), speed=1))
    assert loop.time() - started == pytest.approx(0.2, abs=0.1)
