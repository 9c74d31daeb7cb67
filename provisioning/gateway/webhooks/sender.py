"""Sends webhook messages, with limits on time and size, and only to addresses that the guard allows."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Problem
from provisioning.gateway.webhooks.ssrf import ForbiddenError, Guard, GuardedResolver

MAX_HEAD_LINE = 8190

MAX_CONNECTIONS = 16
"""Open connections to receivers."""


@dataclass(frozen=True)
class AttemptResult:
    """The result of an attempt."""

    status: int | None
    """The status of the receiver's response; None without a response."""
    error: str | None
    """A short description for the owner; None when the receiver accepted the message."""
    duration_ms: int
    retry_after_s: float | None = None

    @property
    def accepted(self) -> bool:
        """Return whether the receiver accepted the message."""
        return self.error is None


class Sender:
    """Sends requests to receivers."""

    def __init__(self, guard: Guard, clock: Clock, timeout_seconds: float, tls: ssl.SSLContext | None = None) -> None:
        self._guard = guard
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._tls: ssl.SSLContext | bool = tls or True
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the HTTP client."""
        # One connection per request: a kept one would bypass the check of the address.
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(self._guard),
            use_dns_cache=False,
            force_close=True,
            limit=MAX_CONNECTIONS,
            ssl=self._tls,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "comfyui-gateway-webhooks", "Accept-Encoding": "identity"},
            timeout=self._timeout,
            auto_decompress=False,
            max_line_size=MAX_HEAD_LINE,
            max_field_size=MAX_HEAD_LINE,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the HTTP client."""
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptResult:
        """Send a message; errors are in the result."""
        began = self._clock.monotonic()
        status, error, retry_after = None, None, None
        try:
            status, retry_after = await self._post(url, headers, body)
            error = None if 200 <= status < 300 else _refusal(status)
        except Problem as problem:
            error = problem.detail
        except TimeoutError:
            error = "no response in time"
        except (aiohttp.ClientError, OSError, UnicodeError, ValueError) as failure:
            error = _failure(failure)
        return AttemptResult(status, error, round((self._clock.monotonic() - began) * 1000), retry_after)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float | None]:
        if self._session is None:
            raise OSError("not started")
        target = self._guard.parse(url)
        # An IP address in the URL is never resolved, so it is checked here.
        await self._check_ip_address(target.host or "", target.port or 0)
        given = {**headers, "Content-Type": "application/json"}
        async with self._session.post(target, data=body, headers=given, allow_redirects=False) as answer:
            # The body of the response is not read; leaving the block closes the connection.
            return answer.status, _retry_after(answer.headers.get("Retry-After", ""), self._clock)

    async def _check_ip_address(self, host: str, port: int) -> None:
        if ":" in host or host.replace(".", "").isdigit():
            await self._guard.addresses(host, port)


def _refusal(status: int) -> str:
    return f"a redirect ({status}), which is not followed" if 300 <= status < 400 else f"answered {status}"


def _failure(failure: Exception) -> str:
    """Return a short description that reveals nothing about the internal network."""
    causes = (failure, getattr(failure, "os_error", None), failure.__cause__)
    if any(isinstance(cause, ForbiddenError) for cause in causes):
        return "the host is not on the public internet"
    if isinstance(failure, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "the TLS certificate is invalid or not trusted"
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return "the host name cannot be resolved"
    if isinstance(failure, aiohttp.ClientConnectorError):
        return "the connection failed"
    return "the connection broke or the response was not valid HTTP"


def _retry_after(text: str, clock: Clock) -> float | None:
    """Return a Retry-After header, a number or a date, in seconds; None when it is missing or malformed."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.fromtimestamp(clock.now_ms() / 1000, UTC)).total_seconds())
