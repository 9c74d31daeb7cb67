"""The settings of an environment as the program reads them, secrets decrypted by the engine."""

from __future__ import annotations

from components.naming import PROJECT
from stacks import settings
from stacks.cli.pulumi.engine import Engine


def read(engine: Engine) -> settings.Settings:
    """Ask the engine for the settings and check them.

    Raises:
        SettingsError: they are wrong; every fault is named.
    """
    config = engine.ask_json("config", "--json", "--show-secrets")
    prefix = f"{PROJECT}:"
    own = {key.removeprefix(prefix): entry for key, entry in config.items() if key.startswith(prefix)}
    raw = {key: str(entry["value"]) for key, entry in own.items()}
    secret = {key for key, entry in own.items() if entry.get("secret")}
    return settings.parse(engine.checkout.env, raw, secret, engine.checkout.root)
