"""The page's files as they are served: which there are, their headers, and what they refer to."""

import re
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest

from gateway.page.serve import HEADERS, STATIC
from pipeline.language import LANGUAGES_IN_ORDER
from tests.gateway.support import Server

INDEX = (STATIC / "index.html").read_text()
FILES = sorted(path.name for path in STATIC.iterdir() if path.name != "index.html")
SCRIPTS = sorted(STATIC.glob("*.js"))
IMPORT = re.compile(r'(?:from|new URL\() ?"\./?([\w./-]+\.js)"|new URL\("([\w-]+\.js)"')

ELEMENT = re.compile(r'(?:part\("|querySelector\("#)([\w-]+)"')


class Markup(HTMLParser):
    """What a document's tags say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def values(self, *names: str) -> list[str]:
        return [value for name, value in self.attributes if name in names]


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html"),
        ("/page/main.js", "text/javascript"),
        ("/page/style.css", "text/css"),
        ("/page/icon.svg", "image/svg+xml"),
    ],
)
async def test_files_come_with_their_type_and_every_header_that_keeps_them_harmless(
    server: Server, path: str, media_type: str
) -> None:
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://{server.address}{path}") as response,
    ):
        assert response.status == 200
        assert response.content_type == media_type
        assert response.charset == "utf-8"
        assert {name: response.headers[name] for name in HEADERS} == HEADERS


async def test_a_file_that_has_not_changed_is_not_sent_again(server: Server) -> None:
    url = f"http://{server.address}/page/main.js"
    async with aiohttp.ClientSession() as client:
        async with client.get(url) as first:
            etag = first.headers["ETag"]
            assert len(await first.read()) > 1000
        async with client.get(url, headers={"If-None-Match": f'"other", W/{etag}'}) as again:
            assert again.status == 304
            assert await again.read() == b""
            assert again.headers["ETag"] == etag
            assert again.headers["Cache-Control"] == "no-cache"
        async with client.get(url, headers={"If-None-Match": '"other"'}) as changed:
            assert changed.status == 200


@pytest.mark.parametrize("name", ["index.html", "serve.py", "../serve.py", "%2e%2e/serve.py", ""])
async def test_nothing_else_is_served(server: Server, name: str) -> None:
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://{server.address}/page/{name}") as response,
    ):
        assert response.status == 404
        assert (await response.json())["type"] == "not_found"


def test_the_policy_lets_nothing_inline_run() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "*" not in policy


def test_the_document_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    markup = Markup(INDEX)
    assert "style" not in markup.tags
    assert not [name for name, _ in markup.attributes if name == "style" or name.startswith("on")]
    assert re.findall(r"<script[^>]*>([^<]*)", INDEX) == ["", ""]
    references = markup.values("href", "src")
    assert len(references) == 4
    assert all(reference.removeprefix("page/") in FILES for reference in references)


def test_every_label_names_a_field_and_every_id_is_there_once() -> None:
    markup = Markup(INDEX)
    ids = markup.values("id")
    assert len(ids) == len(set(ids))
    named = " ".join(markup.values("for", "aria-labelledby", "aria-describedby")).split()
    assert set(named) <= set(ids)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_asks_only_for_files_and_elements_that_are_there(script: Path) -> None:
    text = script.read_text()
    assert {name for found in IMPORT.findall(text) for name in found if name} <= {*FILES}
    assert {*ELEMENT.findall(text)} <= {*Markup(INDEX).values("id")}


def test_every_language_of_whisper_can_be_chosen() -> None:
    text = (STATIC / "languages.js").read_text()
    codes = " ".join(re.findall(r'^  "([a-z ]+)"', text, re.MULTILINE)).split()
    assert codes == list(LANGUAGES_IN_ORDER)
