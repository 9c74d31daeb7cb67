"""What ComfyUI says that is the same for everybody: lists of models, templates, features."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import orjson

from provisioning.gateway.clock import Clock
from provisioning.gateway.comfyui.upstream import Request, Upstream
from provisioning.gateway.problems import Code, Problem

FRESH_SECONDS = 2.0
"""How old such an answer may be: ComfyUI looks through its folders for some, while it should be working."""

MAX_KNOWN = 64
"""Answers that are kept, since clients choose some of the paths."""
MAX_KEPT_BYTES = 1024 * 1024
"""A longer answer is not kept; lists of models are some kilobytes."""


class _Answer(NamedTuple):
    asked_at: float
    body: bytes


class Commons:
    """Asks ComfyUI for each path at most once in FRESH_SECONDS, but for those who ask while it answers."""

    def __init__(self, upstream: Upstream, clock: Clock) -> None:
        self._upstream = upstream
        self._clock = clock
        self._known: OrderedDict[str, _Answer] = OrderedDict()

    async def get(self, path: str) -> bytes:
        """Return the JSON at a path; raises Problem NOT_FOUND or UPSTREAM_*."""
        now = self._clock.monotonic()
        known = self._known.get(path)
        if known is not None and now - known.asked_at < FRESH_SECONDS:
            return known.body
        self._known.pop(path, None)
        body = await self._ask(path)
        if len(body) <= MAX_KEPT_BYTES:
            self._known[path] = _Answer(now, body)
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return body

    async def _ask(self, path: str) -> bytes:
        async with self._upstream.stream(Request("GET", path)) as reply:
            if reply.status != 200 or not reply.headers.get("content-type", "").startswith("application/json"):
                raise Problem(Code.NOT_FOUND if reply.status == 404 else Code.UPSTREAM_ERROR)
            body = await reply.whole()
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Problem(Code.UPSTREAM_ERROR) from error
        return body
