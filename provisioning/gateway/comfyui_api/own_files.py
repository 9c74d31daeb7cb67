"""Which files in ComfyUI's folders belong to a caller."""

from __future__ import annotations

from collections.abc import Callable

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.upstream.owner_namespace import OwnerNamespace, is_safe_name
from provisioning.gateway.upstream.stored_file import StoredFile

TYPES = frozenset({"input", "output", "temp"})


class OwnFiles:
    """Finds files that a caller uploaded or that one of its jobs saved."""

    def __init__(self, ledger: Ledger, tracker: Tracker, namespace_of: Callable[[Actor], OwnerNamespace]) -> None:
        self._ledger = ledger
        self._tracker = tracker
        self._namespace_of = namespace_of

    async def find(self, actor: Actor, asked: StoredFile) -> StoredFile:
        """Translate a caller's names of a file to ComfyUI's; raises Problem INVALID_REQUEST and NOT_FOUND."""
        check_names(asked)
        inside = StoredFile(asked.type, self._namespace_of(actor).add_root(asked.subfolder), asked.filename)
        if actor.is_admin or asked.type == "input":
            return inside
        # Some nodes save outside the owner's folder; then only the job's record names the owner.
        for file in (inside, asked):
            if await self._ledger.owns(actor.owner, file):
                return file
            # Files of a running job are available at once.
            if await self._tracker.is_output_of(actor.owner, file):
                return file
        raise Problem(Code.NOT_FOUND)


def check_names(file: StoredFile) -> None:
    """Raise Problem INVALID_REQUEST for names that would lead out of their folder."""
    if file.type not in TYPES:
        raise Problem(Code.INVALID_REQUEST, "type: must be input, output or temp.", members=fault("type", "unknown"))
    plain = is_safe_name(file.filename) and "/" not in file.filename and not file.filename.endswith("]")
    if not plain or (file.subfolder and not is_safe_name(file.subfolder)):
        raise Problem(
            Code.INVALID_REQUEST, "filename, subfolder: must be plain names.", members=fault("filename", "not plain")
        )
