"""Serves the page's files: `/` and `/page/NAME`, each with the headers that keep it harmless.

The files are few and small, so they are read once. Only names that exist have a route. Browsers
ask each time whether a file has changed (`no-cache`) and are answered by its ETag, so a page never
mixes the files of two versions.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ETag, web

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",  # the audio worklet's too
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",  # websockets of the same origin too
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""The page loads its own files, talks to its own server, and turns no text into code or markup."""
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    """One file of the page."""

    body: bytes
    media_type: str
    etag: str

    async def serve(self, request: web.Request) -> web.Response:
        """The file, or 304 where the client has it."""
        known = request.if_none_match or ()
        if any(tag.value in (self.etag, "*") for tag in known):
            response = web.Response(status=304, headers=HEADERS)
        else:
            response = web.Response(
                body=self.body, content_type=self.media_type, charset="utf-8", headers=HEADERS
            )
        response.etag = ETag(self.etag)
        return response


def routes() -> list[web.RouteDef]:
    """`/` and every file of the page."""
    files = {path.name: _read(path) for path in sorted(STATIC.iterdir())}
    index = files.pop(INDEX)
    named = [web.get(f"/page/{name}", file.serve) for name, file in files.items()]
    return [web.get("/", index.serve), *named]


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, MEDIA_TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])
