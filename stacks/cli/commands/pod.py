"""A shell on the environment's pod, and the pod's log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import requests

from provisioning.contract.display import printable
from stacks.cli.account import pod_login
from stacks.cli.account.account_items import client_settings
from stacks.cli.account.pod_login import PodLogin
from stacks.cli.errors import CliError
from stacks.cli.pulumi.engine import Engine

_SSH_FAILED = 255
_AGENT = "comfyui-runpod-cli/1"
# The log is an endless stream: existing lines arrive at once, and a pause means that all of them were received.
_PAUSE_SECONDS = 3
_CONNECT_SECONDS = 10


def shell(engine: Engine, command: list[str], *, given: BinaryIO | None = None, output: BinaryIO | None = None) -> int:
    """Run ssh with the pinned host key, for `command` or else a shell; return ssh's exit code.

    `given` and `output` replace this process's standard input and output.
    """
    found = pod_login.find_login(engine)
    with _key_files(engine.checkout.state, found) as options:
        flags = [part for option in options for part in ("-o", option)]
        words = ["ssh", "-F", "/dev/null", *flags, "-p", str(found.port), f"root@{found.host}", *command]
        code = subprocess.call(words, stdin=given, stdout=output)
    if code == _SSH_FAILED:
        print(unreachable(found, engine.checkout.env), file=sys.stderr)
    return code


def unreachable(found: PodLogin, env: str) -> str:
    """Return advice for a failure of ssh itself; the exit code does not give the reason."""
    return (
        f"If ssh itself failed: pod {found.pod_id} is at {found.host}:{found.port}. Connection refused or timed out: "
        "the pod is still starting, wait a minute. Host key verification failed: another machine answers, or the pod "
        f"lost its keys; nothing was sent. `make doctor ENV={env}` finds the cause, `make up ENV={env}` repairs it."
    )


@contextmanager
def _key_files(state: Path, found: PodLogin) -> Iterator[list[str]]:
    """Write key and host key to temporary files for one run of ssh, and yield the options that name them."""
    with tempfile.TemporaryDirectory(prefix="ssh-", dir=state) as folder:
        key, known = Path(folder) / "id", Path(folder) / "known_hosts"
        _write_private(key, found.private_key.rstrip("\n") + "\n")
        _write_private(known, f"[{found.host}]:{found.port} {found.host_key.strip()}\n")
        yield [
            f"IdentityFile={key}", "IdentitiesOnly=yes",
            f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "LogLevel=ERROR",
        ]  # fmt: skip


def show_log(engine: Engine, *, follow: bool, lines: int = 500) -> None:
    """Print the newest lines of the pod's log and, with `follow`, new lines as they arrive.

    Raises:
        CliError: there is no pod, or the API does not answer.
    """
    pod_id = engine.query_json("stack", "output", "--json").get("podId")
    if not pod_id:
        raise CliError(f"{engine.checkout.env} has no pod; run `make up ENV={engine.checkout.env}` first")
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
    """Return the text of each server-sent event of the log; other lines are skipped."""
    for text in stream:
        if not text.startswith("data:"):
            continue
        try:
            event = json.loads(text[5:])
        except ValueError:
            continue
        if isinstance(event, dict) and "line" in event:
            yield printable(f"{event.get('ts', '')} {event.get('source', '')} {event['line']}".strip())


def _write_private(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
