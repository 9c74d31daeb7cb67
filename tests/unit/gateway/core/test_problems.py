"""The error catalogue is complete, in use and readable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provisioning import gateway
from provisioning.gateway.core import problems
from provisioning.gateway.core.problems import CATALOGUE, RETRY_SECONDS, Code, Problem
from provisioning.gateway.docs.problem_models import ComfyProblemBody, ProblemBody
from tests.unit.gateway.conftest import Gate, submit

SOURCES = [path.read_text() for path in Path(gateway.__file__).parent.rglob("*.py") if path.name != "problems.py"]
TOLD = re.compile(r"\bCode\.([A-Z_]+)\b")


def test_every_code_has_a_readable_entry() -> None:
    assert set(CATALOGUE) == set(Code)
    for code, entry in CATALOGUE.items():
        assert 400 <= entry.status < 600, code
        assert entry.title[0].isupper(), code
        assert not entry.title.endswith("."), code
        assert entry.detail[0].isupper(), code
        assert entry.detail.endswith("."), code
        assert re.fullmatch(r"[a-z0-9_]+", code.value), code


def test_every_code_is_raised_somewhere() -> None:
    used = {name for source in SOURCES for name in TOLD.findall(source)}
    assert {code.name for code in Code} == used, "every code is raised somewhere"


@pytest.mark.parametrize("code", list(Code))
def test_every_problem_has_both_formats(code: Code) -> None:
    problem = Problem(code)
    ours, comfy = problem.body("req_1"), problem.v2_body("req_1")
    ProblemBody.model_validate(ours)
    ComfyProblemBody.model_validate(comfy)
    assert ours["type"] == f"/errors/{code}"
    assert ours["instance"] == "/requests/req_1"
    assert comfy["error"]["message"] == ours["detail"]
    headers = dict(problem.headers())
    assert headers["content-type"] == "application/problem+json"
    assert ("retry-after" in headers) == ("retry_after" in ours) == (code in RETRY_SECONDS)
    assert ("www-authenticate" in headers) == (ours["status"] == 401)


def test_retryable_problems_have_retry_after() -> None:
    waits = {code for code, entry in CATALOGUE.items() if entry.status in {429, 503}}
    # Rate limiter and quotas always set the delay themselves.
    assert waits - {Code.RATE_LIMITED, Code.QUOTA_EXCEEDED} <= RETRY_SECONDS.keys()
    assert all(seconds >= 1 for seconds in RETRY_SECONDS.values())
    assert problems.whole_seconds(0.01) == 1


@pytest.mark.parametrize(
    "overrides",
    [{"rate_limit_per_minute": 3, "max_queued_per_owner": 1, "max_body_bytes": 1024, "max_upload_bytes": 1024}],
)
async def test_a_problem_names_the_fault(gate: Gate) -> None:
    await submit(gate.alice)
    full = (await gate.alice.post("/prompt", json={"prompt": {"1": {"class_type": "X", "inputs": {}}}})).json()
    assert (full["code"], "unfinished" in full["detail"]) == ("queue_full", True)
    long = (await gate.alice.post("/prompt", content=b"x" * 1025)).json()
    assert (long["code"], "1024 bytes" in long["detail"]) == ("body_too_large", True)
    often = await gate.alice.get("/queue")
    body = often.json()
    assert (body["code"], often.status_code) == ("rate_limited", 429)
    assert "3 in 60 s" in body["detail"]
    assert f"{often.headers['retry-after']} s" in body["detail"]
    form = await gate.bob.post("/upload/image", json={})
    assert (form.status_code, "multipart/form-data" in form.json()["detail"]) == (415, True)
    kind = await gate.bob.post("/upload/image", files={"image": ("a.svg", b"<svg/>" * 9)})
    assert kind.status_code == 415
