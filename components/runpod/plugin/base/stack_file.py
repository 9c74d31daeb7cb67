"""The current volume settings in a stack file, which may differ from the state of the last update.

The engine deletes by its state and runs no program. It starts its plugins in the folder of the stack files, so a
deletion can read them before an irreversible step. Other Pulumi programs have no such section.
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
    """Whether the volume is kept when the stack is deleted."""
    id: str = ""
    """Id of an existing volume to use; neither it nor the stack's own volume is deleted."""

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> VolumeChoice:
        """Parse the section; any value other than a clear no keeps the volume, for example a quoted "true"."""
        keep = str(section.get("keep", "")).strip().lower()
        return cls(keep=keep not in _NO, id=str(section.get("id") or ""))

    @property
    def keeps(self) -> bool:
        """Whether the volume that the stack created is kept."""
        return self.keep or bool(self.id)


class StackFiles:
    """The stack files of one folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def volume(self, urn: str) -> VolumeChoice | None:
        """Return the volume section for a URN's stack; None without such a section or a readable file."""
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
