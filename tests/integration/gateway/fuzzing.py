"""Two users' things in a gateway, and how requests are made up from its own OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks as checked
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi

from tests.integration.clients.site import Site, until, workflow
from tests.unit.gateway.fake import PNG

CHECKS = [
    checked.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.ignored_auth,
]

Operation = schemathesis.APIOperation[Any, Any, Any, Any]

ENDLESS = {"/api/gateway/events"}
"""Streams that go on until the client hangs up."""


@dataclass
class User:
    """One user with a finished job and an uploaded file, each with a word in it that nobody else may see."""

    name: str
    key: str
    ids: dict[str, list[str]] = field(default_factory=dict)
    """Of its things, by the path parameter that takes them."""

    @property
    def canary(self) -> str:
        return f"canary-of-{self.name}"

    @property
    def things(self) -> list[str]:
        return [thing for kind in self.ids.values() for thing in kind]


def furnished(site: Site, name: str, key: str) -> User:
    """Return a user who has run a job and uploaded a file."""
    user = User(name, key)
    graph = workflow(text=user.canary)
    with site.client(key) as client:
        job = client.post("/api/v2/jobs", json={"workflow": graph}).json()["id"]
        until(lambda: client.get(f"/api/v2/jobs/{job}").json()["status"] == "succeeded", "the job's end")
        output = client.get(f"/api/v2/jobs/{job}").json()["outputs"][0]["id"]
        form = {"file_path": f"{user.canary}.png", "content_type": "image/png"}
        stored = client.post("/api/v2/assets", data=form, files={"file": ("a.png", PNG + name.encode())}).json()
    user.ids = {"id": [job, output, stored["id"]], "hash": [stored["hash"]]}
    return user


def profile(examples: int, *, random: bool) -> settings:
    """Return how many requests each operation gets; the same ones every time unless `random`."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=not random,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def operations(site: Site) -> list[Operation]:
    """Return every operation of the served document whose answer ends by itself."""
    with site.client(site.alice) as client:
        document = client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return [operation for operation in found if operation.path not in ENDLESS]
