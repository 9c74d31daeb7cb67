"""The open WebSockets and event streams: limits on their number, and their end when a key ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.events.subscription import DRAINING

STREAMING = (Code.TOO_MANY_STREAMS, Code.DRAINING)
"""Problems of operations that open a stream."""

Check = Callable[[], Awaitable[object]]
"""Raises Problem when the caller has lost access."""

End = Callable[[str], None]
"""Ends a stream; its argument is the reason, `draining` or the code of the refusal."""


class StreamBounds(NamedTuple):
    """The numbers of streams that a caller may have open."""

    per_owner: int
    per_key: int


@dataclass(frozen=True, eq=False)
class OpenStream:
    """An open stream."""

    actor: Actor
    check: Check
    end: End


class OpenStreams:
    """All open streams."""

    def __init__(self, in_all: int, bounds: Callable[[Actor], StreamBounds], recheck_seconds: float) -> None:
        self._recheck_seconds = recheck_seconds
        self._in_all = in_all
        self._bounds = bounds
        self._open: set[OpenStream] = set()

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def registered(self, actor: Actor, check: Check, end: End) -> Iterator[None]:
        """Register an open stream; raises Problem TOO_MANY_STREAMS when a limit is reached."""
        self._refuse_more(actor)
        stream = OpenStream(actor, check, end)
        self._open.add(stream)
        try:
            yield
        finally:
            self._open.discard(stream)

    def _refuse_more(self, actor: Actor) -> None:
        of_owner = sum(stream.actor.owner == actor.owner for stream in self._open)
        of_key = sum(stream.actor.key_id == actor.key_id for stream in self._open)
        bounds = self._bounds(actor)
        for policy, who, count, most in (
            ("streamsperkey", "this key", of_key, bounds.per_key),
            ("streamsperowner", "this user", of_owner, bounds.per_owner),
            ("streams", "all users", len(self._open), self._in_all),
        ):
            if count >= most:
                text = f"At most {most} WebSockets and event streams may be open for {who}; close one first."
                raise Problem(Code.TOO_MANY_STREAMS, text, members={"violated-policies": [policy]})

    def end_all(self, reason: str = DRAINING) -> None:
        """End all streams."""
        for stream in tuple(self._open):
            stream.end(reason)

    async def watch(self) -> None:
        """End the streams of callers that have lost access, until cancelled."""
        while True:
            await asyncio.sleep(self._recheck_seconds)
            # One check per key or session, however many streams it opened.
            for caller, check in {_caller(stream): stream.check for stream in self._open}.items():
                await self._recheck(caller, check)

    async def _recheck(self, caller: tuple[str, int | None], check: Check) -> None:
        try:
            await check()
        except Problem as problem:
            # An unavailable database says nothing about the key.
            if problem.entry.status in {401, 403}:
                for stream in tuple(self._open):
                    if _caller(stream) == caller:
                        stream.end(problem.code.value)


def _caller(stream: OpenStream) -> tuple[str, int | None]:
    """Return what identifies the credential: a session, a key, or a key's old secret, which expires earlier."""
    return stream.actor.reference, stream.actor.expires_at
