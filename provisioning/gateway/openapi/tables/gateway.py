"""The gateway's own routes for clients."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.openapi.models.gateway import ErrorEntry, Healthy, Ready, Usage
from provisioning.gateway.openapi.operation import HTML, UPSTREAM, Answer, Operation, Tag
from provisioning.gateway.openapi.parameters import whole
from provisioning.gateway.problems import CATALOGUE, Code

_LIMITED = CATALOGUE[Code.RATE_LIMITED]


def _page(summary: str, text: str) -> Operation:
    answer = Answer("A page that works without scripts.", example="<!doctype html>...", media=HTML)
    return Operation(Tag.GATEWAY, summary, (answer,), text)


TABLE = {
    "GET /api/v2/health": Operation(
        Tag.GATEWAY,
        "Ask whether the Comfy API answers",
        (Answer("It does.", Healthy, {"status": "healthy"}),),
        "As the Comfy API's clients ask; says nothing of ComfyUI.",
    ),
    "GET /api/gateway/ready": Operation(
        Tag.GATEWAY,
        "Ask whether jobs are taken, and why not",
        (Answer("They are.", Ready, {"status": "ready"}),),
        problems=(Code.DRAINING, Code.GPU_FAULT, Code.UPSTREAM_STUCK, *UPSTREAM),
    ),
    "GET /api/gateway/usage": Operation(
        Tag.GATEWAY,
        "Sum up what jobs took",
        (
            Answer(
                "By key and state; an admin's are everybody's.",
                Usage,
                {
                    "since": 1767225600000,
                    "rows": [
                        {
                            "key_id": "4fPq9sZ1",
                            "state": "completed",
                            "jobs": 12,
                            "gpu_ms": 98400,
                            "usd_micros": 18860,
                        }
                    ],
                },
            ),
        ),
        parameters=(whole("days", "How far back; 30 when left out.", 30, least=1, most=3650),),
    ),
    "GET /errors/{code}": Operation(
        Tag.GATEWAY,
        "Explain an error code",
        (
            Answer(
                "The catalogue's entry.",
                ErrorEntry,
                {
                    "code": Code.RATE_LIMITED.value,
                    "status": _LIMITED.status,
                    "title": _LIMITED.title,
                    "detail": _LIMITED.detail,
                },
                also=HTML,
            ),
        ),
    ),
    "GET /docs": _page("Read the guide", "How to submit, follow and fetch, with this gateway's own limits."),
    "GET /docs/reference": _page("Read this reference as a person", "Every route with examples."),
    "GET /docs/errors": _page("Read the error catalogue", "Every code, and what to do about it."),
    "GET /openapi.json": Operation(
        Tag.GATEWAY,
        "Read this reference as a machine",
        (Answer("OpenAPI 3.1.", dict[str, Any], {"openapi": "3.1.0"}),),
    ),
}
