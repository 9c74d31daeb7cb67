"""A multipart form on its way in: fields in memory, the one file on disk, everything bounded."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import IO

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from provisioning.gateway.core.disk_space import problem_of
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code, Problem, fault

MAX_FIELD_BYTES = 8 * 1024
MAX_FIELDS = 16
CHUNK_BYTES = 256 * 1024

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}", re.ASCII)
"""RFC 2046, 5.1.1."""


@dataclass
class Form:
    """What a form held."""

    fields: dict[str, str]
    filename: str
    """As the client wrote it: to be checked before use."""
    file: IO[bytes]

    def head(self, length: int = 32) -> bytes:
        """Return the first bytes of the file."""
        self.file.seek(0)
        return self.file.read(length)

    def close(self) -> None:
        """Delete the file."""
        self.file.close()


async def read_form(request: GatewayRequest, *, dropped: Collection[str] = ()) -> Form:
    """Return the form in a request's body, without the fields in `dropped`; the caller closes it.

    Raises Problem.
    """
    content_type = request.header("content-type") or ""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"").decode("latin-1")
    if kind != b"multipart/form-data" or not _BOUNDARY.fullmatch(boundary):
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the file as multipart/form-data with a boundary of RFC 2046.")
    try:
        data = await _parsed(request, boundary, MAX_FIELDS + len(dropped))
    except MultiPartException as error:
        raise _malformed(f"what is no multipart form: {error.message}") from error
    except OSError as error:
        # The file is written to a disk on its way; the container's may be full while the volume's is not.
        raise problem_of(error) from error
    try:
        return _form(data, dropped)
    except Problem:
        await data.close()
        raise


async def _parsed(request: GatewayRequest, boundary: str, max_fields: int) -> FormData:
    # Starlette takes text that is not UTF-8 for Latin-1. As Latin-1 all text keeps its bytes, and `_text` decodes it.
    headers = Headers({"content-type": f'multipart/form-data; boundary="{boundary}"; charset=latin-1'})
    async with contextlib.aclosing(request.stream()) as stream:
        parser = MultiPartParser(headers, stream, max_files=1, max_fields=max_fields, max_part_size=MAX_FIELD_BYTES)
        return await parser.parse()


def _form(data: FormData, dropped: Collection[str]) -> Form:
    files = [value for _, value in data.multi_items() if isinstance(value, UploadFile)]
    texts = [(_text(name), value) for name, value in data.multi_items() if isinstance(value, str)]
    fields = [(name, _text(value)) for name, value in texts if name not in dropped]
    if not files:
        raise _malformed("no file")
    if len(dict(fields)) != len(fields) or len(fields) > MAX_FIELDS:
        raise _malformed("a field twice, or too many fields")
    return Form(dict(fields), _text(files[0].filename or ""), files[0].file)


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield what a file holds, from its beginning."""
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _text(data: str) -> str:
    try:
        return data.encode("latin-1").decode()
    except UnicodeError as error:
        raise _malformed("text that is not UTF-8") from error


def _malformed(what: str) -> Problem:
    return Problem(Code.INVALID_FIELD, f"The form holds {what}.", members=fault("body", what))
