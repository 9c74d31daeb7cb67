"""`make key`: the stack's own client key, or the keys of its gateway, managed through the API with the admin key."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import requests

from provisioning.contract.expiry import parse_expiry
from stacks.cli.errors import CliError
from stacks.cli.pulumi.engine import Engine

KEYS = "/api/gateway/keys"
PAGE = 200
TIMEOUT_SECONDS = 30
"""The gateway answers such requests in milliseconds; RunPod's proxy can be slow."""

COLUMNS = ("id", "name", "owner", "scopes", "state", "expires_at", "last_used_at")


@dataclass(frozen=True)
class GatewayClient:
    """A client of the gateway's API with an admin key."""

    url: str
    key: str

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            CliError: the gateway did not answer, or refused; with the detail of its answer.
        """
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            answer = requests.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=TIMEOUT_SECONDS)
            found: dict[str, Any] = answer.json()
        except requests.RequestException as error:
            raise CliError(f"{self.url} did not answer ({type(error).__name__}); run `make doctor`") from error
        if not answer.ok:
            raise CliError(f"the gateway refused: {found.get('detail', answer.status_code)}")
        return found


def run(engine: Engine, options: argparse.Namespace) -> None:
    """Run the requested key command; without options, print only the stack's client key.

    Raises:
        CliError: more than one command was requested, the stack is not up, or the gateway refused.
    """
    acts = [act for act in ("list", "rotate", "revoke", "name") if getattr(options, act)]
    if not acts:
        if options.scopes or options.owner or options.expires or options.limits:
            raise CliError("SCOPES, OWNER, EXPIRES and LIMITS apply to a new key only: give its NAME")
        print(engine.query("stack", "output", "apiKey", "--show-secrets").strip())
        return
    if len(acts) > 1:
        raise CliError("give only one of NAME, LIST, ROTATE and REVOKE")
    _ACTS[acts[0]](_gateway(engine), options)


def _gateway(engine: Engine) -> GatewayClient:
    url = engine.query("stack", "output", "gatewayUrl").strip().rstrip("/")
    return GatewayClient(url, engine.query("stack", "output", "adminKey", "--show-secrets").strip())


def _create(gateway: GatewayClient, options: argparse.Namespace) -> None:
    order: dict[str, Any] = {"name": options.name}
    if options.scopes:
        order["scopes"] = options.scopes.replace(",", " ").split()
    if options.owner:
        order["owner"] = options.owner
    if options.expires:
        order["expires_at"] = _expiry(options.expires)
    if options.limits:
        order["limits"] = _limits(options.limits)
    _show(gateway.request("POST", KEYS, order))


def _rotate(gateway: GatewayClient, options: argparse.Namespace) -> None:
    rotated = gateway.request("POST", f"{KEYS}/{options.rotate}/rotate", {})
    _show(rotated)
    print(f"the old secret keeps working until {rotated['previous_until']}", file=sys.stderr)


def _revoke(gateway: GatewayClient, options: argparse.Namespace) -> None:
    gateway.request("POST", f"{KEYS}/{options.revoke}/revoke", {})
    print(f"{options.revoke} is revoked")


def _list(gateway: GatewayClient, _options: argparse.Namespace) -> None:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = gateway.request("GET", f"{KEYS}?{urlencode({'limit': PAGE, **cursor})}")
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    print(json.dumps([{name: item[name] for name in COLUMNS} for item in found], indent=2))


_ACTS = {"name": _create, "rotate": _rotate, "revoke": _revoke, "list": _list}


def _expiry(text: str) -> str | None:
    try:
        found = parse_expiry(text, datetime.now(UTC))
    except ValueError as error:
        raise CliError(f"EXPIRES: {error}") from None
    return None if found is None else found.isoformat()


def _limits(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CliError(f"LIMITS: {error}; write JSON, such as '{{\"max_queued\": 5}}'") from None


def _show(issued: Mapping[str, Any]) -> None:
    print(f"key {issued['id']}, shown once:", file=sys.stderr)
    print(issued["key"])
