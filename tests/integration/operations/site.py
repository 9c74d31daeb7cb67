"""An environment with a real state and real pods of the emulator, made without the minutes that `make up` takes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.runpod.api import Client
from components.runpod.marker import Marker
from stacks.cli.account import account_items
from stacks.cli.checkout import Checkout
from stacks.cli.pulumi import environment, stack
from tests.integration.provider import bench

GPU = "NVIDIA RTX A5000"
PREFIX = "urn:pulumi:local::comfyui-runpod::"


@dataclass
class Site:
    """The local environment of a checkout of its own, and the account it uses."""

    checkout: Checkout
    client: Client
    key: str

    def pod(self, marker: Marker | None, role: str = "comfyui-local-gpu") -> str:
        """Make a pod by hand; with a marker it looks like one of a stack's."""
        name = marker.name(role) if marker else role
        body = {"name": name, "image": "image:1", "gpu": {"id": GPU, "count": 1}, "cloud": "SECURE", "disk": 30}
        return self.client.create_pod({**body, "args": "sleep 86400"}).id

    def volume(self, marker: Marker) -> str:
        body = {"name": marker.name("comfyui-local-models"), "size": 20, "dataCenter": "EU-RO-1"}
        return self.client.network_volumes.create(body).id

    def endpoint(self, marker: Marker | None) -> str:
        """Make a serverless endpoint with one worker that always runs."""
        name = marker.name("comfyui-local-endpoint") if marker else "by-hand"
        body = {"name": name, "type": "QUEUE", "image": "image:1", "gpu": {"pools": ["ADA_24"]}, "workers": {"min": 1}}
        return self.client.endpoints.create({**body, "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4}}).id

    def holds(self) -> set[str]:
        """What really is there."""
        pods = {pod.id for pod in self.client.list_pods() if pod.status != "TERMINATED"}
        volumes = {volume.id for volume in self.client.list_network_volumes()}
        return pods | volumes | {endpoint.id for endpoint in self.client.endpoints.all()}

    def destroy(self) -> None:
        """Leave what `destroy` leaves: an empty state, and the old one in the backend's history."""
        backend = self.checkout.state / "pulumi" / ".pulumi"
        history = backend / "history" / "comfyui-runpod" / "local" / "local-1.checkpoint.json"
        history.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(backend / "stacks" / "comfyui-runpod" / "local.json", history)
        self._write([])

    def record(self, instance: str, things: Mapping[str, str]) -> None:
        """Write a state that holds these ids, with their resource types."""
        resources = [_resource(stack.STACK, "comfyui-runpod-local"), _guard(instance)]
        resources += [_resource(kind, "thing", identity) for identity, kind in things.items()]
        self._write(resources)

    def _write(self, resources: list[dict[str, Any]]) -> None:
        engine = environment.prepared(self.checkout, os.environ)
        stack.ensure(engine)
        file = self.checkout.root / "state.json"
        file.write_text(json.dumps({"version": 3, "deployment": {"manifest": MANIFEST, "resources": resources}}))
        engine.query("stack", "import", "--force", "--file", str(file))


MANIFEST = {"time": "2026-11-22T00:00:00Z", "magic": "", "version": ""}


def _guard(instance: str) -> dict[str, Any]:
    return {**_resource(stack.GUARD, "guard", instance), "outputs": {"instanceId": instance}}


def _resource(kind: str, name: str, identity: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"urn": f"{PREFIX}{kind}::{name}", "type": kind, "custom": bool(identity)}
    return found | ({"id": identity, "outputs": {}, "created": "2026-11-22T00:00:00Z"} if identity else {})


def new_site(folder: Path, engine: Path, url: str) -> Site:
    """Lay out a checkout that has the real stack files and talks to this emulator."""
    for name in ("stacks", "tests/comfyui"):
        ignored = shutil.ignore_patterns("__pycache__", "cli")
        shutil.copytree(bench.CHECKOUT / name, folder / name, ignore=ignored)
    shutil.copy(bench.CHECKOUT / "Pulumi.yaml", folder / "Pulumi.yaml")
    checkout = Checkout(folder, "local")
    checkout.stack_file.write_text(checkout.stack_file.read_text().replace("http://127.0.0.1:8642", url))
    (folder / ".cache").mkdir()
    setup = {"engine": {"folder": str(engine)}, "pulumi_home": str(folder / "home")}
    (folder / ".cache" / "setup.json").write_text(json.dumps(setup))
    key, _ = account_items.client_settings(environment.prepared(checkout, os.environ))
    return Site(checkout, Client(key, url), key)
