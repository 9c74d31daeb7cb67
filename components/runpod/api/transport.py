"""One HTTP call: sent, retried where that is safe, and its answer classified."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import JsonValue, ValidationError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from components.runpod.api import errors
from components.runpod.api.models import Problem
from components.runpod.api.pacing import Gate, Patience, jitter, retry_after

# RunPod's firewall refuses the default names of HTTP libraries with 403, so the name is our own.
USER_AGENT = "comfyui-runpod/0.1 (+https://www.pulumi.com/)"
_TRANSIENT = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Pace:
    """Time as the client sees it; replaced in tests, and by the plugin to end waits on Ctrl-C."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    patience: Patience = field(default_factory=Patience)
    before_send: Callable[[], None] = lambda: None
    """Called before every request; raises or ends the process when no call may go out any more."""
    waiting: Callable[[str], None] = lambda _reason: None
    """Told the reason of every wait."""


@dataclass(frozen=True)
class Call:
    """What is asked."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    repeatable: bool = True
    """Whether sending it twice does no more than sending it once."""
    timeout: float = 60.0

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Transport:
    """Sends calls to one API with one key over one kept-alive session."""

    def __init__(self, api_key: str, api_url: str, pace: Pace) -> None:
        self._base = api_url.rstrip("/")
        self._pace = pace
        self._gate = Gate(pace.clock)
        self._session = _session(api_key, self._base)

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._session.close()

    def send(self, call: Call) -> JsonValue:
        """Return the decoded answer (None when it has no body); raises an error of `errors`."""
        waited = 0.0
        for attempt in range(self._pace.patience.attempts):
            self._pass_gate(call)
            try:
                return self._once(call)
            except _TransientError as again:
                wait = self._wait_after(again, attempt)
                last = attempt + 1 == self._pace.patience.attempts
                if last or waited + wait > self._pace.patience.seconds:
                    raise again.error from None
                waited += wait
                self._pace.waiting(f"{again.error.detail}; trying {call} again in {wait:.0f} s")
                self._pace.sleep(wait)
        raise AssertionError("a bound of at least one attempt")

    def _wait_after(self, again: _TransientError, attempt: int) -> float:
        drawn = jitter(self._pace.patience, attempt)
        return drawn if again.after is None else again.after + drawn

    def _pass_gate(self, call: Call) -> None:
        wait = self._gate.wait_needed()
        if wait > self._pace.patience.seconds:
            raise errors.RateLimitedError(str(call), f"the rate limit is used up for another {wait:.0f} s")
        if wait:
            self._pace.waiting(f"the rate limit is used up; waiting {wait:.0f} s")
            self._pace.sleep(wait)

    def _once(self, call: Call) -> JsonValue:
        self._pace.before_send()
        try:
            response = self._session.request(
                call.method,
                f"{self._base}{call.path}",
                params=dict(call.query),
                json=call.body,
                timeout=(10.0, call.timeout),
                allow_redirects=False,
            )
        except requests.exceptions.RequestException as fault:
            raise self._fault(call, fault) from None
        self._gate.note(response.headers)
        return self._read(call, response)

    def _fault(self, call: Call, fault: requests.exceptions.RequestException) -> Exception:
        if _never_sent(fault):
            unreachable = errors.UnreachableError(str(call), f"nothing answers at {self._base}")
            return _TransientError(unreachable)
        lost = errors.LostAnswerError(str(call), f"the answer of {self._base} was lost ({type(fault).__name__})")
        return _TransientError(lost) if call.repeatable else lost

    def _read(self, call: Call, response: requests.Response) -> JsonValue:
        if response.status_code == 204:
            return None
        body = _decoded(response)
        if response.ok and isinstance(body, dict | list):
            return body
        raise self._refusal(call, response, body)

    def _refusal(self, call: Call, response: requests.Response, body: JsonValue) -> Exception:
        status = response.status_code
        if status == 429:
            return _TransientError(_classified(call, status, body), retry_after(response.headers))
        garbled = response.ok
        if status in _TRANSIENT or garbled:
            # A create that answered 500 is known to have created a pod, so only the caller may decide what is next.
            error = _classified(call, status, body)
            if call.repeatable:
                return _TransientError(error, retry_after(response.headers))
            return errors.LostAnswerError(str(call), error.detail)
        return _classified(call, status, body)


class _TransientError(Exception):
    """A failure that another attempt may cure."""

    def __init__(self, error: errors.CallError, after: float | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.after = after


class _Bearer(AuthBase):
    """Sets the key itself: otherwise a ~/.netrc entry for the host would win over it."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def _session(api_key: str, base: str) -> requests.Session:
    session = requests.Session()
    session.auth = _Bearer(api_key)
    session.headers["User-Agent"] = USER_AGENT
    session.headers["Accept"] = "application/json, application/problem+json"
    # A proxy of the environment can't reach this machine's own loopback.
    session.trust_env = urlsplit(base).hostname not in {"127.0.0.1", "localhost", "::1"}
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=8, max_retries=0))
    return session


def _never_sent(fault: requests.exceptions.RequestException) -> bool:
    """Say whether the fault came before the request left: connection refused, no route, no such name."""
    if isinstance(fault, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    reason = getattr(fault.args[0], "reason", None) if fault.args else None
    return isinstance(fault, requests.exceptions.ConnectionError) and "NewConnectionError" in type(reason).__name__


def _decoded(response: requests.Response) -> JsonValue:
    try:
        decoded: JsonValue = response.json()
    except (json.JSONDecodeError, requests.exceptions.JSONDecodeError):
        return None
    return decoded


def _classified(call: Call, status: int, body: JsonValue) -> errors.CallError:
    try:
        problem = Problem.model_validate(body)
    except ValidationError:
        return _foreign(call, status)
    kind = errors.BY_STATUS.get(status, errors.ServerError if status >= 500 else errors.NotRunPodError)
    return kind(str(call), f"{problem.detail} (HTTP {status})", problem.errors)


def _foreign(call: Call, status: int) -> errors.CallError:
    """Classify an answer that lacks RunPod's form, whatever its status claims."""
    detail = f"HTTP {status} without RunPod's error form"
    if status == 403:
        return errors.BlockedError(str(call), detail)
    if status in {401, 402, 429}:
        return errors.BY_STATUS[status](str(call), detail)
    if status >= 500:
        return errors.ServerError(str(call), detail)
    return errors.NotRunPodError(str(call), detail)
