"""Of several gateways on one PostgreSQL the newest alone writes: one row says which that is.

Each start of a gateway counts the row up, and every transaction that writes looks at it, so that a gateway that was
overtaken hands no job to ComfyUI and acknowledges nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.problems import Code, Problem

Result = TypeVar("Result")

NAME = "gateway_epoch"


class Fence:
    """One gateway's place in the order of them all."""

    def __init__(self) -> None:
        self.is_superseded = False
        """Whether another gateway was seen to have begun since."""
        self._epoch = ""

    def begin(self, connection: Connection) -> None:
        """Be the newest, within a transaction that writes."""
        self._epoch = str(int(sql_helpers.get_meta(connection, NAME) or 0) + 1)
        sql_helpers.set_meta(connection, NAME, self._epoch)

    def check(self) -> None:
        """Refuse to write once another gateway was seen; raises Problem TAKEN_OVER."""
        if self.is_superseded:
            raise Problem(Code.TAKEN_OVER)

    def around(self, work: Callable[[Connection], Result]) -> Callable[[Connection], Result]:
        """Return the same work, which is done by the newest gateway alone; it raises Problem TAKEN_OVER."""

        def fenced(connection: Connection) -> Result:
            # Writers take their turns, so that nobody can begin between the look and the commit.
            if sql_helpers.get_meta(connection, NAME) != self._epoch:
                self.is_superseded = True
            self.check()
            return work(connection)

        return fenced
