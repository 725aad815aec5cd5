"""Many streams at once: each gets its own text, and no stream disturbs another."""

import asyncio
from random import Random

from scripts.server import Server
from tests.end_to_end.recordings import JFK, audio, errors_in, language_of
from tests.end_to_end.sessions import Frame, Session, no_stream_is_left, talk, transcribe

CLIPS = (
    "en/arctic_a0009",
    "en/pbx-invalidpark",
    "en/sense_and_sensibility",
    "es/vm-nonumber",
    "es/confbridge-begin-glorious-c",
    "fr/priv-introsaved",
    "ru/demo-enterkeywords",
)
GARBAGE_S = 2


def language(name: str) -> Frame:
    return {"whisper_params": {"audio_language": language_of(name)}}


async def send_garbage(server: Server) -> None:
    """Bytes that are no speech, texts that are no requests, and no farewell."""
    random = Random(9)
    async with talk(server, {}) as talking:
        for _ in range(GARBAGE_S * 50):
            await talking.send(random.randbytes(random.randrange(1, 3000)), '{"type": "?"', "\0")
            await asyncio.sleep(0.02)
        talking.client.transport.abort()


async def test_eight_streams_at_once_get_their_own_text_while_a_ninth_sends_garbage(
    server: Server,
) -> None:
    names = [*CLIPS, JFK]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send_garbage(server))
        running = [
            tasks.create_task(transcribe(server, audio(name), language(name), speed=2))
            for name in names
        ]
    for name, session in zip(names, (task.result() for task in running), strict=True):
        assert session.errors == []
        own = errors_in(session.text, name).rate_percent
        assert own < 30, (name, session.text)
        others = [errors_in(session.text, other).rate_percent for other in names if other != name]
        assert min(others) > 80, (name, session.text)
    assert await no_stream_is_left(server)


async def test_the_same_recording_is_told_the_same_alone_and_in_company(server: Server) -> None:
    async def told(speed: float) -> Session:
        return await transcribe(server, audio(JFK), speed=speed)

    alone = await told(0)
    company = await asyncio.gather(*(told(speed) for speed in (0, 4, 8, 0)))
    assert [session.spans for session in company] == [alone.spans] * 4
    assert [session.text for session in company] == [alone.text] * 4
