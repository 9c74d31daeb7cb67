"""One HTTP call: sent, retried where that is safe, and its answer classified."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import JsonValue
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from components.naming import LOOPBACK_HOSTS
from components.runpod.api import error_body, errors
from components.runpod.api.retry import RateLimitGate, RetryPolicy, jitter, retry_after

# RunPod's firewall refuses the default user agents of HTTP libraries with 403.
USER_AGENT = "comfyui-runpod/0.1 (+https://www.pulumi.com/)"
_SHORTEST_SECRET = 6
"""Shortest secret that is masked, in characters; a shorter one may be part of any word."""


@dataclass(frozen=True)
class ClientHooks:
    """Clock, callbacks and name of the client; replaced in tests, and by the plugin to end waits on Ctrl-C."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    before_send: Callable[[], None] = lambda: None
    """Called before every request; raises or ends the process when no more calls are allowed."""
    waiting: Callable[[str], None] = lambda _reason: None
    """Called with the reason of every wait."""
    answer_seconds: float = 60.0
    """Time-out for the next byte of an answer, in seconds."""
    user_agent: str = USER_AGENT


@dataclass(frozen=True)
class Call:
    """A request."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    repeatable: bool = True
    """Whether it is idempotent, so that it may be sent again."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Transport:
    """Sends calls to one API with one key over one kept-alive session."""

    def __init__(self, api_key: str, api_url: str, hooks: ClientHooks) -> None:
        self._api_key = api_key
        self._base = api_url.rstrip("/")
        self._hooks = hooks
        self._rate_limit = RateLimitGate(hooks.clock)
        self._session = _session(api_key, self._base, hooks.user_agent)

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._session.close()

    def send(self, call: Call) -> JsonValue:
        """Return the decoded answer (None when it has no body); raises an error of `errors`."""
        waited = 0.0
        for attempt in range(self._hooks.retry_policy.attempts):
            self._wait_for_rate_limit(call)
            try:
                return self._once(call)
            except _TransientError as again:
                wait = self._wait_after(again, attempt)
                last = attempt + 1 == self._hooks.retry_policy.attempts
                if last or waited + wait > self._hooks.retry_policy.seconds:
                    raise again.error from None
                waited += wait
                self._hooks.waiting(f"{again.error.detail}; trying {call} again in {wait:.0f} s")
                self._hooks.sleep(wait)
        raise AssertionError("a bound of at least one attempt")

    def _wait_after(self, again: _TransientError, attempt: int) -> float:
        drawn = jitter(self._hooks.retry_policy, attempt)
        return drawn if again.after is None else again.after + drawn

    def _wait_for_rate_limit(self, call: Call) -> None:
        wait = self._rate_limit.wait_needed()
        if wait > self._hooks.retry_policy.seconds:
            raise errors.RateLimitedError(str(call), f"the rate limit is exhausted for another {wait:.0f} s")
        if wait:
            self._hooks.waiting(f"the rate limit is exhausted; waiting {wait:.0f} s")
            self._hooks.sleep(wait)

    def _once(self, call: Call) -> JsonValue:
        self._hooks.before_send()
        try:
            response = self._session.request(
                call.method,
                f"{self._base}{call.path}",
                params=dict(call.query),
                json=call.body,
                timeout=(10.0, self._hooks.answer_seconds),
                allow_redirects=False,
            )
        except (requests.exceptions.RequestException, HTTPError) as fault:
            raise self._fault(call, fault) from None
        self._rate_limit.note(response.headers)
        return self._read(call, response)

    def _fault(self, call: Call, fault: Exception) -> Exception:
        if reason := _never_sent(fault):
            return _TransientError(errors.UnreachableError(str(call), f"{self._base}: {reason}"))
        lost = errors.LostAnswerError(str(call), f"the answer of {self._base} was lost ({type(fault).__name__})")
        return _TransientError(lost) if call.repeatable else lost

    def _read(self, call: Call, response: requests.Response) -> JsonValue:
        if response.status_code == 204:
            return None
        body = _decoded(response.text) if response.ok else None
        if isinstance(body, dict | list):
            return body
        raise self._refusal(call, response)

    def _refusal(self, call: Call, response: requests.Response) -> Exception:
        status = response.status_code
        error = self._garbled(call, status) if response.ok else self._refused(call, response)
        if status == 429:
            return _TransientError(error, retry_after(response.headers))
        if response.ok or status in error_body.UNCERTAIN or status >= 500:
            # A create that answered 500 has been seen to create a pod, so the caller must decide about a retry.
            if call.repeatable:
                return _TransientError(error, retry_after(response.headers))
            return errors.LostAnswerError(str(call), error.detail)
        return error

    def _garbled(self, call: Call, status: int) -> errors.CallError:
        """Return the error for a success that is not JSON, without its text, which may contain secrets."""
        return errors.NotRunPodError(str(call), f"the answer of {self._base} is not JSON (HTTP {status})")

    def _refused(self, call: Call, response: requests.Response) -> errors.CallError:
        raw = _without_secrets(response.text, [self._api_key, *_secrets_of(call.body)])
        return error_body.classify(str(call), response.status_code, error_body.read(_decoded(raw), raw))


class _TransientError(Exception):
    """A failure that may go away with a retry."""

    def __init__(self, error: errors.CallError, after: float | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.after = after


class _Bearer(AuthBase):
    """Sets the Authorization header, which otherwise a ~/.netrc entry for the host would override."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def _session(api_key: str, base: str, user_agent: str) -> requests.Session:
    session = requests.Session()
    session.auth = _Bearer(api_key)
    session.headers["User-Agent"] = user_agent
    session.headers["Accept"] = "application/json, application/problem+json"
    # A proxy server from the environment variables cannot reach this machine's loopback address.
    session.trust_env = urlsplit(base).hostname not in LOOPBACK_HOSTS
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=8, max_retries=0))
    return session


def _never_sent(fault: Exception) -> str:
    """Return why the request was certainly not sent; empty when it may have been."""
    if isinstance(fault, ValueError):
        return f"the request cannot be sent ({type(fault).__name__})"  # An invalid address or header.
    reason = getattr(fault.args[0], "reason", None) if fault.args else None
    if isinstance(reason, NameResolutionError):
        return "its host name cannot be resolved"
    if isinstance(fault, requests.exceptions.SSLError):
        return "its certificate is not trusted" if "CERTIFICATE_VERIFY_FAILED" in str(reason) else ""
    if isinstance(fault, requests.exceptions.ProxyError):
        return "this machine's proxy server cannot reach it"
    if isinstance(fault, requests.exceptions.ConnectTimeout):
        return "the connection timed out"
    return "the connection failed" if isinstance(reason, NewConnectionError) else ""


def _decoded(text: str) -> JsonValue:
    try:
        decoded: JsonValue = json.loads(text)
    except ValueError:
        return None
    return decoded


def _without_secrets(text: str, secrets: Collection[str]) -> str:
    """Return a text of the server with the secrets of the request masked."""
    for secret in secrets:
        for form in (json.dumps(secret)[1:-1], secret):
            text = text.replace(form, "[secret]")
    return text


def _secrets_of(body: Mapping[str, Any] | None) -> list[str]:
    """Return the secret values of a request: variables, user names and passwords."""
    members = body or {}
    named = [members.get(name) for name in ("username", "password")]
    values = [*(members.get("env") or {}).values(), *named]
    return [value for value in values if isinstance(value, str) and len(value) >= _SHORTEST_SECRET]
