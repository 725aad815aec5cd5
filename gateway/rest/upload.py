"""Reads a multipart form: texts into memory, up to a limit, and the file onto disk.

It checks no field. A file of any size that is allowed costs one block of memory; it lies in a
nameless temporary file, which the system removes when it is closed, whatever happens.
"""

import asyncio
import tempfile
from dataclasses import dataclass, field
from typing import IO

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.messages import cut
from gateway.rest.errors import ApiError, Problem, bad_request, too_large

FILE = "file"
BLOCK_BYTES = 256 * 1024
MAX_FIELDS = 200
MAX_FIELD_BYTES = 64 * 1024
"""Of one text field: a prompt of 4096 characters is far below."""
SILENCE_S = 60.0
"""A client that sends nothing for so long has given up."""
NOT_A_FORM = "the body must be a form (multipart/form-data) with the fields file and model"


@dataclass(slots=True)
class Upload:
    """A form that has come in. `close` it."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    """Name and value of each text field, in order."""
    file: IO[bytes] | None = None
    """Positioned at its start; None: no field `file` has come."""
    size: int = 0
    """Bytes of the file."""

    def close(self) -> None:
        """Remove the file."""
        if self.file is not None:
            self.file.close()


async def read_form(request: web.Request, max_file_bytes: int) -> Upload:
    """The form of a request.

    Raises:
        ApiError: the body is no form, is cut off, or something in it is too large.
    """
    if request.content_type != "multipart/form-data":
        raise bad_request(f"found content type {request.content_type}; {NOT_A_FORM}")
    if (request.content_length or 0) > max_file_bytes + MAX_FIELDS * MAX_FIELD_BYTES:
        raise too_large(max_file_bytes)
    upload = Upload()
    try:
        await _read_parts(await request.multipart(), upload, max_file_bytes)
    except (ValueError, AssertionError, HttpProcessingError) as error:  # aiohttp's of a bad form
        upload.close()
        why = cut(" ".join(str(error).split()) or "it is cut off")
        raise bad_request(f"the form cannot be parsed ({why}); {NOT_A_FORM}") from error
    except TimeoutError:
        upload.close()
        problem = Problem(408, f"nothing has come for {SILENCE_S:g} s", code="timeout")
        raise ApiError(problem) from None
    except BaseException:
        upload.close()
        raise
    return upload


async def _read_parts(reader: MultipartReader, upload: Upload, max_file_bytes: int) -> None:
    for _ in range(MAX_FIELDS):
        async with asyncio.timeout(SILENCE_S):
            part = await reader.next()
        if part is None:
            return
        if not isinstance(part, BodyPartReader):
            raise ValueError("a form within the form")
        if part.name == FILE:
            await _read_file(part, upload, max_file_bytes)
        else:
            upload.fields.append((part.name or "", await _read_text(part)))
    raise bad_request(f"the form has too many fields; accepted are {MAX_FIELDS} at most")


async def _read_text(part: BodyPartReader) -> str:
    name, value = cut(part.name or ""), bytearray()
    while data := await _read(part):
        value += data
        if len(value) > MAX_FIELD_BYTES:
            raise bad_request(
                f"{name}: the field is too long; accepted are {MAX_FIELD_BYTES} bytes at most",
                name,
            )
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise bad_request(f"{name}: the field is no UTF-8", name) from None


async def _read_file(part: BodyPartReader, upload: Upload, max_file_bytes: int) -> None:
    if upload.file is not None:
        raise bad_request("there are several files; accepted is one", FILE)
    upload.file = file = await asyncio.to_thread(tempfile.TemporaryFile)
    while data := await _read(part):
        upload.size += len(data)
        if upload.size > max_file_bytes:
            raise too_large(max_file_bytes)
        await asyncio.to_thread(file.write, data)
    await asyncio.to_thread(file.seek, 0)


async def _read(part: BodyPartReader) -> bytes:
    async with asyncio.timeout(SILENCE_S):
        return await part.read_chunk(BLOCK_BYTES)
