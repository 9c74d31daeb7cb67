"""The checkout that the commands work on: folders, results of the set-up, and stack files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stacks.cli.errors import CliError


@dataclass(frozen=True)
class Checkout:
    """One environment in one checkout."""

    root: Path
    env: str

    @property
    def state(self) -> Path:
        """Folder of files that must be kept and do not belong in git: state, passphrases, the emulator's files."""
        return self.root / ".state"

    @property
    def stack_file(self) -> Path:
        """Path of the environment's settings."""
        return self.root / "stacks" / f"Pulumi.{self.env}.yaml"

    def stack_yaml(self) -> dict[str, Any]:
        """Return the settings as plain data; secrets stay encrypted.

        Raises:
            CliError: the environment does not exist, or its file is not YAML.
        """
        if not self.stack_file.exists():
            known = ", ".join(sorted(file.name.split(".")[1] for file in self.stack_file.parent.glob("Pulumi.*.yaml")))
            raise CliError(
                f"there is no environment {self.env!r}: {self.stack_file.name} is missing; there are {known}"
            )
        try:
            return dict(yaml.safe_load(self.stack_file.read_text()) or {})
        except yaml.YAMLError as error:
            raise CliError(f"{self.stack_file.name} is not valid YAML: {error}") from error

    def setting(self, key: str) -> str | None:
        """Return one plain value of the stack file's `config`; None when it is absent or encrypted."""
        value = (self.stack_yaml().get("config") or {}).get(key)
        return value if isinstance(value, str) else None

    def setup(self) -> dict[str, Any]:
        """Return what `tools.setup` recorded.

        Raises:
            CliError: it has not run here.
        """
        try:
            return dict(json.loads((self.root / ".cache" / "setup.json").read_text()))
        except (OSError, ValueError) as error:
            raise CliError(f"{self.root} is not set up; run `make setup` there") from error


def find_checkout(env: str) -> Checkout:
    """Return the checkout that contains this package."""
    return Checkout(Path(__file__).resolve().parents[2], env)
