"""What the log looks like, in both forms."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway import logs
from gateway.settings import Settings

logger = logging.getLogger("gateway.test")

Lines = Callable[[], list[str]]


@pytest.fixture
def lines_in() -> Iterator[Callable[[str], Lines]]:
    """Have the log written in a form; what was written comes back line by line."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    written = io.StringIO()

    def _configure(log_format: str) -> Lines:
        logs.configure(log_format)
        (handler,) = root.handlers
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(written)
        return lambda: written.getvalue().splitlines()

    yield _configure
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def json_lines(lines_in: Callable[[str], Lines]) -> Callable[[], list[dict[str, Any]]]:
    lines = lines_in(logs.JSON)
    return lambda: [json.loads(line) for line in lines()]


def test_a_line_for_people_names_the_session(lines_in: Callable[[str], Lines]) -> None:
    lines = lines_in(logs.TEXT)
    with logs.session("1f2e3d4c"):
        logger.info("hello %s", "you", extra=logs.fields(code=1000))
    logger.warning("nobody's")
    of_a_session, of_nobody = lines()
    assert of_a_session.endswith(" INFO gateway.test: [1f2e3d4c] hello you")
    assert of_nobody.endswith(" WARNING gateway.test: nobody's")


def test_a_json_line_has_its_fields_beside_its_message(
    json_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    with logs.session("1f2e3d4c"):
        logger.info("it ends: %d", 1000, extra=logs.fields(code=1000, audio_s=1.5))
    (line,) = json_lines()
    assert line.pop("time")[-6:] == "+00:00"
    assert line == {
        "level": "info",
        "logger": "gateway.test",
        "message": "it ends: 1000",
        "session": "1f2e3d4c",
        "code": 1000,
        "audio_s": 1.5,
    }


def test_a_traceback_is_a_field_of_its_line(
    json_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    try:
        raise ValueError("of two\nlines")
    except ValueError:
        logger.exception("a defect")
    (line,) = json_lines()
    assert line["error"].startswith("Traceback ")
    assert line["error"].endswith("ValueError: of two\nlines")
    assert "session" not in line


def test_what_cannot_be_json_is_shown_as_text(
    json_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    logger.info("odd", extra=logs.fields(value=Settings(api_keys=("secret",))))
    (line,) = json_lines()
    assert line["value"].startswith("Settings(")
    assert "secret" not in line["value"]


async def test_a_sessions_tasks_inherit_its_id_and_others_do_not(
    json_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    async def work(name: str) -> None:
        await asyncio.sleep(0)
        logger.info(name)

    async def serve(session_id: str) -> None:
        with logs.session(session_id):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(work(f"a task of {session_id}"))
        logger.info("after %s", session_id)

    await asyncio.gather(serve("one"), serve("two"))
    by_message = {line["message"]: line.get("session") for line in json_lines()}
    assert by_message == {
        "a task of one": "one",
        "a task of two": "two",
        "after one": None,
        "after two": None,
    }
