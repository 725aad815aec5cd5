"""`POST /v1/audio/transcriptions`: from the request to the answer.

A request has one of the gateway's places from its first byte on, as a websocket has, and the same
session. Its form is read to the end before anything in it is checked: fields may follow the file.
"""

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.closing import Close
from gateway.door import Place
from gateway.refusal import Refusal
from gateway.rest.decoding import AudioFile, UndecodableError
from gateway.rest.errors import ApiError, Problem, bad_request, of_end, of_refusal
from gateway.rest.form import Request, parse_form
from gateway.rest.listeners import EventListener, WholeListener
from gateway.rest.peer import FilePeer
from gateway.rest.upload import FILE, Upload, read_form

if TYPE_CHECKING:
    from gateway.server import Gateway


async def transcribe(gateway: "Gateway", request: web.Request) -> web.StreamResponse:
    """The answer to a request.

    Raises:
        ApiError: there is none; it says why.
    """
    answer = gateway.door.ask(request.headers, request.remote)
    if isinstance(answer, Refusal):
        gateway.telemetry.metrics.refused(answer.body["type"])
        raise ApiError(of_refusal(answer))
    settings = gateway.shared.settings
    with gateway.place(answer, "file", request) as place:
        upload = await read_form(request, settings.max_file_bytes)
        try:
            asked = parse_form(upload.fields, settings.models)
            audio = await _open(upload)
            return await _serve(gateway, request, place, asked, audio)
        finally:
            upload.close()


async def _open(upload: Upload) -> AudioFile:
    if upload.file is None:
        raise bad_request("file: missing; accepted is a recording as a field of the form", FILE)
    try:
        return await asyncio.to_thread(AudioFile, upload.file, upload.size)
    except UndecodableError as error:
        raise ApiError(_undecodable(error)) from None


async def _serve(
    gateway: "Gateway", request: web.Request, place: Place, asked: Request, audio: AudioFile
) -> web.StreamResponse:
    listener: EventListener | WholeListener = WholeListener(request, asked)
    if asked.form.stream:
        listener = EventListener(request, asked, gateway.shared.settings.send_timeout_s)
    peer = FilePeer(audio, asked.metadata, listener)
    try:
        await listener.start()
        end = await gateway.serve(peer, place, request.remote)
    finally:
        await peer.release()
    if peer.finished:
        return await listener.finish(audio.duration_s)
    return await listener.fail(_problem(peer, end))


def _problem(peer: FilePeer, end: Close) -> Problem:
    return of_end(end) if peer.undecodable is None else _undecodable(peer.undecodable)


def _undecodable(error: UndecodableError) -> Problem:
    return Problem(400, str(error), param=FILE)
