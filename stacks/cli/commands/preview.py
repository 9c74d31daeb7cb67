"""Show what an update would change and cost; works without passphrase and account too."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import yaml

from components.naming import PROJECT
from stacks.cli.account import preview_context
from stacks.cli.checkout import Checkout
from stacks.cli.commands import emulator
from stacks.cli.errors import CliError
from stacks.cli.pulumi import backend, environment, passphrase, passthrough, stack
from stacks.cli.pulumi.engine import Engine

_SECRET_KEYS = frozenset(("encryptionsalt", "encryptedkey", "secretsprovider"))
"""Keys of a stack file that concern its encryption; a preview from an empty state uses its own."""


def run(checkout: Checkout) -> int:
    """Preview and return the engine's exit code; the state is read without a lock."""
    if passphrase.settings(checkout, os.environ) is None:
        return _from_nothing(checkout, f"the passphrase of {checkout.env} is not on this machine")
    engine = Engine(checkout, environment.for_engine(checkout, os.environ))
    if reason := _unreadable(engine):
        return _from_nothing(checkout, reason)
    engine = environment.addressed(engine)
    emulator.start(checkout)
    stack.ensure(engine)
    if preview_context.is_paused(engine.query_json("stack", "output", "--json")):
        print(
            f"{checkout.env} is paused; this is what `make up ENV={checkout.env}` or `make resume` would do", flush=True
        )
    return preview_context.with_preview_context(engine, paused=False).follow("preview", passthrough.CURRENT_SETTINGS)


def _unreadable(engine: Engine) -> str:
    """Return why the backend or key service denies access, such as in CI without secrets; empty when it does not.

    A state in files with a passphrase needs no service.
    """
    if backend.is_files(engine.environ) and backend.needs_passphrase(engine.checkout, engine.environ):
        return ""
    try:
        found = environment.addressed(engine)
        if stack.exists(found):
            found.query("config", "--json", "--show-secrets")
    except CliError as error:
        return str(error)
    return ""


def _from_nothing(checkout: Checkout, reason: str) -> int:
    """Preview from an empty state, with a warning before and after, because the output looks like a real preview.

    The warning mentions an existing state, because the preview shows its resources as new ones.
    """
    known = _state_of(checkout)
    warning = f"this preview assumes that nothing exists and uses the price file: {reason}{known}"
    print(warning, flush=True)
    code = _without_secrets(checkout)
    print(warning, flush=True)
    return code


def _state_of(checkout: Checkout) -> str:
    try:
        engine = environment.addressed(Engine(checkout, environment.for_engine(checkout, os.environ)))
        count = len(stack.deployment(engine).get("resources") or []) if stack.exists(engine) else 0
    except CliError:
        return ""
    return f". {checkout.env} HAS A STATE of {count} resources, which was not compared" if count else ""


def _without_secrets(checkout: Checkout) -> int:
    """Preview from an empty state in a temporary backend: nothing is decrypted or written to the checkout."""
    with tempfile.TemporaryDirectory(prefix="comfyui-runpod-preview-") as name:
        folder = Path(name)
        environ = {
            **environment.for_engine(checkout, os.environ),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(16),
        }
        config = folder / f"Pulumi.{checkout.env}.yaml"
        config.write_text(yaml.safe_dump(without_secrets(checkout.stack_yaml())))
        # A stack belongs to a project's name, not to its folder; created here, its salt is written here.
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": PROJECT, "runtime": "python"}))
        engine = Engine(checkout, environ)
        engine.query("stack", "init", "--cwd", name)
        return engine.follow("preview", "--config-file", str(config))


def without_secrets(content: dict[str, Any]) -> dict[str, Any]:
    """Return the stack file without its encryption settings and without encrypted values, at any depth."""
    return {key: _pruned(value) for key, value in content.items() if key not in _SECRET_KEYS}


def _pruned(value: Any) -> Any:  # noqa: ANN401  (YAML)
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items() if not _encrypted(item)}
    if isinstance(value, list):
        return [_pruned(item) for item in value if not _encrypted(item)]
    return value


def _encrypted(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"secure"}
