"""A multipart form on its way in: fields in memory, the one file on disk, everything bounded."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import IO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from provisioning.gateway.core.disk_space import problem_of
from provisioning.gateway.core.problems import Code, Problem, fault

MEMORY_BYTES = 1024 * 1024
"""A file up to this size stays in memory; a longer one goes to the container's disk."""
MAX_FIELD_BYTES = 8 * 1024
MAX_FIELDS = 16
CHUNK_BYTES = 256 * 1024


@dataclass
class Form:
    """What a form held."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    """As the client wrote it: to be checked before use."""
    file: IO[bytes] = field(default_factory=lambda: tempfile.SpooledTemporaryFile(MEMORY_BYTES))  # noqa: SIM115

    def head(self, length: int = 32) -> bytes:
        """Return the first bytes of the file."""
        self.file.seek(0)
        return self.file.read(length)

    def close(self) -> None:
        """Delete the file."""
        self.file.close()


class _Reader:
    """Collects the parts as the parser finds them."""

    def __init__(self, dropped: Collection[str]) -> None:
        self.form = Form()
        self._dropped = dropped
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._is_file = False
        self._text = bytearray()

    def callbacks(self) -> dict[str, object]:
        """Return the methods by the names the parser knows them by."""
        names = (
            "part_begin",
            "part_data",
            "part_end",
            "header_field",
            "header_value",
            "header_end",
            "headers_finished",
        )
        return {f"on_{name}": getattr(self, name) for name in names}

    def part_begin(self) -> None:
        self._headers, self._text, self._is_file = {}, bytearray(), False

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end].lower()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._header_name] = self._header_value
        self._header_name = self._header_value = b""

    def headers_finished(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if disposition != b"form-data" or b"name" not in options:
            raise _malformed("a part without a name")
        self._name = _text(options[b"name"])
        self._is_file = b"filename" in options
        if self._is_file:
            if self.form.filename is not None:
                raise _malformed("more than one file")
            self.form.filename = _text(options[b"filename"])

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.form.file.write(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD_BYTES:
            raise _malformed(f"a field longer than {MAX_FIELD_BYTES} bytes")

    def part_end(self) -> None:
        if self._is_file or self._name in self._dropped:
            return
        if self._name in self.form.fields or len(self.form.fields) >= MAX_FIELDS:
            raise _malformed("a field twice, or too many fields")
        self.form.fields[self._name] = _text(bytes(self._text))


async def read_form(content_type: str, chunks: AsyncIterator[bytes], *, dropped: Collection[str] = ()) -> Form:
    """Return a form whose body arrives in `chunks`, without the fields in `dropped`; the caller closes it.

    Raises Problem.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the file as multipart/form-data.")
    reader = _Reader(dropped)
    try:
        await _parse(reader, options[b"boundary"], chunks)
    except OSError as error:
        reader.form.close()
        # It is written to a disk on its way; the container's may be full while the volume's is not.
        raise problem_of(error) from error
    except BaseException:
        reader.form.close()
        raise
    return reader.form


async def _parse(reader: _Reader, boundary: bytes, chunks: AsyncIterator[bytes]) -> None:
    try:
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except MultipartParseError as error:
        raise _malformed("not a multipart form") from error
    if reader.form.filename is None:
        raise _malformed("no file")


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield what a file holds, from its beginning."""
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _malformed("text that is not UTF-8") from error


def _malformed(what: str) -> Problem:
    return Problem(Code.INVALID_FIELD, f"The form holds {what}.", members=fault("body", what))
