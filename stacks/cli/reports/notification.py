"""Notify a command or server of the operator about the gateway's address, which changes with every pod."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from standardwebhooks import Webhook

from components.errors import StackSettingsError
from stacks.cli.errors import CliError
from stacks.cli.pulumi import stack_settings
from stacks.cli.pulumi.engine import Engine
from stacks.settings import Settings

UP, PAUSED = "environment.up", "environment.paused"
COMMAND_SECONDS = 60
_ANSWER_SECONDS = 10
_PAUSES = (1.0, 5.0)
"""Seconds before the second and the third attempt."""
_AGENT = "comfyui-runpod-cli/1"
_PRIVATE = ("PULUMI_", "RUNPOD_")
"""Prefixes of secret variables: the passphrase, the token of the backend, the API key."""


@dataclass(frozen=True)
class AddressChange:
    """A change of the gateway's address."""

    type: str
    environment: str
    gateway_url: str
    """Empty while the environment is paused."""
    pod_id: str

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the command."""
        messages = {"EVENT": self.type, "ENVIRONMENT": self.environment, "GATEWAY_URL": self.gateway_url}
        return {f"COMFYUI_{name}": value for name, value in {**messages, "POD_ID": self.pod_id}.items()}

    def body(self, now: datetime) -> str:
        """Return the body of the POST."""
        data = {"environment": self.environment, "gatewayUrl": self.gateway_url, "podId": self.pod_id}
        return json.dumps({"type": self.type, "timestamp": now.isoformat(), "data": data})


def run(engine: Engine, kind: str, outputs: Mapping[str, Any]) -> None:
    """Notify the receivers in the stack file and print the result; a failure does not fail the command."""
    try:
        settings = stack_settings.read(engine)
    except (CliError, StackSettingsError) as error:
        print(f"notify: not sent, the settings cannot be read: {error}", flush=True)
        return
    event = AddressChange(
        kind, engine.checkout.env, str(outputs.get("gatewayUrl") or ""), str(outputs.get("podId") or "")
    )
    for messages in send(settings, event, engine.checkout.root):
        print(messages, flush=True)


def send(
    settings: Settings,
    event: AddressChange,
    root: Path,
    sleep: Callable[[float], None] = time.sleep,
    command_seconds: float = COMMAND_SECONDS,
) -> list[str]:
    """Run the command and send the POST from the settings; return one line about each."""
    wanted, again = settings.notify, f"`make up ENV={event.environment}` sends it again"
    messages = []
    if wanted.command:
        fault = _run(wanted.command, event, root, command_seconds)
        messages.append(f"notify: the command {f'failed: {fault}; {again}' if fault else 'ran'}")
    if wanted.url:
        fault = _post(wanted.url, settings.tokens.notify.get_secret_value(), event, sleep)
        # Only the host: chat services have their secret in the path.
        host = urlsplit(wanted.url).netloc.rpartition("@")[2]
        messages.append(f"notify: {host} {f'was not notified: {fault}; {again}' if fault else 'was notified'}")
    return messages


def _run(command: str, event: AddressChange, root: Path, seconds: float) -> str:
    """Run a command; return why it failed, or an empty text."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=root, env={**kept, **event.variables()}, stdin=subprocess.DEVNULL,
            timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it did not end within {seconds} s"
    except OSError as error:
        return str(error.strerror)
    return f"exit code {done.returncode}" if done.returncode else ""


def _post(url: str, secret: str, event: AddressChange, sleep: Callable[[float], None]) -> str:
    """Send a signed POST, in at most three attempts; return why it failed, or an empty text."""
    signer = _signer(secret)
    if signer is None:
        return "tokens.notify is missing or not a secret of the form whsec_<base64>"
    identity, fault = f"msg_{uuid.uuid4().hex}", ""
    for pause in (0.0, *_PAUSES):
        sleep(pause)
        fault = _attempt(url, signer, identity, event)
        if not fault:
            return ""
    return fault


def _signer(secret: str) -> Webhook | None:
    key = secret.removeprefix("whsec_")
    try:
        return Webhook(secret) if key and key != secret else None
    except ValueError:
        return None


def _attempt(url: str, signer: Webhook, identity: str, event: AddressChange) -> str:
    now = datetime.now(UTC)
    body = event.body(now)
    headers = {
        "webhook-id": identity,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(identity, now, body),
        "content-type": "application/json",
        "user-agent": _AGENT,
    }
    try:
        answer = requests.post(url, body.encode(), headers=headers, timeout=_ANSWER_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return type(error).__name__
    return "" if answer.status_code // 100 == 2 else f"HTTP {answer.status_code}"
