"""A cache of ComfyUI's responses that are the same for all users: models, templates, features, node classes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import orjson

from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.upstream.client import DEFAULT_LIMITS, ComfyUIClient, Request

Answer = TypeVar("Answer")

FRESH_SECONDS = 2.0
"""Age limit of a response: for some, ComfyUI scans its folders, which delays its jobs."""

MAX_KNOWN = 64
"""Most responses in the cache; bounded, since clients choose some of the paths."""
MAX_KEPT_BYTES = 1024 * 1024
"""A longer response is not cached; lists of models have some kilobytes."""


@dataclass(frozen=True)
class _Request(Generic[Answer]):
    asked_at: float
    answer: asyncio.Task[Answer]


class ResponseCache(Generic[Answer]):
    """Loads each path at most once in `fresh_seconds`; concurrent callers share one request."""

    def __init__(
        self, load: Callable[[str], Awaitable[Answer]], clock: Clock, fresh_seconds: float,
        is_kept: Callable[[Answer], bool] = lambda _: True,
    ) -> None:  # fmt: skip
        """`is_kept` returns whether a completed response may be reused."""
        self._load = load
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._is_kept = is_kept
        self._requests: OrderedDict[str, _Request[Answer]] = OrderedDict()
        """The newest request of each path; failed and uncacheable ones are removed."""

    async def get(self, path: str) -> Answer:
        """Return the response for a path; raises what `load` raises, and Problem UPSTREAM_TIMEOUT."""
        now = self._clock.monotonic()
        known = self._requests.get(path)
        if known is None or now - known.asked_at >= self._fresh_seconds:
            known = self._requests[path] = _Request(now, asyncio.create_task(self._loaded(path)))
            self._requests.move_to_end(path)
            known.answer.add_done_callback(partial(self._drop_unkept, path))
            if len(self._requests) > MAX_KNOWN:
                self._requests.popitem(last=False)
        # Shielded: a cancelled caller must not cancel the request of the others.
        return await asyncio.shield(known.answer)

    def clear(self) -> None:
        """Remove every response, including those that are being loaded."""
        self._requests.clear()

    async def _loaded(self, path: str) -> Answer:
        try:
            async with asyncio.timeout(DEFAULT_LIMITS.silence):
                return await self._load(path)
        except TimeoutError as error:
            raise Problem(Code.UPSTREAM_TIMEOUT) from error

    def _drop_unkept(self, path: str, answer: asyncio.Task[Answer]) -> None:
        # Retrieves the exception even when no caller waits any more, so that asyncio does not log it.
        failed = answer.cancelled() or answer.exception() is not None
        known = self._requests.get(path)
        if known is not None and known.answer is answer and (failed or not self._is_kept(answer.result())):
            del self._requests[path]


def json_cache(upstream: ComfyUIClient, clock: Clock) -> ResponseCache[bytes]:
    """Return a cache of JSON by paths; its `get` raises Problem NOT_FOUND or UPSTREAM_*."""
    return ResponseCache(partial(_json, upstream), clock, FRESH_SECONDS, lambda body: len(body) <= MAX_KEPT_BYTES)


async def _json(upstream: ComfyUIClient, path: str) -> bytes:
    async with upstream.stream(Request("GET", path)) as reply:
        if reply.status != 200 or not reply.headers.get("content-type", "").startswith("application/json"):
            raise Problem(Code.NOT_FOUND if reply.status == 404 else Code.UPSTREAM_ERROR)
        body = await reply.whole()
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(Code.UPSTREAM_ERROR) from error
    return body
