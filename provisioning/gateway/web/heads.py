"""Which heads of requests are read at all: those that every reader understands alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from provisioning.gateway.problems import Code, Problem

MAX_HEAD_BYTES = 64 * 1024
SOCKET_VERSION = b"13"
"""RFC 6455, 4.1."""
_NONCE = re.compile(rb"[A-Za-z0-9+/]{22}==")

_WATCHED = frozenset({b"transfer-encoding", b"upgrade"})
"""Headers that make a head more than plain; hardly any request has one."""

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case."""


class Head(NamedTuple):
    """The head of a request as the parser read it."""

    method: bytes
    target: bytes
    version: str
    headers: Headers
    upgrade: bytes | None
    """What the connection is to become, when it says so itself."""

    @property
    def size(self) -> int:
        """Return how many bytes it took, give or take the white space."""
        return sum(map(len, chain.from_iterable(self.headers))) + 4 * len(self.headers) + len(self.target)

    def refusal(self) -> Problem | None:
        """Return why it is not to be read on; None for a head that nobody could misunderstand."""
        if self.size > MAX_HEAD_BYTES:
            return Problem(Code.HEADERS_TOO_LARGE)
        plain = self._has_plain_target()
        if plain and _WATCHED.isdisjoint(map(itemgetter(0), self.headers)):
            return None
        if not (plain and self._has_plain_body() and self._has_plain_upgrade()):
            return Problem(Code.INVALID_REQUEST, "The first line or the headers are not in their plain form.")
        return self._handshake_refusal() if self.upgrade == b"websocket" else None

    def _has_plain_target(self) -> bool:
        # An absolute target would name another host than the Host header, and uvicorn would not tell us.
        return self.version in {"1.1", "1.0"} and self.target.startswith(b"/") and self.method != b"CONNECT"

    def _has_plain_body(self) -> bool:
        # The parser reads on with other codings in front, and with the chunks of an HTTP/1.0 client.
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        return not codings or (codings == [b"chunked"] and self.version == "1.1")

    def _has_plain_upgrade(self) -> bool:
        names = {name for name, _ in self.headers}
        if b"upgrade" not in names:
            return True
        # After a body the parser would tell nobody of the upgrade, and the connection would wait for ever.
        bare = not names & {b"content-length", b"transfer-encoding"} and self.version == "1.1"
        return bare and self.upgrade == b"websocket" and self.method == b"GET"

    def _handshake_refusal(self) -> Problem | None:
        # What websockets would refuse as well, in a form of its own.
        if self._values(b"sec-websocket-version") != [SOCKET_VERSION]:
            wanted = (("upgrade", "websocket"), ("sec-websocket-version", SOCKET_VERSION.decode()))
            return Problem(Code.UPGRADE_REQUIRED, "Send Sec-WebSocket-Version: 13, once.", headers=wanted)
        nonces = self._values(b"sec-websocket-key")
        if len(nonces) != 1 or not _NONCE.fullmatch(nonces[0]):
            return Problem(Code.INVALID_REQUEST, "Send one Sec-WebSocket-Key of 16 bytes in base 64.")
        return None

    def _values(self, name: bytes) -> list[bytes]:
        return [value.strip() for key, value in self.headers if key == name]
