"""The engine's environment variables, the same for `make` and for plain `pulumi` in the activated venv."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from components.naming import PROJECT
from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError
from stacks.cli.pulumi import backend, passphrase, stack
from stacks.cli.pulumi.engine import Engine


def for_engine(checkout: Checkout, environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with the variables that the engine needs; variables set by the caller win."""
    ours = settings(checkout, environ)
    return {**environ, **ours, "PATH": _path(ours["PATH"], environ.get("PATH", ""))}


def prepared(checkout: Checkout, environ: Mapping[str, str]) -> Engine:
    """Return the engine of a prepared environment.

    Raises:
        CliError: the environment does not exist, or its passphrase is not on this machine.
    """
    checkout.stack_yaml()
    if passphrase.settings(checkout, environ) is None:
        raise CliError(
            f"{checkout.env} is not prepared on this machine: the passphrase of its secrets is missing; run `make init "
            f"ENV={checkout.env}`, set PULUMI_CONFIG_PASSPHRASE, or select its backend with PULUMI_BACKEND_URL"
        )
    return addressed(Engine(checkout, for_engine(checkout, environ)))


def addressed(engine: Engine) -> Engine:
    """Return the engine with the stack's full name, when several organisations may have a stack of that name.

    Raises:
        CliError: Several organisations have a stack of that name and PULUMI_ORG is not set to one of them.
    """
    env, organisation = engine.checkout.env, engine.environ.get("PULUMI_ORG", "")
    if not backend.is_service(engine.environ):
        return engine
    if organisation:
        return dataclasses.replace(engine, stack=f"{organisation}/{PROJECT}/{env}")
    names = [name for name in stack.names(engine) if name.rpartition("/")[2] == env]
    if len(names) > 1:
        found = ", ".join(names)
        raise CliError(f"there are several stacks named {env}: {found}; choose one with PULUMI_ORG=<organisation>")
    return dataclasses.replace(engine, stack=stack.full_name(names[0])) if names else engine


def settings(checkout: Checkout, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the caller has not set; PATH contains only the folders to prepend."""
    setup, venv = checkout.setup(), checkout.root / ".venv"
    (checkout.state / "pulumi").mkdir(parents=True, exist_ok=True)
    # The engine writes files that all users can read, and the passphrase of `local` is public.
    checkout.state.chmod(0o700)
    defaults = {
        "PULUMI_BACKEND_URL": f"file://{checkout.state / 'pulumi'}",
        # The policy pack runs with every preview and update, including those of plain `pulumi`.
        "PULUMI_OPTION_POLICY_PACK": str(checkout.root / "policies"),
        # The project's plugin folder has no login, so the engine reads the login from the default folder.
        "PULUMI_CREDENTIALS_PATH": str(_login_folder(environ)),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    chosen = {name: value for name, value in defaults.items() if name not in environ}
    return {
        **chosen,
        **(passphrase.settings(checkout, environ) or {}),
        "PATH": f"{setup['engine']['folder']}{os.pathsep}{venv / 'bin'}",
        "PULUMI_HOME": setup["pulumi_home"],
        "VIRTUAL_ENV": str(venv),
    }


def _path(front: str, rest: str) -> str:
    return f"{front}{os.pathsep}{rest}" if rest else front


def _login_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
