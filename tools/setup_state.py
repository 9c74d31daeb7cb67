"""The recorded result of the set-up; a later run with the same inputs has nothing to do."""

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.engine.on_path import locate
from tools.engine.sources import InstalledEngine, program
from tools.paths import SetupPaths

# The official plugin is tried again after a while, but not by every command, because that takes time.
RETRY_STANDIN_SECONDS = 24 * 3600
_INPUTS = ("requirements.lock", "pyproject.toml", "tools/engine/cli/go.sum", "tools/engine/language/go.sum")


@dataclass(frozen=True)
class SetupState:
    """The result of a set-up and the fingerprint of its inputs. `made_at` is in Unix seconds."""

    fingerprint: str
    engine: InstalledEngine
    command_plugin: str
    pulumi_home: str
    made_at: float

    @property
    def line(self) -> str:
        """The result as one line."""
        return (
            f"engine: pulumi {self.engine.version} {self.engine.origin} ({self.engine.folder}); "
            f"pulumi-command: {self.command_plugin}"
        )


def fingerprint(paths: SetupPaths, environ: Mapping[str, str]) -> str:
    """Return a hash of the inputs: the locks, the set-up's code, Python, the `pulumi` on PATH."""
    digest = hashlib.sha256()
    sources = [paths.checkout / name for name in _INPUTS] + sorted((paths.checkout / "tools").rglob("*.py"))
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    for text in (str(paths.checkout), sys.version, locate(environ, paths.venv / "bin") or ""):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def load(path: Path) -> SetupState | None:
    """Return the record of an earlier run, or None without a readable one."""
    try:
        content = json.loads(path.read_text())
        return SetupState(**{**content, "engine": InstalledEngine(**content["engine"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def save(path: Path, record: SetupState) -> None:
    """Write the record atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".new")
    partial.write_text(json.dumps(asdict(record), indent=2) + "\n")
    partial.rename(path)


def is_current(record: SetupState | None, wanted: str, paths: SetupPaths, standin: str) -> bool:
    """Return whether nothing has to be done: the inputs are the same and the installed files still exist."""
    if record is None or record.fingerprint != wanted:
        return False
    if record.command_plugin == standin and not 0 <= time.time() - record.made_at < RETRY_STANDIN_SECONDS:
        return False
    return program(Path(record.engine.folder)).exists() and (paths.venv / "bin" / "python").exists()
