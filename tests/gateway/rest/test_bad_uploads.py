"""Forms that are none, files that are too large or no audio, and clients that stop sending."""

import asyncio
import contextlib
import gzip
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from gateway.rest import upload
from tests.gateway.conftest import Serve
from tests.gateway.rest.http_client import TRANSCRIPTIONS, Answer, form, post, request, wav
from tests.gateway.support import Server, speech

SPEECH = wav(speech(1, 2))
BOUNDARY = "multipart/form-data; boundary=x"


def open_files() -> int:
    """Files that the process has open, temporary ones among them."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    return sum("(deleted)" in os.readlink(link) for link in links if os.path.islink(link))  # noqa: PTH114, PTH115


@pytest.fixture(autouse=True)
async def no_file_is_left() -> AsyncIterator[None]:
    before = open_files()
    yield
    assert open_files() == before


@asynccontextmanager
async def begun(
    server: Server, size: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which a request of so many bytes has begun: the first of its file."""
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: {BOUNDARY}\r\n"
        f"Content-Length: {size}\r\n\r\n--x\r\n"
        'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF'.encode()
    )
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def assert_bad(answer: Answer, param: str | None, says: str) -> None:
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["param"] == param
    assert says in answer.error["message"]


async def test_a_compressed_form_is_not_unpacked(server: Server) -> None:
    """A few kilobytes could be gigabytes."""
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    bomb = gzip.compress(part + SPEECH + b"\r\n--x--\r\n")
    headers = {"Content-Type": BOUNDARY, "Content-Encoding": "gzip"}
    answer = await request(server, data=bomb, headers=headers)
    assert_bad(answer, None, "the form cannot be parsed")


async def test_no_file(server: Server) -> None:
    assert_bad(await post(server, None, model="whisper-1"), "file", "file: missing")


async def test_several_files(server: Server) -> None:
    data = form(SPEECH)
    data.add_field("file", SPEECH, filename="more.wav")
    assert_bad(await request(server, data=data), "file", "several files")


@pytest.mark.parametrize("stream", ["false", "true"])
@pytest.mark.parametrize(
    ("file", "says"),
    [(b"", "empty"), (b"hello", "cannot be read as audio"), (SPEECH[:2000], "truncated")],
    ids=["empty", "text", "truncated"],
)
async def test_a_file_that_is_no_recording_is_refused_before_anything_is_told(
    server: Server, file: bytes, says: str, stream: str
) -> None:
    assert_bad(await post(server, file, stream=stream), "file", says)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"model": "whisper-1"}', "application/json"),
        (b"model=whisper-1", "application/x-www-form-urlencoded"),
        (SPEECH, "audio/wav"),
        (b"", "application/octet-stream"),
    ],
)
async def test_another_content_type(server: Server, body: bytes, content_type: str) -> None:
    answer = await request(server, data=body, headers={"Content-Type": content_type})
    assert_bad(answer, None, f"found content type {content_type}")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n--x--\r\n"),
        (BOUNDARY, b""),
        (BOUNDARY, b"this is no form"),
        (BOUNDARY, b"--x\r\n"),
        (BOUNDARY, b"--x\r\nno header\r\n\r\nvalue\r\n--x--\r\n"),
        (BOUNDARY, b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + SPEECH),
        (BOUNDARY, b'--x\r\nContent-Disposition: form-data; name="file"'),
        (BOUNDARY, b"--x\r\n\r\nvalue\r\n--x--\r\n"),
        (BOUNDARY, b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--\r\n"),
        ("multipart/form-data; boundary=" + "x" * 200, b"--x--"),
    ],
)
async def test_a_broken_form(server: Server, content_type: str, body: bytes) -> None:
    answer = await request(server, data=body, headers={"Content-Type": content_type})
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"


async def test_a_field_that_is_no_text(server: Server) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\xff\xfe\r\n--x--\r\n'
    answer = await request(server, data=body, headers={"Content-Type": BOUNDARY})
    assert_bad(answer, "prompt", "no UTF-8")


async def test_a_field_that_is_too_long(server: Server) -> None:
    assert_bad(await post(server, SPEECH, prompt="x" * 70_000), "prompt", "too long")


async def test_too_many_fields(server: Server) -> None:
    assert_bad(await post(server, SPEECH, keywords=["x"] * 300), None, "too many fields")


async def test_a_field_that_cannot_be_used_is_refused_after_the_upload(server: Server) -> None:
    assert_bad(await post(server, SPEECH, temperature="9"), "temperature", "at most 1")


async def test_a_file_that_says_it_is_too_large_is_refused_unread(serve: Serve) -> None:
    async with serve(max_file_bytes=1024) as server, begun(server, 100 * 2**20) as (reader, _):
        assert b" 413 " in await reader.readline()
        assert b"1024 bytes at most" in await reader.read(1000)


async def test_a_file_that_turns_out_too_large_is_refused(serve: Serve) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while True:
            yield bytes(64 * 1024)

    async with serve(max_file_bytes=2**20) as server, aiohttp.ClientSession() as client:
        url = f"http://{server.address}{TRANSCRIPTIONS}"
        async with client.post(url, data=endless(), headers={"Content-Type": BOUNDARY}) as answer:
            assert answer.status == 413
            assert (await answer.json())["error"]["code"] == "file_too_large"


async def test_a_client_that_stops_sending_is_not_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "SILENCE_S", 0.05)
    async with begun(server, 1_000_000) as (reader, _):
        assert b" 408 " in await reader.readline()


async def test_a_client_that_goes_away_in_the_middle_of_its_file_leaves_nothing(
    server: Server,
) -> None:
    async with begun(server, 1_000_000) as (_, writer):
        async with asyncio.timeout(5):
            while not server.gateway.sessions:
                await asyncio.sleep(0.005)
        writer.transport.abort()
        async with asyncio.timeout(5):
            while server.gateway.sessions:
                await asyncio.sleep(0.005)
