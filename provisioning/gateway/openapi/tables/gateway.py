"""The gateway's own routes for clients."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.openapi.models.gateway import ErrorEntry, Healthy, Quotas, ReadyAndIsolated, Usage
from provisioning.gateway.openapi.operation import ANY_MEDIA, HTML, UPSTREAM, Answer, Operation, Parameter, Tag
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
        (Answer("They are.", ReadyAndIsolated, {"status": "ready", "isolation": "landlock"}),),
        problems=(Code.DRAINING, Code.GPU_FAULT, Code.UPSTREAM_STUCK, *UPSTREAM),
    ),
    "GET /api/gateway/usage": Operation(
        Tag.GATEWAY,
        "Sum up what jobs took",
        (
            Answer(
                "By key and state, and by day or month; an admin's are everybody's.",
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
                    "period": "day",
                    "periods": [
                        {
                            "starts_at": 1767225600000,
                            "owner": "discord",
                            "key_id": "4fPq9sZ1",
                            "jobs": 12,
                            "gpu_seconds": 98.4,
                            "images": 12,
                            "bytes": 0,
                            "usd": 0.01886,
                        }
                    ],
                },
            ),
        ),
        "`rows` are by the time of submission, `periods` by that of the end, in UTC.",
        (
            whole("days", "How far back; 30 when left out.", 30, least=1, most=3650),
            Parameter("period", "`day` when left out.", "month", schema={"type": "string", "enum": ["day", "month"]}),
        ),
    ),
    "GET /api/gateway/usage/events": Operation(
        Tag.OPERATIONS,
        "Export usage for billing",
        (Answer("One event per line, the oldest first.", media=ANY_MEDIA),),
        "What each job and upload took of each measure: `sequence`, `identifier`, `event_name` (`jobs`, `gpu_ms`, "
        "`images`, `bytes` or `usd_micros`), `timestamp` (seconds, when the work ended), `value`, `owner`, `key_id`, "
        "`job_id`. Begin with `after=0` and go on with the last `sequence` read: events are only ever added. The "
        "`identifier` is the same for ever, so that a bill counts it once; it makes a meter event of Stripe's, with "
        "`event_name`, `timestamp` and `value`.",
        (
            whole("after", "The last `sequence` that is known already.", 40, least=0),
            whole("limit", "Events in one answer; 1000 when left out.", 1000, least=1, most=10_000),
            Parameter(
                "format",
                "`jsonl` (when left out): one object per line; `csv`: the same with a header line.",
                "jsonl",
                schema={"type": "string", "enum": ["jsonl", "csv"]},
            ),
        ),
    ),
    "GET /api/gateway/quotas": Operation(
        Tag.GATEWAY,
        "Ask what may still be taken",
        (
            Answer(
                "Every quota that holds for the key and its user.",
                Quotas,
                {
                    "owner": "discord",
                    "key_id": "4fPq9sZ1",
                    "quotas": [
                        {
                            "name": "user-jobs-day",
                            "subject": "user",
                            "unit": "jobs",
                            "period": "day",
                            "limit": 100,
                            "used": 12,
                            "reserved": 1,
                            "remaining": 87,
                            "starts_at": 1767225600000,
                            "ends_at": 1767312000000,
                        }
                    ],
                },
            ),
        ),
        "A job counts in the day and month (UTC) in which it was accepted.",
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
    "GET /docs/options": _page("Read what an operator may set", "Every option of the stack file, with its default."),
    "GET /openapi.json": Operation(
        Tag.GATEWAY,
        "Read this reference as a machine",
        (Answer("OpenAPI 3.1.", dict[str, Any], {"openapi": "3.1.0"}),),
    ),
}
