"""Rate and concurrency limits: the policies of a gateway, and the choice of those that count a request."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import Scope

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http.operation import RateClass
from provisioning.gateway.core.http.request import Connection
from provisioning.gateway.core.http.request_checks import LOOPBACK_PEERS, peer
from provisioning.gateway.core.limit_settings import NOTHING, LimitSettings
from provisioning.gateway.core.problems import Code, Problem, whole_seconds
from provisioning.gateway.core.rate_limiter import Limiter, Policy, RateDecision, headers
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.events.open_streams import StreamBounds
from provisioning.gateway.jobs.queue_limits import QueueLimits

MINUTE = 60

LOGINS = Policy("logins", 30, MINUTE)
"""Per user or key, successful logins included: each is a row in the database."""

FILES = Policy("files", 3000, MINUTE)
"""Per key: enough for several page loads of the editor a minute."""

GUESSES = frozenset({
    Code.INVALID_KEY, Code.KEY_REVOKED, Code.KEY_EXPIRED, Code.INVALID_TOKEN, Code.INVALID_TICKET,
    Code.SIGNATURE_INVALID,
})  # fmt: skip
"""Refusals that reveal something about a credential, so that an attacker would repeat them."""


@dataclass(frozen=True)
class CallerLimits:
    """The limits of one caller, with the options' defaults."""

    key: LimitSettings
    """For the key; requests and streams are always limited, the queue only when the options limit it."""
    user: LimitSettings
    """For all keys of the user together; everything except the quotas is set."""


class RequestLimits:
    """Limits requests by key, user, kind and address, and concurrent requests by key and user."""

    def __init__(self, settings: GatewaySettings, limiter: Limiter) -> None:
        per_key = settings.rate_limit_per_minute
        self._limiter = limiter
        self._held: Counter[tuple[str, str]] = Counter()
        self._key_default = LimitSettings(
            requests_per_minute=per_key,
            max_streams=settings.max_streams_per_key,
            max_queued=settings.max_queued_per_key or None,
        )
        # Not validated: twice the highest rate of the option exceeds the highest rate of a key.
        self._user_default = LimitSettings.model_construct(
            requests_per_minute=settings.owner_rate_limit_per_minute or 2 * per_key,
            submits_per_minute=settings.submits_per_minute,
            uploads_per_minute=settings.uploads_per_minute,
            max_requests=settings.max_requests_per_owner,
            max_streams=settings.max_sockets_per_owner,
            max_queued=settings.max_queued_per_owner,
        )
        self._per_address = Policy("peraddress", settings.address_rate_limit_per_minute, MINUTE)
        self._failures = Policy("failures", settings.failed_logins_per_minute, MINUTE)
        self._per_account = Policy("account", settings.failed_logins_per_account_per_minute, MINUTE)

    def of(self, actor: Actor) -> CallerLimits:
        """Return the limits of a caller."""
        return CallerLimits(_filled(actor.limits, self._key_default), _filled(actor.user_limits, self._user_default))

    def admit(self, request: Connection, kind: RateClass) -> contextlib.AbstractContextManager[None]:
        """Count a request against all its policies, or against none; raises Problem RATE_LIMITED.

        Returns a context that counts the request among the caller's concurrent ones; entering it raises Problem
        CONCURRENCY_LIMITED when there are too many.
        """
        actor, address = request.who, peer(request.scope)
        bounds = self.of(actor)
        wanted = _policies(actor, bounds, kind)
        if address not in LOOPBACK_PEERS:
            # SSH tunnels and the pod's own health check share the loopback address.
            wanted.append((self._per_address, address))
        verdicts = self._limiter.take_all(wanted)
        request.context.headers += headers(verdicts)
        _raise_refused(verdicts)
        return self._concurrent(actor, bounds)

    @contextlib.contextmanager
    def _concurrent(self, actor: Actor, bounds: CallerLimits) -> Iterator[None]:
        """Count a request among the concurrent ones of its key and user, also where they have no limit."""
        most = {("key", actor.key_id): bounds.key.max_requests, ("owner", actor.owner): bounds.user.max_requests}
        for name, bound in most.items():
            if bound is not None and self._held[name] >= bound:
                message = f"You may have at most {bound} concurrent requests; wait until one of them is answered."
                policy = f"requestsper{name[0]}"
                raise Problem(Code.CONCURRENCY_LIMITED, message, members={"violated-policies": [policy]})
        self._held.update(most.keys())
        try:
            yield
        finally:
            self._held -= Counter(most.keys())

    def failed(self, scope: Scope, problem: Problem) -> None:
        """Count a refused credential; raises Problem RATE_LIMITED when an address has had too many.

        A valid key is still accepted: behind a proxy many clients share an address, and none may lock the others out.
        Keys have 190 bits, so guessing them needs no stricter limit.
        """
        if problem.code in GUESSES:
            _raise_refused([self._limiter.take(self._failures, peer(scope))])

    @contextlib.contextmanager
    def attempt(self, scope: Scope, account: str) -> Iterator[None]:
        """Count a login attempt; raises Problem RATE_LIMITED before the password is checked.

        Passwords can be guessed, so the right one is refused as well. The attempt is counted first and given back after
        a success, so that simultaneous attempts cannot all pass.
        """
        tried = [(self._failures, peer(scope)), (self._per_account, account)]
        _raise_refused(self._limiter.take_all([*tried, (LOGINS, account)]))
        yield
        self._limiter.give_back(tried)

    def login(self, account: str) -> None:
        """Count a login with a key, since each is stored; raises Problem RATE_LIMITED."""
        _raise_refused([self._limiter.take(LOGINS, account)])

    def queue(self, actor: Actor) -> QueueLimits:
        """Return how many unfinished jobs a caller may have."""
        bounds = self.of(actor)
        return QueueLimits(bounds.key.max_queued, bounds.user.max_queued)

    def streams(self, actor: Actor) -> StreamBounds:
        """Return how many streams a caller may have open."""
        bounds = self.of(actor)
        return StreamBounds(bounds.user.max_streams or 0, bounds.key.max_streams or 0)


