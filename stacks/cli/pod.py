"""The environment's pod from outside: a shell on it, and its log."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import requests

from provisioning.client.console import plain
from stacks.cli import stack
from stacks.cli.account import client_settings
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.stack import clear

_KEY_PAIR = "runpod:index:SshKeyPair"
_AGENT = "comfyui-runpod-cli/1"
# The log is a stream without an end; what is there comes at once, and a pause means that all of it came.
_PAUSE_SECONDS = 3
_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Login:
    """How to reach the pod's SSH server, with the key it must prove to have."""

    host: str
    port: int
    private_key: str
    host_key: str


def find_login(state: Mapping[str, Any], env: str) -> Login:
    """The login from the state with its secrets in clear.

    Raises:
        CliError: the stack has no pod that runs.
    """
    pods = [item["outputs"] for item in stack.resources(state, stack.POD) if item.get("outputs", {}).get("sshHost")]
    pairs = {item["urn"].rpartition("::")[2]: item.get("outputs", {}) for item in stack.resources(state, _KEY_PAIR)}
    login = next((pair for name, pair in pairs.items() if "login" in name), None)
    host = next((pair for name, pair in pairs.items() if "host" in name), None)
    if not pods or login is None or host is None:
        raise CliError(f"{env} has no pod to log in to; run `make up ENV={env}` first")
    return Login(str(pods[0]["sshHost"]), int(pods[0]["sshPort"]), clear(login["privateKey"]), clear(host["publicKey"]))


def shell(engine: Engine, command: list[str], *, given: BinaryIO | None = None, output: BinaryIO | None = None) -> int:
    """Run ssh with the pinned host key; `command` or, without one, a shell. The exit code is ssh's.

    `given` and `output` stand in for this process's standard input and output.
    """
    login = find_login(stack.deployment(engine, secrets=True), engine.place.env)
    folder = engine.place.state / "ssh" / engine.place.env
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, known = folder / "id", folder / "known_hosts"
    _write_private(key, login.private_key.rstrip("\n") + "\n")
    _write_private(known, f"[{login.host}]:{login.port} {login.host_key.strip()}\n")
    options = [
        f"IdentityFile={key}", "IdentitiesOnly=yes", f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "LogLevel=ERROR",
    ]  # fmt: skip
    flags = [part for option in options for part in ("-o", option)]
    try:
        return subprocess.call(
            ["ssh", "-F", "/dev/null", *flags, "-p", str(login.port), f"root@{login.host}", *command],
            stdin=given,
            stdout=output,
        )
    finally:
        key.unlink(missing_ok=True)


def show_log(engine: Engine, *, follow: bool, lines: int = 500) -> None:
    """Print the newest lines of the pod's log and, with `follow`, what comes.

    Raises:
        CliError: there is no pod, or the API does not answer.
    """
    pod_id = engine.ask_json("stack", "output", "--json").get("podId")
    if not pod_id:
        raise CliError(f"{engine.place.env} has no pod; run `make up ENV={engine.place.env}` first")
    key, url = client_settings(engine)
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream", "User-Agent": _AGENT}
    limits = (_CONNECT_SECONDS, None if follow else _PAUSE_SECONDS)
    address = f"{url}/v2/pods/{pod_id}/logs?tail={lines}"
    try:
        with closing(requests.get(address, stream=True, timeout=limits, headers=headers)) as answer:
            answer.raise_for_status()
            for line in log_lines(answer.iter_lines(decode_unicode=True)):
                print(line, flush=True)
    except requests.exceptions.ReadTimeout:
        return
    except requests.exceptions.ConnectionError as error:
        if "timed out" not in str(error).lower():
            raise CliError(f"the log of pod {pod_id} cannot be read from {url}: {type(error).__name__}") from error
    except requests.exceptions.HTTPError as error:
        raise CliError(f"the log of pod {pod_id} was refused: HTTP {error.response.status_code}") from error


def log_lines(stream: Iterator[str]) -> Iterator[str]:
    """The text of each server-sent event; anything that is no event of the log is passed over."""
    for text in stream:
        if not text.startswith("data:"):
            continue
        try:
            event = json.loads(text[5:])
        except ValueError:
            continue
        if isinstance(event, dict) and "line" in event:
            yield plain(f"{event.get('ts', '')} {event.get('source', '')} {event['line']}".strip())


def _write_private(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
