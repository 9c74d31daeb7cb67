"""The settings of an environment as the program reads them, secrets decrypted by the engine."""

from __future__ import annotations

from stacks import settings
from stacks.cli.engine import Engine
from stacks.cli.place import PROJECT


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
    return settings.parse(engine.place.env, raw, secret, engine.place.root)
