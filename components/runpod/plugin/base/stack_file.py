"""What a stack file says about the volume now, which may be another thing than the state of the last update says.

The engine deletes by its state and asks no program. It starts its plugins in the folder of the stack files, so a
deletion can look there before it does what nobody can undo. Other programs than ours have no such section.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_NO = frozenset({"", "none", "false", "f", "no", "n", "off", "0"})


@dataclass(frozen=True)
class VolumeChoice:
    """The section `volume` of a stack file."""

    keep: bool = False
    """The volume stays when the stack ends."""
    id: str = ""
    """A volume that somebody names as the one to use: it is not deleted, nor the stack's own before it."""

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> VolumeChoice:
        """Read the section; what is not clearly a no keeps the volume, a quoted "true" for one."""
        keep = str(section.get("keep", "")).strip().lower()
        return cls(keep=keep not in _NO, id=str(section.get("id") or ""))

    @property
    def keeps(self) -> bool:
        """Whether the volume that the stack made stays."""
        return self.keep or bool(self.id)


class StackFiles:
    """The stack files of one folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def volume(self, urn: str) -> VolumeChoice | None:
        """Return what the file of a URN's stack says; None where there is no such section, or no readable file."""
        if self._folder is None or urn.count("::") < 3:
            return None
        stack, project = urn.split(":", 3)[2], urn.split("::")[1]
        try:
            content = yaml.safe_load((self._folder / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
            section = content["config"][f"{project}:volume"]
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            return None
        if not isinstance(section, dict):
            return None
        return VolumeChoice.of(section)


NO_STACK_FILES = StackFiles(None)
