"""API keys, the scope of a pod's own key, clients that the firewall refuses, and rate limits."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass

from aiohttp import web

from tests.emulator.problems import BLOCKED_AGENT, ApiError
from tests.emulator.state import State

REFUSED_KEYS = "rpa_invalid"
"""Keys that begin so are unknown to this RunPod; every other text is the key of an account."""
COPY = "+"
"""What follows it tells several keys of one account apart: `alice+1` and `alice+2` are both keys of `alice`."""
REFUSED_AGENT = "Python-urllib"
"""As an empty one, answered 403 by the network in front of RunPod."""
PER_HOUR, PER_DAY = 60, 60 * 24
WINDOW = 60
"""Seconds of the only window that is counted here."""


@dataclass(frozen=True)
class Caller:
    """On whose behalf a request is made."""

    account: str
    pod_id: str = ""
    """The one pod its key is for; empty for a key of the account."""


def refuse_agent(request: web.Request) -> web.Response | None:
    """Return the edge's answer to a client it does not like, None for the others."""
    agent = request.headers.get("User-Agent", "")
    if not agent or agent.startswith(REFUSED_AGENT):
        return web.Response(status=403, text=BLOCKED_AGENT, content_type="text/html")
    return None


def identify(request: web.Request, state: State, revoked: str = "") -> Caller:
    """Return who calls; 401 without a key that is known, or with one that the pattern `revoked` matches."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise ApiError(401, "missing bearer token")
    if key.startswith(REFUSED_KEYS) or (revoked and re.fullmatch(revoked, key)):
        raise ApiError(401, "invalid bearer token")
    for pod in state.living_pods():
        if pod.api_key == key:
            return Caller(pod.account, pod.id)
    return Caller(account_of_key(state, key))


def account_of_key(state: State, key: str) -> str:
    """Return the name of a key's account: its own, or the one it was joined to."""
    own = own_account(key)
    return state.aliases.get(own, own)


def own_account(key: str) -> str:
    """Return the name of the account that a key has of itself; the state file never holds the key."""
    return hashlib.sha256(key.partition(COPY)[0].encode()).hexdigest()[:12]


def refuse_scope(caller: Caller, request: web.Request) -> None:
    """Let a pod's own key see and stop that pod, and nothing else."""
    own = f"/v2/pods/{caller.pod_id}"
    allowed = {("GET", own), ("POST", f"{own}/action")}
    if caller.pod_id and (request.method, request.path) not in allowed:
        raise ApiError(403, "access denied")


class Quota:
    """Counts the requests of each account in windows of a minute."""

    def __init__(self) -> None:
        self._used: Counter[tuple[str, int]] = Counter()

    def take(self, account: str, limit: int, now: float) -> dict[str, str]:
        """Count a request and return the headers about it; 429 when the window's share is used up."""
        window = int(now // WINDOW)
        left = WINDOW - int(now % WINDOW)
        self._used[account, window] += 1
        rest = limit - self._used[account, window]
        headers = {
            "RateLimit": f'"minute";r={max(0, rest)};t={left}',
            "RateLimit-Policy": f'"minute";q={limit};w=60, "hour";q={limit * PER_HOUR};w=3600, '
            f'"day";q={limit * PER_DAY};w=86400',
        }
        if rest < 0:
            detail = "rate limit exceeded for the minute window"
            raise ApiError(429, detail, headers=headers | {"Retry-After": str(left)})
        for key in [key for key in self._used if key[1] < window]:
            del self._used[key]
        return headers
