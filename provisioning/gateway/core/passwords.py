"""Password hashing with argon2id, on a few threads beside the event loop."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import Field, SecretStr

from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.threads import run_in_thread

Result = TypeVar("Result")

WORKERS = 2
"""Hashing threads. Each hash takes 19 MiB and some 10 ms of a core that also serves all requests."""
MAX_WAITING = 16
"""Most hashes that wait for a thread; more are refused, so that a flood of logins cannot pile up."""
MIN_LENGTH = 12
MAX_LENGTH = 256

NewPassword = Annotated[SecretStr, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
AnyPassword = Annotated[SecretStr, Field(max_length=MAX_LENGTH)]


class Passwords:
    """Hashes and verifies passwords.

    argon2id with 19 MiB, 2 passes and 1 lane: the second parameter set of OWASP's password storage cheat sheet.
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
        self._threads = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="passwords")
        self._dummy_hash: str | None = None
        self._under_way = 0

    async def hash(self, password: str) -> str:
        """Return the hash of a password; raises Problem CONCURRENCY_LIMITED."""
        return await self._run_in_thread(lambda: self._hasher.hash(password))

    async def check(self, stored: str | None, password: str) -> bool:
        """Return whether a password matches a hash; takes as long when `stored` is None. Raises Problem."""
        # The response time must not reveal which users exist or have a password.
        compared = stored or await self._hash_of_no_user()
        return await self._run_in_thread(lambda: self._verify(compared, password)) and stored is not None

    def close(self) -> None:
        """Shut the threads down."""
        self._threads.shutdown()

    async def _hash_of_no_user(self) -> str:
        if self._dummy_hash is None:
            self._dummy_hash = await self.hash(secrets.token_urlsafe())
        return self._dummy_hash

    def _verify(self, stored: str, password: str) -> bool:
        with contextlib.suppress(VerificationError, InvalidHashError):
            return self._hasher.verify(stored, password)
        return False

    async def _run_in_thread(self, work: Callable[[], Result]) -> Result:
        if self._under_way >= WORKERS + MAX_WAITING:
            raise Problem(Code.CONCURRENCY_LIMITED, "Too many logins at the moment; try again shortly.")
        self._under_way += 1
        try:
            return await run_in_thread(self._threads, work)
        finally:
            self._under_way -= 1
