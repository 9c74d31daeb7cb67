"""Inspect an environment's state, account and gateway; print each problem with the command that helps."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import requests

from components.naming import LOOPBACK_HOSTS
from components.runpod import inventory
from components.runpod.api.models import NetworkVolume, Pod
from components.runpod.inventory import AccountResource
from stacks.cli.account import account_items, ownership
from stacks.cli.checkout import Checkout
from stacks.cli.commands import destroy
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, stack, stack_index, state_locks
from stacks.cli.pulumi.engine import Engine
from stacks.cli.reports import drift, findings
from stacks.cli.reports.findings import Finding, Inspection

_AGENT = "comfyui-runpod-cli/1"
# Five seconds in total: a running gateway answers /livez at once.
_LIMITS = (2.5, 2.5)


def run(checkout: Checkout, *, as_json: bool) -> int:
    """Print every finding. Return 0 when nothing is broken or wastes money, 1 otherwise.

    Raises:
        CliError: the environment is not prepared on this machine.
    """
    found = findings.find(inspect(environment.prepared(checkout, os.environ)))
    print(document(checkout.env, found) if as_json else text(checkout.env, found))
    return 0 if findings.is_healthy(found) else 1


def inspect(engine: Engine) -> Inspection:
    """Collect the facts; an account that cannot be queried is a finding too."""
    env, exists = engine.checkout.env, stack.exists(engine)
    state = stack.deployment(engine, secrets=True) if exists else {}
    states = stack_index.read_index(engine)
    pods, volumes, others, fault = _account(engine)
    items = account_items.to_items(pods, volumes, states.owners(), others)
    old, refusal = drift.compare(engine, state) if exists else ((), "")
    dead, active = _locks(engine)
    return Inspection(
        env=env,
        state=state,
        pods=tuple(pods),
        volumes=tuple(volumes),
        others=tuple(others),
        owned=tuple(ownership.classify_all(items, states)),
        unreadable=states.unreadable,
        api_fault=fault,
        silence=_silence(state, pods),
        paused=any((item.get("outputs") or {}).get("paused") is True for item in stack.resources(state, stack.STACK)),
        keeps_volumes=destroy.keeps_volumes(engine.checkout),
        stale_locks=dead,
        active_locks=active,
        pins=old,
        refusal=refusal,
    )


def text(env: str, found: list[Finding]) -> str:
    """Return the findings as text: one line each, with the command below it."""
    if not found:
        return f"{env}: no problems found"
    messages = []
    for finding in found:
        price = f", ${finding.usd_per_day:.2f}/day" if finding.usd_per_day else ""
        messages += [f"{finding.severity}{price}: {finding.what}", f"  {finding.fix}"]
    return "\n".join([*messages, f"{env}: healthy" if findings.is_healthy(found) else f"{env}: needs attention"])


def document(env: str, found: list[Finding]) -> str:
    """Return the findings as one JSON object."""
    costing = (finding for finding in found if finding.severity is findings.Severity.COSTS)
    return json.dumps(
        {
            "environment": env,
            "healthy": findings.is_healthy(found),
            "usdPerDay": round(sum(finding.usd_per_day for finding in costing), 4),
            "findings": [finding.public() for finding in found],
        },
        indent=2,
    )


def _account(engine: Engine) -> tuple[list[Pod], list[NetworkVolume], list[AccountResource], str]:
    try:
        with account_items.environment_client(engine) as client:
            others = inventory.list_resources(client, account_items.warn_unreadable, priced=True)
            return client.list_pods(), client.list_network_volumes(), others, ""
    except CliError as error:
        return [], [], [], str(error)


def _locks(engine: Engine) -> tuple[tuple[str, ...], tuple[str, ...]]:
    folder = state_locks.folder(engine.checkout, engine.environ)
    if folder is None:
        return (), ()
    return tuple(file.name for file in state_locks.stale(folder)), tuple(
        file.name for file in state_locks.active(folder)
    )


def _silence(state: dict[str, Any], pods: list[Pod]) -> str:
    """Return why the gateway of a running pod does not answer; empty when it does."""
    url = next((item.get("outputs", {}).get("gatewayUrl") for item in stack.resources(state, stack.STACK)), None)
    running = {pod.id for pod in pods if pod.status == "RUNNING"}
    ours = any(item.get("id") in running for item in stack.resources(state, stack.POD))
    return probe(stack.clear(url)) if url and ours else ""


def probe(url: str) -> str:
    """Send a liveness request to a gateway; return why it failed, empty when it succeeded."""
    address = f"{url.rstrip('/')}/livez"
    with closing(requests.Session()) as session:
        # A proxy server from the environment variables cannot reach this machine's loopback address.
        session.trust_env = urlsplit(url).hostname not in LOOPBACK_HOSTS
        try:
            with session.get(address, timeout=_LIMITS, stream=True, headers={"User-Agent": _AGENT}) as answer:
                return "" if answer.status_code == requests.codes.ok else f"{address} answers HTTP {answer.status_code}"
        except requests.RequestException as error:
            return f"{address}: {type(error).__name__}"
