"""Who may ask how often: the policies of one gateway, and what each request is counted against."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from provisioning.gateway.access.admission import LOOPBACK_PEERS
from provisioning.gateway.access.limiter import Limiter, Policy, Verdict, headers
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.routes import Kind
from provisioning.gateway.settings import GatewaySettings
from provisioning.gateway.web.exchange import Exchange, Scope

MINUTE = 60

GUESSES = frozenset({Code.INVALID_KEY, Code.KEY_REVOKED, Code.KEY_EXPIRED})
"""Refusals that tell something about a key, so that they are worth asking for again and again."""


class Limits:
    """Counts requests by key, owner, kind and address, and holds each owner's places."""

    def __init__(self, settings: GatewaySettings, limiter: Limiter) -> None:
        per_key = settings.rate_limit_per_minute
        self._limiter = limiter
        self._max_places = settings.max_requests_per_owner
        self._busy: Counter[str] = Counter()
        self._per_key = Policy("perkey", per_key, MINUTE)
        self._per_owner = Policy("perowner", settings.owner_rate_limit_per_minute or 2 * per_key, MINUTE)
        self._per_address = Policy("peraddress", settings.address_rate_limit_per_minute, MINUTE)
        self._failures = Policy("failures", settings.failed_logins_per_minute, MINUTE)
        self._per_kind = {
            Kind.SUBMIT: Policy("submit", settings.submits_per_minute, MINUTE),
            Kind.UPLOAD: Policy("upload", settings.uploads_per_minute, MINUTE),
        }

    def admit(self, exchange: Exchange, kind: Kind) -> None:
        """Count a request against all its policies, or against none; raises Problem RATE_LIMITED."""
        actor, address = exchange.who, peer(exchange.scope)
        wanted = [(self._per_key, actor.key_id), (self._per_owner, actor.owner)]
        if (policy := self._per_kind.get(kind)) is not None:
            wanted.append((policy, actor.owner))
        if address not in LOOPBACK_PEERS:
            # A tunnel and the pod's own health check are nobody in particular.
            wanted.append((self._per_address, address))
        verdicts = self._limiter.take_all(wanted)
        exchange.extra_headers += headers(verdicts)
        _raise_refused(verdicts)

    def failed(self, scope: Scope, problem: Problem) -> None:
        """Count a refused key; raises Problem RATE_LIMITED instead once an address has tried too many.

        A right key is let in all the same: behind a proxy many clients share an address, and none must be able to lock
        the others out. Keys of 190 bits need no more.
        """
        if problem.code in GUESSES:
            _raise_refused([self._limiter.take(self._failures, peer(scope))])

    @contextlib.contextmanager
    def place(self, owner: str) -> Iterator[None]:
        """Hold one of the owner's places; raises Problem when all are taken."""
        if self._busy[owner] >= self._max_places:
            raise Problem(Code.CONCURRENCY_LIMITED)
        self._busy[owner] += 1
        try:
            yield
        finally:
            self._busy[owner] -= 1
            if not self._busy[owner]:
                del self._busy[owner]


def peer(scope: Scope) -> str:
    """Return the address at the other end of the connection; no header can change it."""
    return str((scope.get("client") or ("",))[0])


def _raise_refused(verdicts: list[Verdict]) -> None:
    refused = [verdict for verdict in verdicts if not verdict.allowed]
    if refused:
        longest = max(verdict.reset_seconds for verdict in refused)
        names = [verdict.policy.name for verdict in refused]
        raise Problem(Code.RATE_LIMITED, retry_after=longest, members={"violated-policies": names})
