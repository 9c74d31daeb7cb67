"""The RunPod stand-in of an environment whose API address is on this machine.

An environment uses the stand-in if `runpod:apiUrl` is a loopback address. `make up` starts the stand-in first. It runs
as a separate program and is never imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit

from components.naming import LOOPBACK_HOSTS
from stacks.cli.checkout import Checkout
from stacks.cli.errors import CliError

_MODULE = "tests.emulator"
_ANSWER_SECONDS = 60


def port(checkout: Checkout) -> int | None:
    """Return the port of the environment's stand-in; None when it uses RunPod's API."""
    url = urlsplit(checkout.setting("runpod:apiUrl") or "")
    return (url.port or 80) if url.hostname in LOOPBACK_HOSTS else None


def start(checkout: Checkout) -> None:
    """Start it if it does not run.

    Raises:
        CliError: it does not start; the message contains its output.
    """
    number = port(checkout)
    if number is not None:
        print(_run(checkout, "start", number), flush=True)


def stop(checkout: Checkout) -> str:
    """Stop it and its pods.

    Raises:
        CliError: the environment has none, or it does not stop.
    """
    number = port(checkout)
    if number is None:
        raise CliError(f"{checkout.env} uses no stand-in: runpod:apiUrl is not on this machine")
    return _run(checkout, "stop", number, "--pods")


def _run(checkout: Checkout, verb: str, number: int, *more: str) -> str:
    state = str(checkout.state / "emulator")
    command = [sys.executable, "-m", _MODULE, verb, "--port", str(number), "--state", state, *more]
    try:
        answer = subprocess.run(
            command, cwd=checkout.root, env=dict(os.environ), capture_output=True, text=True, timeout=_ANSWER_SECONDS,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise CliError(f"the RunPod stand-in did not {verb} within {_ANSWER_SECONDS} s; see {state}") from error
    if answer.returncode != 0:
        raise CliError(f"the RunPod stand-in did not {verb}: {(answer.stderr or answer.stdout).strip()[-1500:]}")
    return answer.stdout.strip()
