"""The gateway's Comfy API v2 against Comfy-Org's own proxy, in front of the same stand-in: the same forms."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from provisioning.gateway.core.http.routing import Match, OperationTable
from provisioning.gateway.routes import OPERATIONS
from tests.emulator.public_ports import kept_port
from tests.integration.clients import differences
from tests.integration.clients.replay import Answer, replayed
from tests.integration.clients.site import ROOT, Program, opened

TOKEN = "token-of-the-proxy"
Pairs = dict[str, tuple[Answer | None, Answer | None]]


def ours(folder: Path) -> dict[str, Answer]:
    with opened(folder) as site, site.client(site.alice) as client:
        return replayed(client)


def theirs(folder: Path) -> dict[str, Answer]:
    with opened(folder) as site:
        port = kept_port()
        command = (sys.executable, "-m", "comfy_api_proxy.cli", "--comfyui", site.comfyui_url, "--port", str(port))
        url = f"http://127.0.0.1:{port}"
        proxy = Program((*command, "--token", TOKEN), ROOT, f"{url}/api/v2/health")
        proxy.start()
        try:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
                return replayed(client)
        finally:
            proxy.stop()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(talk, tmp_path_factory.mktemp(talk.__name__)) for talk in (ours, theirs)]
        mine, other = (future.result() for future in both)
    return {name: (mine.get(name), other.get(name)) for name in (mine | other)}


@pytest.mark.slow
def test_every_answer_has_the_proxys_form_but_for_what_is_listed(pairs: Pairs) -> None:
    found = []
    for name, (mine, other) in pairs.items():
        if mine is None or other is None:
            found += [] if name in differences.ALONE else [f"{name}: only one of the two answered"]
            continue
        allowed = differences.EVENTS if name.startswith("event") else differences.MEMBERS
        for where, how in differences.between(mine, other):
            known = name in differences.STATUSES if where == "status" else (_member(where), how) in allowed
            found += [] if known else [f"{name}: {where}: {how}"]
    assert found == []


def _member(where: str) -> str:
    """Return a job's member by its name alone, whether the job came by itself or in a list."""
    return where.removeprefix("/jobs")


def test_no_difference_is_listed_that_is_none(pairs: Pairs) -> None:
    statuses: set[str] = set()
    for name, (mine, other) in pairs.items():
        if mine is not None and other is not None:
            statuses.update(name for where, _ in differences.between(mine, other) if where == "status")
    assert set(differences.STATUSES) <= statuses


@pytest.mark.parametrize(
    "route",
    """
    GET /api/v2/health | POST /api/v2/jobs | GET /api/v2/jobs | GET /api/v2/jobs/x | GET /api/v2/jobs/x/workflow
    POST /api/v2/jobs/x/cancel | GET /api/v2/jobs/x/events | POST /api/v2/assets | POST /api/v2/assets/from-hash
    POST /api/v2/assets/from-path | HEAD /api/v2/assets/by-hash/x | GET /api/v2/assets/x
    GET /api/v2/assets/x/content | DELETE /api/v2/assets/x
    """.replace("|", "\n")
    .strip()
    .splitlines(),
)
def test_every_route_of_the_proxy_is_here(route: str) -> None:
    method, _, path = route.strip().partition(" ")
    assert isinstance(OperationTable(OPERATIONS).find(method, path), Match)
