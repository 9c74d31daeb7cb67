"""Show what an update would do and cost; also where neither passphrase nor account is at hand."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import yaml

from stacks.cli import emulator, environment, passphrase, plain, stack, told
from stacks.cli.engine import Engine
from stacks.cli.place import PROJECT, Place


def run(place: Place) -> int:
    """Preview; the engine's exit code."""
    if passphrase.settings(place, os.environ) is None:
        return _without_secrets(place)
    engine = Engine(place, environment.for_engine(place, os.environ))
    emulator.start(place)
    stack.prepare(engine)
    return told.what_runs(engine).follow("preview", plain.CURRENT_SETTINGS)


def _without_secrets(place: Place) -> int:
    """Preview as if nothing ran yet, in a throw-away backend: nothing is decrypted or written to the checkout."""
    print(f"no passphrase for {place.env} here: previewing from nothing, priced by the price file", flush=True)
    with tempfile.TemporaryDirectory(prefix="comfyui-runpod-preview-") as name:
        folder = Path(name)
        environ = {
            **environment.for_engine(place, os.environ),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(16),
        }
        config = folder / f"Pulumi.{place.env}.yaml"
        config.write_text(yaml.safe_dump(without_secrets(place.stack_yaml())))
        # A stack belongs to a project's name, not to its folder; made here, its salt is written here.
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": PROJECT, "runtime": "python"}))
        engine = Engine(place, environ)
        engine.ask("stack", "init", "--cwd", name)
        return engine.follow("preview", "--config-file", str(config))


def without_secrets(content: dict[str, Any]) -> dict[str, Any]:
    """The stack file without its salt and without every encrypted value, at any depth."""
    return {key: _pruned(value) for key, value in content.items() if key not in {"encryptionsalt", "encryptedkey"}}


def _pruned(value: Any) -> Any:  # noqa: ANN401  (YAML)
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items() if not _encrypted(item)}
    if isinstance(value, list):
        return [_pruned(item) for item in value if not _encrypted(item)]
    return value


def _encrypted(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"secure"}
