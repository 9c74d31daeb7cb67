"""The settings of an environment as the program reads them, with secrets decrypted by the engine."""

from __future__ import annotations

from components.naming import PROJECT
from stacks import settings
from stacks.cli.pulumi.engine import Engine


def read(engine: Engine) -> settings.Settings:
    """Read the settings through the engine and validate them.

    Raises:
        StackSettingsError: they are invalid; the message names every fault.
    """
    config = engine.query_json("config", "--json", "--show-secrets")
    prefix = f"{PROJECT}:"
    own = {key.removeprefix(prefix): entry for key, entry in config.items() if key.startswith(prefix)}
    raw = {key: str(entry["value"]) for key, entry in own.items()}
    secret = {key for key, entry in own.items() if entry.get("secret")}
    return settings.parse(engine.checkout.env, raw, secret, engine.checkout.root)
