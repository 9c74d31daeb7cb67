"""Fencing of gateways on one PostgreSQL: only the newest may write; a row holds its epoch number.

Each start of a gateway increments the row, and every write transaction compares it, so that a superseded gateway hands
no job to ComfyUI and acknowledges nothing.
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
    """The epoch of one gateway."""

    def __init__(self) -> None:
        self.is_superseded = False
        """Whether a newer gateway has been seen."""
        self._epoch = ""

    def begin(self, connection: Connection) -> None:
        """Take the next epoch, within a write transaction."""
        self._epoch = str(int(sql_helpers.get_meta(connection, NAME) or 0) + 1)
        sql_helpers.set_meta(connection, NAME, self._epoch)

    def check(self) -> None:
        """Raise Problem TAKEN_OVER once a newer gateway has been seen."""
        if self.is_superseded:
            raise Problem(Code.TAKEN_OVER)

    def around(self, work: Callable[[Connection], Result]) -> Callable[[Connection], Result]:
        """Return `work` preceded by a check of the epoch, which raises Problem TAKEN_OVER."""

        def fenced(connection: Connection) -> Result:
            # One writer at a time: no gateway can begin between this check and the commit.
            if sql_helpers.get_meta(connection, NAME) != self._epoch:
                self.is_superseded = True
            self.check()
            return work(connection)

        return fenced
