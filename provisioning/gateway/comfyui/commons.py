"""What ComfyUI says that is the same for everybody: lists of models, templates, features."""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from typing import NamedTuple

import orjson

from provisioning.gateway.clock import Clock
from provisioning.gateway.comfyui.connections import SILENCE_SECONDS
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


class _Question(NamedTuple):
    at: float
    answer: asyncio.Task[bytes]


class Commons:
    """Asks ComfyUI for each path at most once in FRESH_SECONDS, also for those who ask while it answers."""

    def __init__(self, upstream: Upstream, clock: Clock) -> None:
        self._upstream = upstream
        self._clock = clock
        self._known: OrderedDict[str, _Answer] = OrderedDict()
        self._asked: dict[str, _Question] = {}

    async def get(self, path: str) -> bytes:
        """Return the JSON at a path; raises Problem NOT_FOUND or UPSTREAM_*."""
        now = self._clock.monotonic()
        known = self._known.get(path)
        if known is not None and now - known.asked_at < FRESH_SECONDS:
            return known.body
        asked = self._asked.get(path)
        if asked is None or now - asked.at >= FRESH_SECONDS:
            asked = self._asked[path] = _Question(now, asyncio.create_task(self._renewed(path, now)))
            asked.answer.add_done_callback(functools.partial(self._answered, path))
        # Whoever leaves takes the answer from nobody else.
        return await asyncio.shield(asked.answer)

    def _answered(self, path: str, answer: asyncio.Task[bytes]) -> None:
        asked = self._asked.get(path)
        if asked is not None and asked.answer is answer:
            del self._asked[path]
        if not answer.cancelled():
            # Looked at, also when nobody waits for it any more.
            answer.exception()

    async def _renewed(self, path: str, asked_at: float) -> bytes:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                body = await self._ask(path)
        except TimeoutError as error:
            raise Problem(Code.UPSTREAM_TIMEOUT) from error
        self._keep(path, _Answer(asked_at, body))
        return body

    def _keep(self, path: str, answer: _Answer) -> None:
        known = self._known.get(path)
        if len(answer.body) > MAX_KEPT_BYTES or (known is not None and known.asked_at > answer.asked_at):
            return
        self._known[path] = answer
        self._known.move_to_end(path)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

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
