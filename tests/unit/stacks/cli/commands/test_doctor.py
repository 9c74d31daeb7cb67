"""What a doctor finds, how bad it is, and what it advises."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from components.runpod.api import NetworkVolume, Pod
from components.runpod.api.models import Gpu
from provisioning.contract import GatewayPlan, ModelPin, ProvisionPlan, SourcePin
from stacks.cli.account import account_items
from stacks.cli.account.ownership import classify_all
from stacks.cli.commands import doctor
from stacks.cli.pulumi.stack import POD, VOLUME
from stacks.cli.pulumi.stack_index import IndexedStack, StackIndex
from stacks.cli.reports import drift, findings
from stacks.cli.reports.findings import Finding, Inspection, Severity
from tests.unit.stacks.cli.listed_resources import OTHERS, OURS, a_pod, a_volume

MINE = OURS.name("comfyui-dev-gpu")
MOUNTS = {"network": [{"volumeId": "v1", "path": "/workspace"}]}
RUNNING = a_pod("p1", MINE, mounts=MOUNTS, gpu={"id": "g", "count": 1})
OWN_VOLUME = a_volume("v1", OURS.name("m"))
NO_GPU = RUNNING.model_copy(update={"gpu": Gpu(id="g", count=0)})
Pods = tuple[Pod, ...]
Volumes = tuple[NetworkVolume, ...]
STATE: dict[str, Any] = {
    "resources": [
        {"type": POD, "id": "p1", "outputs": {"costPerHr": 0.5}},
        {"type": VOLUME, "id": "v1", "outputs": {}},
    ]
}
DEV = IndexedStack("dev", frozenset({OURS.instance}), frozenset({"p1", "v1"}))


def facts(
    *,
    pods: Pods = (RUNNING,),
    volumes: Volumes = (OWN_VOLUME,),
    stack: IndexedStack = DEV,
    **more: Any,  # noqa: ANN401
) -> Inspection:
    owned = classify_all(account_items.to_items(pods, volumes, {}), StackIndex((stack,)))
    messages = {"env": "dev", "state": STATE, "pods": pods, "volumes": volumes, "owned": tuple(owned), **more}
    return Inspection(**messages)


def changed(**more: object) -> Pod:
    return RUNNING.model_copy(update=more)


def test_an_environment_that_is_as_it_should_be_has_no_findings() -> None:
    assert findings.find(facts()) == []


def also(thing: Pod | NetworkVolume, **more: Any) -> Inspection:  # noqa: ANN401
    if isinstance(thing, Pod):
        return facts(pods=(RUNNING, thing), **more)
    return facts(volumes=(OWN_VOLUME, thing), **more)


LOOSE = a_volume("x", OURS.name("m"))
BUSY = dataclasses.replace(DEV, busy=True)


@pytest.mark.parametrize(
    ("found_in", "kind", "severity", "usd", "fix"),
    [
        (also(a_pod("x", MINE)), "orphan", "costs", 12.0, "make sweep ENV=dev YES=1"),
        (also(a_pod("x", MINE, cost=0.0, status="EXITED")), "orphan", "note", 0.0, "make sweep ENV=dev YES=1"),
        (also(a_pod("x", MINE), stack=BUSY), "orphan", "note", 12.0, "make doctor ENV=dev"),
        (also(LOOSE), "orphan", "costs", 0.23, "make sweep ENV=dev VOLUMES=x YES=1"),
        (also(LOOSE, keeps_volumes=True), "orphan", "note", 0.23, "make sweep ENV=dev VOLUMES=x YES=1"),
        (also(a_pod("x", OTHERS.name("g"))), "unknown", "note", 12.0, "make sweep ENV=dev IDS=x YES=1"),
        (also(a_pod("x")), "unknown", "costs", 12.0, "make sweep ENV=dev IDS=x YES=1"),
        (facts(pods=()), "lost", "breaks", 0.0, "make up ENV=dev"),
        (facts(volumes=()), "lost", "breaks", 0.0, "make up ENV=dev"),
        (facts(pods=(changed(status="EXITED", cost=0.0),)), "silent", "breaks", 0.0, "make up ENV=dev"),
        (facts(pods=(NO_GPU,)), "silent", "breaks", 12.0, "make up ENV=dev"),
        (facts(silence="HTTP 502"), "silent", "breaks", 12.0, "make logs ENV=dev"),
        (facts(pods=(), state={}), "unused-volume", "costs", 0.23, "make destroy ENV=dev"),
        (facts(pods=(), state={}, paused=True), "unused-volume", "note", 0.23, "make resume ENV=dev"),
        (facts(pods=(changed(cost=0.6),)), "price", "costs", 2.4, "make up ENV=dev"),
        (facts(pods=(changed(cost=0.4),)), "price", "note", -2.4, "make up ENV=dev"),
        (facts(stale_locks=("l",)), "lock", "breaks", 0.0, "make up ENV=dev"),
        (facts(active_locks=("l",)), "lock", "note", 0.0, "make doctor ENV=dev"),
        (facts(pins=("ComfyUI: a is running, and the files specify b",)), "pin", "note", 0.0, "make up ENV=dev"),
        (facts(refusal="models: no"), "settings", "breaks", 0.0, "make preview ENV=dev"),
        (facts(unreadable=("prod",)), "state", "breaks", 0.0, "make output ENV=prod"),
        (facts(pods=(), volumes=(), api_fault="401"), "api", "breaks", 0.0, "make up ENV=dev"),
        (
            facts(state={**STATE, "pending_operations": [{"type": "creating", "resource": {"urn": "a::pod"}}]}),
            "pending", "breaks", 0.0, "make up ENV=dev",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_one_finding(found_in: Inspection, kind: str, severity: str, usd: float, fix: str) -> None:
    finding = next(iter(findings.find(found_in)))
    assert (finding.kind, finding.severity.value, finding.fix) == (kind, severity, fix)
    assert finding.usd_per_day == pytest.approx(usd, abs=0.01)
    assert findings.is_healthy([finding]) is (severity == "note")


def test_a_used_volume_of_another_owner_is_no_finding() -> None:
    theirs = {"network": [{"volumeId": "v2", "path": "/workspace"}]}
    user = a_pod("p2", OTHERS.name("g"), mounts=theirs)
    both = (a_volume("v1", OURS.name("m")), a_volume("v2"))
    assert [finding.kind for finding in findings.find(facts(pods=(RUNNING, user), volumes=both))] == ["unknown"]


def test_the_worst_and_dearest_comes_first() -> None:
    found = findings.find(also(a_pod("x", MINE), silence="no", pins=("y",)))
    assert [finding.severity for finding in found] == [Severity.COSTS, Severity.BREAKS, Severity.NOTE]
    pods = (RUNNING, a_pod("cheap", MINE, cost=0.1), a_pod("dear", MINE, cost=9.0))
    assert [finding.usd_per_day for finding in findings.find(facts(pods=pods))] == pytest.approx([216.0, 2.4])


def test_the_report_for_people_and_the_one_for_machines_say_the_same() -> None:
    found = [
        Finding("orphan", Severity.COSTS, "pod x", "make sweep", 12.0),
        Finding("pin", Severity.NOTE, "old", "make up"),
    ]
    assert doctor.text("dev", found).splitlines() == [
        "costs, $12.00/day: pod x", "  make sweep", "note: old", "  make up", "dev: needs attention",
    ]  # fmt: skip
    document = json.loads(doctor.document("dev", found))
    assert (document["environment"], document["healthy"], document["usdPerDay"]) == ("dev", False, 12.0)
    assert document["findings"][0] == {
        "kind": "orphan", "severity": "costs", "what": "pod x", "usdPerDay": 12.0, "fix": "make sweep",
    }  # fmt: skip
    assert doctor.text("dev", []) == "dev: no problems found"
    assert json.loads(doctor.document("dev", []))["healthy"] is True


def a_plan(**more: object) -> ProvisionPlan:
    model = ModelPin("a.safetensors", "vae", "https://x/a", "f" * 64)
    plan = ProvisionPlan(SourcePin("ComfyUI", "r", "v1", "c" * 40), (), (model,), GatewayPlan({}, 0.3))
    return dataclasses.replace(plan, **more)  # type: ignore[arg-type]


def test_a_pin_that_is_another_one_is_named_with_both() -> None:
    assert list(drift.differences(a_plan(), a_plan())) == []
    newer = a_plan(comfyui=SourcePin("ComfyUI", "r", "v2", "d" * 40), models=())
    assert list(drift.differences(a_plan(), newer)) == [
        f"ComfyUI: v1 ({'c' * 12}) of r is running, and the files specify v2 ({'d' * 12}) of r",
        f"a.safetensors: https://x/a ({'f' * 12}) is running, and the files specify nothing",
    ]


@pytest.fixture
def gateway() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/livez" else 502)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_gateway_is_asked_whether_it_lives(gateway: str) -> None:
    assert doctor.probe(f"{gateway}/") == ""
    assert "HTTP 502" in doctor.probe(f"{gateway}/elsewhere")


def test_a_gateway_that_refuses_is_silent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "ConnectionError" in doctor.probe(f"http://127.0.0.1:{free.getsockname()[1]}")
