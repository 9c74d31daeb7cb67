"""Look an environment over: its state, the account, and what answers; say what is wrong and which command helps."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import requests

from components.runpod import inventory
from components.runpod.api.models import NetworkVolume, Pod
from components.runpod.inventory import Held
from stacks.cli import account, destroy, environment, findings, known, locks, pins, stack, standing
from stacks.cli.engine import Engine
from stacks.cli.errors import CliError
from stacks.cli.findings import Facts, Finding
from stacks.cli.place import Place

_AGENT = "comfyui-runpod-cli/1"
# Together five seconds: a gateway that runs answers /livez at once.
_LIMITS = (2.5, 2.5)


def run(place: Place, *, as_json: bool) -> int:
    """Print every finding. 0 when nothing costs or breaks, 1 otherwise.

    Raises:
        CliError: the environment is not prepared on this machine.
    """
    found = findings.find(look(environment.prepared(place, os.environ)))
    print(document(place.env, found) if as_json else text(place.env, found))
    return 0 if findings.is_healthy(found) else 1


def look(engine: Engine) -> Facts:
    """Look everything up; an account that cannot be asked is a finding too."""
    env, exists = engine.place.env, stack.exists(engine)
    state = stack.deployment(engine, secrets=True) if exists else {}
    states = known.read(engine)
    pods, volumes, others, fault = _account(engine)
    items = account.listed(pods, volumes, states.owners(), others)
    old, refusal = pins.compare(engine, state) if exists else ((), "")
    dead, living = _locks(engine)
    return Facts(
        env=env,
        state=state,
        pods=tuple(pods),
        volumes=tuple(volumes),
        others=tuple(others),
        judged=tuple(standing.judge_all(items, states)),
        unreadable=states.unreadable,
        api_fault=fault,
        silence=_silence(state, pods),
        paused=any((item.get("outputs") or {}).get("paused") is True for item in stack.resources(state, stack.STACK)),
        keeps_volumes=destroy.keeps_volumes(engine.place),
        stale_locks=dead,
        living_locks=living,
        pins=old,
        refusal=refusal,
    )


def text(env: str, found: list[Finding]) -> str:
    """The findings for a person: one line each, with the command below it."""
    if not found:
        return f"{env}: nothing is wrong"
    told = []
    for finding in found:
        price = f", ${finding.usd_per_day:.2f}/day" if finding.usd_per_day else ""
        told += [f"{finding.severity}{price}: {finding.what}", f"  {finding.fix}"]
    return "\n".join([*told, f"{env}: healthy" if findings.is_healthy(found) else f"{env}: needs attention"])


def document(env: str, found: list[Finding]) -> str:
    """The findings as one JSON object."""
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


def _account(engine: Engine) -> tuple[list[Pod], list[NetworkVolume], list[Held], str]:
    try:
        with account.api(engine) as client:
            others = inventory.look(client, account.cannot_see, priced=True)
            return client.list_pods(), client.list_network_volumes(), others, ""
    except CliError as error:
        return [], [], [], str(error)


def _locks(engine: Engine) -> tuple[tuple[str, ...], tuple[str, ...]]:
    folder = locks.folder(engine.place, engine.environ)
    if folder is None:
        return (), ()
    return tuple(file.name for file in locks.stale(folder)), tuple(file.name for file in locks.living(folder))


def _silence(state: dict[str, Any], pods: list[Pod]) -> str:
    """Why the gateway of a pod that runs does not answer."""
    url = next((item.get("outputs", {}).get("gatewayUrl") for item in stack.resources(state, stack.STACK)), None)
    running = {pod.id for pod in pods if pod.status == "RUNNING"}
    ours = any(item.get("id") in running for item in stack.resources(state, stack.POD))
    return knock(stack.clear(url)) if url and ours else ""


def knock(url: str) -> str:
    """Ask a gateway whether it lives; empty, or why it does not seem to."""
    address = f"{url.rstrip('/')}/livez"
    with closing(requests.Session()) as session:
        # A proxy of the environment cannot reach this machine's own loopback.
        session.trust_env = urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}
        try:
            with session.get(address, timeout=_LIMITS, stream=True, headers={"User-Agent": _AGENT}) as answer:
                return "" if answer.status_code == requests.codes.ok else f"{address} says HTTP {answer.status_code}"
        except requests.RequestException as error:
            return f"{address}: {type(error).__name__}"
