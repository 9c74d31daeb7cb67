"""One request to a receiver: bounded in time and size, to nowhere but where the guard allows."""

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

AT_ONCE = 16
"""Open connections to receivers."""


@dataclass(frozen=True)
class Result:
    """What came of one attempt."""

    status: int | None
    """What the receiver answered; None when it did not."""
    error: str | None
    """A few words for the owner; None when the receiver took the message."""
    duration_ms: int
    retry_after_s: float | None = None

    @property
    def taken(self) -> bool:
        """Return whether the receiver took the message."""
        return self.error is None


class Sender:
    """Makes requests."""

    def __init__(self, guard: Guard, clock: Clock, timeout_seconds: float, tls: ssl.SSLContext | None = None) -> None:
        self._guard = guard
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._tls: ssl.SSLContext | bool = tls or True
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the client."""
        # A connection is for one request: a kept one would go to an address that was judged long ago.
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(self._guard), use_dns_cache=False, force_close=True, limit=AT_ONCE, ssl=self._tls
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
        """Close the client."""
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Result:
        """Send a message; whatever goes wrong is in the result."""
        began = self._clock.monotonic()
        status, error, retry_after = None, None, None
        try:
            status, retry_after = await self._post(url, headers, body)
            error = None if 200 <= status < 300 else _refusal(status)
        except Problem as problem:
            error = problem.detail
        except TimeoutError:
            error = "no answer in time"
        except (aiohttp.ClientError, OSError, UnicodeError, ValueError) as failure:
            error = _failure(failure)
        return Result(status, error, round((self._clock.monotonic() - began) * 1000), retry_after)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float | None]:
        if self._session is None:
            raise OSError("not started")
        target = self._guard.parse(url)
        # An address that stands in the URL itself is never resolved: it is judged here.
        await self._judge_literal(target.host or "", target.port or 0)
        given = {**headers, "Content-Type": "application/json"}
        async with self._session.post(target, data=body, headers=given, allow_redirects=False) as answer:
            # Of the answer's body nothing is read: the connection is closed on leaving.
            return answer.status, _retry_after(answer.headers.get("Retry-After", ""), self._clock)

    async def _judge_literal(self, host: str, port: int) -> None:
        if ":" in host or host.replace(".", "").isdigit():
            await self._guard.addresses(host, port)


def _refusal(status: int) -> str:
    return f"a redirect ({status}), which is not followed" if 300 <= status < 400 else f"answered {status}"


def _failure(failure: Exception) -> str:
    """Return a few words that tell nothing of the network behind us."""
    causes = (failure, getattr(failure, "os_error", None), failure.__cause__)
    if any(isinstance(cause, ForbiddenError) for cause in causes):
        return "its host is not on the public internet"
    if isinstance(failure, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its certificate is not valid for its name, or not trusted"
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return "its name cannot be looked up"
    if isinstance(failure, aiohttp.ClientConnectorError):
        return "no connection"
    return "the connection broke or the answer was not HTTP"


def _retry_after(text: str, clock: Clock) -> float | None:
    """Return the seconds that a Retry-After header asks for, in either of its forms; None when it asks nothing."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.fromtimestamp(clock.now_ms() / 1000, UTC)).total_seconds())
