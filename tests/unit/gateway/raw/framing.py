"""Requests whose end is in doubt, each with one behind it that bears a key and that nobody must find."""

from __future__ import annotations

from tests.unit.gateway.raw.requests import EITHER, HOST, MALFORMED, NO_STATUS, REFUSED, Raw, all_of, head

CHUNKED = "Transfer-Encoding: chunked"
LAST = "0\r\n\r\n"

CODINGS = (
    "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked;q=1",
    'Transfer-Encoding: "chunked"', "Transfer-Encoding: chunk", "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding: chunked\x0b", "Transfer-Encoding: cow", "Transfer-Encoding:", "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked,", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked",
    " Transfer-Encoding: chunked",
    "Transfer-Encoding:\n chunked", "X: x\nTransfer-Encoding: chunked", "X: x\rTransfer-Encoding: chunked",
    "Transfer-Encoding\n: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: identity", "Transfer-Encoding: \x00chunked", "Transfer\x00-Encoding: chunked",
)  # fmt: skip
"""Each but the plain one may be chunked to one reader and not to another."""

LENGTHS = (
    "-1", "+2", "2, 2", "2,3", "2 2", "0x2", "2.0", "2e0", "", "two", "2;q=1", "99999999999999999999999", "\x0b2",
    "2\x00", "'2'", "1_0", "\xb2", "2\r\nContent-Length: 3", "2\r\nContent-Length: 2", "0\r\nContent-Length: 2", "2\n",
)  # fmt: skip

CHUNKS = (
    "0x2\r\n{}\r\n", "-2\r\n{}\r\n", "+2\r\n{}\r\n", "FFFFFFFFFFFFFFFFF\r\n{}\r\n", " 2\r\n{}\r\n",
    "2\r{}\r",
    "2;a=b\n\r\n{}\r\n", "2\r\n{}X\r\n", "2\r\n{}", "g\r\n{}\r\n", "\r\n2\r\n{}\r\n",
    "2,2\r\n{}\r\n",
    "2\x00\r\n{}\r\n", "\r\n", "{}\r\n", "2.0\r\n{}\r\n",
)  # fmt: skip

IGNORED_CHUNKS = ("2\n{}\n", "2\r\n{}\n", "2;\x00\r\n{}\r\n")
"""Chunks that older servers read, all to the same end: from nobody they come to nothing."""

BROKEN_LINES = (
    ": y", " X: y", "\tX: y", "X : y", "X\t: y", "X: a\x00b", "X\x00: y", "X: a\rb", "X\r: y", "X Y: z", "X: y\r\n z",
    "X: y\n z",
)  # fmt: skip

IGNORED_LINES = (
    "X", "(X): y", "X[]: y", "X\xe9: y", "X@: y", "X: a\x01b", "X: a\x7fb", "X: y\nZ: z", "X,Y: z",
)  # fmt: skip
"""Lines that do not say where a request ends, and that the server may leave out: from nobody they come to nothing."""

FIRST_LINES = (
    "GET /queue  HTTP/1.1x", "GET\t/queue\tHTTP/1.1", " GET /queue HTTP/1.1",
    "GET /queue HTTP/1.2", "GET /queue HTTP/2.0", "GET /queue HTTP/0.9", "GET /queue http/1.1", "GET /queue HTTP/1.1.1",
    "GET /queue HTTPS/1.1", "GET /queue HTTP /1.1", "GET /queue HTTP/1", "GET /queue HTTP/11", "GET /queue HTTP/1,1",
    "GET /queue ICE/1.0", "GET", "/queue", "HTTP/1.1 200 OK", "PRI * HTTP/2.0", "GET /queue HTTP/-1.1",
)  # fmt: skip


LENIENT = ("GET  /queue HTTP/1.1", "GET /queue RTSP/1.0", "GET /queue HTTP/1.0", "\r\nGET /queue HTTP/1.1")
"""First lines that the parser reads: from nobody they come to nothing."""