def _policies(actor: Actor, bounds: CallerLimits, kind: RateClass) -> list[tuple[Policy, str]]:
    if kind is RateClass.FILE:
        return [(FILES, actor.key_id)]
    wanted = [(_policy("perkey", bounds.key.requests_per_minute), actor.key_id)]
    wanted.append((_policy("perowner", bounds.user.requests_per_minute), actor.owner))
    if kind is not RateClass.PLAIN:
        name = f"{kind.value}s_per_minute"
        wanted.append((_policy(kind.value, getattr(bounds.user, name)), actor.owner))
        if (own := getattr(bounds.key, name)) is not None:
            wanted.append((_policy(f"{kind.value}perkey", own), actor.key_id))
    return wanted


def _raise_refused(verdicts: Sequence[RateDecision]) -> None:
    if refused := [verdict for verdict in verdicts if not verdict.allowed]:
        longest = max(verdict.reset_seconds for verdict in refused)
        names = [verdict.policy.name for verdict in refused]
        allowed = ", ".join(f"{each.policy.quota} in {each.policy.window_seconds} s" for each in refused)
        detail = f"Rate limit ({', '.join(names)}): {allowed}. Retry in {whole_seconds(longest)} s."
        raise Problem(Code.RATE_LIMITED, detail, retry_after=longest, members={"violated-policies": names})


@lru_cache(maxsize=4096)
def _policy(name: str, per_minute: int | None) -> Policy:
    return Policy(name, per_minute or 1, MINUTE)


def _filled(own: LimitSettings, default: LimitSettings) -> LimitSettings:
    return default if own is NOTHING else default.model_copy(update=own.model_dump(exclude_none=True))
