"""Which addresses a webhook may go to: a client names them, and the pod's inner network is none of its business.

An address is judged twice by the same rules: when it is given, and each time it is connected to. The name is looked up
once for a connection, every address found is judged, and the connection goes to those very addresses; so a name that
points elsewhere the next moment ("DNS rebinding") gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from provisioning.gateway.core.problems import Code, Problem, fault

MAX_URL = 2048
LOOKUP_SECONDS = 5.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int], Awaitable[list[Address]]]
"""Returns the addresses of a name; raises OSError."""

_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
"""IPv6 addresses that a gateway turns into the IPv4 address in their last 32 bits (RFC 6052, RFC 8215)."""


class ForbiddenError(OSError):
    """An address that no webhook may go to."""


@dataclass(frozen=True)
class Rules:
    """What is allowed."""

    http: bool
    private: bool
    ports: frozenset[int]
    """Empty means any."""


async def look_up(host: str, port: int) -> list[Address]:
    """Return the addresses of a name, by the machine's own resolver; raises OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LOOKUP_SECONDS):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))


def is_public(address: Address) -> bool:
    """Return whether an address, and the one that may be hidden in it, is out on the internet."""
    inner = _inner(address)
    if inner is not None and not is_public(inner):
        return False
    # Site-local addresses (RFC 3879) are long out of use and still counted as global.
    add_root = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (add_root or address.is_multicast or address.is_reserved)


def _inner(address: Address) -> Address | None:
    """Return the IPv4 address that an IPv6 address leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


class Guard:
    """Judges addresses."""

    def __init__(self, rules: Rules, lookup: Lookup = look_up) -> None:
        self._rules = rules
        self._lookup = lookup

    def parse(self, text: str) -> URL:
        """Return a URL that is fit to be looked up; raises Problem WEBHOOK_URL_FORBIDDEN saying what is wrong."""
        if not 0 < len(text) <= MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
            raise _forbidden(f"Write it in at most {MAX_URL} printable ASCII characters.")
        try:
            # By the client's own parser: two parsers may each see another host.
            url = URL(text)
            host, port = url.host, url.port
        except ValueError:
            raise _forbidden("It is not well formed.") from None
        if url.scheme not in ({"https", "http"} if self._rules.http else {"https"}) or not host:
            raise _forbidden("It must begin with https:// and a host name.")
        if "@" in url.raw_authority or url.fragment:
            raise _forbidden("It must hold no user name, password or fragment.")
        if self._rules.ports and port not in self._rules.ports:
            allowed = ", ".join(map(str, sorted(self._rules.ports)))
            raise _forbidden(f"Its port must be one of {allowed}.")
        return url

    async def check(self, text: str) -> str:
        """Return a URL in its plain form; raises Problem WEBHOOK_URL_FORBIDDEN.

        A name that cannot be looked up now is taken: it is judged at every delivery.
        """
        url = self.parse(text)
        try:
            await self.addresses(url.host or "", url.port or 0)
        except ForbiddenError:
            raise _forbidden("Its host is not on the public internet.") from None
        except (OSError, UnicodeError):
            return str(url)
        return str(url)

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return where a host is; raises ForbiddenError when any of it is not public, OSError when it is nowhere."""
        try:
            found = [ipaddress.ip_address(host.partition("%")[0])]
        except ValueError:
            found = await self._lookup(host, port)
        if not self._rules.private and not all(map(is_public, found)):
            raise ForbiddenError("address not allowed")
        return found


class GuardedResolver(AbstractResolver):
    """The HTTP client's resolver: what it returns is what is connected to, and the name stays the certificate's."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses that may be connected to, of any family; raises OSError."""
        del family
        found = await self._guard.addresses(host, port)
        return [
            ResolveResult(
                hostname=host, host=str(address), port=port, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
            )
            for address in found
        ]  # fmt: skip

    async def close(self) -> None:
        """Let go of nothing: there is nothing."""


def _forbidden(detail: str) -> Problem:
    message = f"The webhook's URL cannot be used. {detail}"
    return Problem(Code.WEBHOOK_URL_FORBIDDEN, message, members=fault("url", detail))