def requests(key: str) -> list[Raw]:
    """Return them; `key` lives: in front it must not count for what is broken, and what is behind must not be found."""
    own, hidden = f"X-API-Key: {key}", head("/history", f"X-API-Key: {key}").decode("latin-1")
    coded = {line: _post(own, line, "Content-Length: 5", body=LAST + hidden) for line in (CHUNKED, *CODINGS)}
    alone = {line: _post(own, line, body=LAST + hidden) for line in CODINGS if "\nTransfer" not in line}
    lengths = {repr(text): _post(own, f"Content-Length: {text}", body="{}" + hidden) for text in LENGTHS}
    chunks = {repr(text): _post(own, CHUNKED, body=text + LAST + hidden) for text in CHUNKS}
    ignored_chunks = {repr(text): _post(CHUNKED, body=text + LAST) for text in IGNORED_CHUNKS}
    lines = {repr(line): head("/queue", line, own) + hidden.encode("latin-1") for line in BROKEN_LINES}
    ignored = {repr(line): head("/queue", line) for line in IGNORED_LINES}
    first = {repr(line): f"{line}\r\n{HOST}\r\n{own}\r\n\r\n{hidden}".encode("latin-1") for line in FIRST_LINES}
    lenient = {repr(line): f"{line}\r\n{HOST}\r\n\r\n".encode() for line in LENIENT}
    older = head("/queue", own, CHUNKED, method="POST", version="HTTP/1.0") + (LAST + hidden).encode()
    return [
        *all_of("length and coding", coded, MALFORMED, cut=True),
        *all_of("coding", alone, MALFORMED, cut=True),
        *all_of("length", lengths, MALFORMED, cut=True),
        *all_of("chunk", chunks, MALFORMED, cut=True),
        *all_of("ignored chunk", ignored_chunks, EITHER),
        *all_of("line", lines, MALFORMED, cut=True),
        *all_of("ignored line", ignored, EITHER),
        *all_of("first line", first, MALFORMED, cut=True),
        *all_of("HTTP/0.9", {"GET": b"GET /queue\r\n"}, {NO_STATUS}, cut=True),
        *all_of("first line of nobody", lenient, EITHER),
        *all_of("chunks of HTTP/1.0", {"POST": older}, MALFORMED, cut=True),
        *_unread(key),
        *_too_much(own),
    ]


def _post(*lines: str, body: str) -> bytes:
    return head("/queue", *lines, method="POST") + body.encode("latin-1")


def _unread(key: str) -> list[Raw]:
    """Return requests from nobody whose body, well formed, has a request of somebody's inside or behind."""
    inside = head("/history", f"X-API-Key: {key}").decode()
    named = {
        "inside a body": _post(f"Content-Length: {len(inside)}", body=inside),
        "inside a longer body": _post(f"Content-Length: {len(inside) + 9}", body=inside + "x" * 9),
        "inside a chunk": _post(CHUNKED, body=f"{len(inside):x}\r\n{inside}\r\n{LAST}"),
        "inside the body of a GET": head("/queue", f"Content-Length: {len(inside)}") + inside.encode(),
        "a key behind the chunks": _post(CHUNKED, body=f"2\r\n{{}}\r\n0\r\nX-API-Key: {key}\r\n\r\n"),
        "a bearer behind the chunks": _post(CHUNKED,
        "Trailer: Authorization", body=f"0\r\nAuthorization: Bearer {key}\r\n\r\n"),
        "a key beside a chunk": _post(CHUNKED, body=f"2;X-API-Key={key}\r\n{{}}\r\n{LAST}"),
        "a key in JSON": _post("Content-Length: 80", body=f'{{"key": "{key}"'.ljust(79) + "}"),
        "a key in a form": _post("Content-Length: 80",
        "Content-Type: application/x-www-form-urlencoded", body=f"api_key={key}".ljust(80, "&")),
    }  # fmt: skip
    return all_of("body", named, REFUSED)


def _too_much(own: str) -> list[Raw]:
    long, many = "a" * 70_000, [f"X-{number}: a" for number in range(8000)]
    named = {
        "long value": head("/queue", own, f"X: {long}"), "long name": head("/queue", own, f"{long}: x"),
        "many headers": head("/queue", own, *many), "long target": head(f"/queue?{long}", own),
        "long key": head("/queue", f"X-API-Key: {long}"), "long cookie": head("/queue", own, f"Cookie: {long}"),
    }  # fmt: skip
    return all_of("too much", named, MALFORMED, cut=True)
