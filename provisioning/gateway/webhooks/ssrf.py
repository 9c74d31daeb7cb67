"""Protection against server-side request forgery: clients choose webhook URLs, which must not reach the pod's network.

An address is checked by the same rules when the URL is stored and at each connection. A name is resolved once per
connection, all its addresses are checked, and the connection uses only those, so that a name whose address changes
after the check ("DNS rebinding") has no effect. Redirects are not followed.
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
"""IPv6 prefixes that a NAT64 gateway translates to the IPv4 address in the last 32 bits (RFC 6052, RFC 8215)."""


class ForbiddenError(OSError):
    """The address is not allowed for webhooks."""


@dataclass(frozen=True)
class AddressRules:
    """Which URLs webhooks may have."""

    http: bool
    private: bool
    ports: frozenset[int]
    """The allowed ports; empty allows all."""


async def resolve_host(host: str, port: int) -> list[Address]:
    """Return the addresses of a name from the system's resolver; raises OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LOOKUP_SECONDS):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))


def is_public(address: Address) -> bool:
    """Return whether an address, and any IPv4 address embedded in it, is on the public internet."""
    inner = _embedded(address)
    if inner is not None and not is_public(inner):
        return False
    # Site-local addresses (RFC 3879) are deprecated and still count as global in the ipaddress module.
    add_root = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (add_root or address.is_multicast or address.is_reserved)


def _embedded(address: Address) -> Address | None:
    """Return the IPv4 address that is embedded in an IPv6 address."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


class Guard:
    """Checks URLs and addresses."""

    def __init__(self, rules: AddressRules, lookup: Lookup = resolve_host) -> None:
        self._rules = rules
        self._lookup = lookup

    def parse(self, text: str) -> URL:
        """Parse a URL and check its form; raises Problem WEBHOOK_URL_FORBIDDEN with the reason."""
        if not 0 < len(text) <= MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
            raise _forbidden(f"It must have at most {MAX_URL} printable ASCII characters.")
        try:
            # Parsed as the HTTP client does: another parser might find another host.
            url = URL(text)
            host, port = url.host, url.port
        except ValueError:
            raise _forbidden("It is malformed.") from None
        if url.scheme not in ({"https", "http"} if self._rules.http else {"https"}) or not host:
            raise _forbidden("It must begin with https:// and a host name.")
        if "@" in url.raw_authority or url.fragment:
            raise _forbidden("It must not contain a user name, password or fragment.")
        if self._rules.ports and port not in self._rules.ports:
            allowed = ", ".join(map(str, sorted(self._rules.ports)))
            raise _forbidden(f"Its port must be one of {allowed}.")
        return url

    async def check(self, text: str) -> str:
        """Check a URL and return it in normalised form; raises Problem WEBHOOK_URL_FORBIDDEN.

        A name that cannot be resolved now is accepted, since it is checked again at every delivery.
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
        """Return a host's addresses; raises ForbiddenError when one is not allowed, OSError for an unknown name."""
        try:
            found = [ipaddress.ip_address(host.partition("%")[0])]
        except ValueError:
            found = await self._lookup(host, port)
        if not self._rules.private and not all(map(is_public, found)):
            raise ForbiddenError("address not allowed")
        return found


class GuardedResolver(AbstractResolver):
    """The HTTP client's resolver: the client connects only to its addresses, and TLS verifies the host name."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the allowed addresses of a host, of any family; raises OSError."""
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
        """Do nothing, since the resolver holds no resources."""


def _forbidden(detail: str) -> Problem:
    message = f"The webhook's URL cannot be used. {detail}"
    return Problem(Code.WEBHOOK_URL_FORBIDDEN, message, members=fault("url", detail))
