"""SSH login to the pod of an environment: keys from the state, the current address from RunPod."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.runpod.api import Client
from components.runpod.api.errors import NotFoundError, RunPodError
from stacks.cli.account import account_items
from stacks.cli.errors import CliError
from stacks.cli.pulumi import stack
from stacks.cli.pulumi.engine import Engine
from stacks.cli.pulumi.stack import clear

_KEY_PAIR = "runpod:index:SshKeyPair"


@dataclass(frozen=True)
class PodLogin:
    """Address and keys of the pod's SSH server."""

    pod_id: str
    host: str
    port: int
    private_key: str
    host_key: str


def find_login(engine: Engine) -> PodLogin:
    """Return the login with the pod's current address: RunPod maps another port at every start.

    Raises:
        CliError: The stack has no pod, or its pod does not run.
    """
    known = login_in_state(stack.deployment(engine, secrets=True), engine.checkout.env)
    key, url = account_items.client_settings(engine)
    with account_items.open_client(key, url) as client:
        return current_login(client, known, engine.checkout.env)


def login_in_state(state: Mapping[str, Any], env: str) -> PodLogin:
    """Return the login of the last update, from the state with decrypted secrets.

    Raises:
        CliError: The stack has no pod.
    """
    listed = [item for item in stack.resources(state, stack.POD) if not item.get("delete")]
    pods = [item for item in listed if (item.get("outputs") or {}).get("sshHost")]
    pairs = {item["urn"].rpartition("::")[2]: item.get("outputs", {}) for item in stack.resources(state, _KEY_PAIR)}
    login = next((pair for name, pair in pairs.items() if name.endswith("-login-key")), None)
    host = next((pair for name, pair in pairs.items() if name.endswith("-host-key")), None)
    if not pods or login is None or host is None:
        raise CliError(f"{env} has no pod to log in to; run `make up ENV={env}` first")
    outputs = pods[-1]["outputs"]
    address = (str(outputs["sshHost"]), int(outputs["sshPort"]))
    return PodLogin(str(pods[-1].get("id", "")), *address, clear(login["privateKey"]), clear(host["publicKey"]))


def current_login(client: Client, known: PodLogin, env: str) -> PodLogin:
    """Return the login with the pod's current address; the known address when RunPod does not answer.

    Raises:
        CliError: The pod no longer exists, or does not run.
    """
    try:
        pod = client.get_pod(known.pod_id)
    except NotFoundError as error:
        raise CliError(f"pod {known.pod_id} no longer exists; run `make up ENV={env}` to create another one") from error
    except RunPodError as error:
        print(f"{error}\ntrying the address of the last `make up`", file=sys.stderr, flush=True)
        return known
    if pod.ssh.direct is None:
        raise CliError(f"pod {pod.id} is {pod.status} and has no SSH address; run `make up ENV={env}`")
    return dataclasses.replace(known, host=pod.ssh.direct.host, port=pod.ssh.direct.port)
