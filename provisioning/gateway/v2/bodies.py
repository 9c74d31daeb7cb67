"""What a submission of the Comfy API v2 says beside its workflow, each part checked as the contract has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from provisioning.gateway.options import Options
from provisioning.gateway.problems import Code, Problem, fault

MAX_METADATA_BYTES = 1024
"""The contract's own bound, for a label of any form."""

MOST_PRIORITY = 1_000_000
"""The contract's own bound; what of it counts is the gateway's to say."""

Metadata = str | dict[str, str]


@dataclass(frozen=True)
class Submission:
    """The body of POST /api/v2/jobs."""

    workflow: Any
    priority: int
    """As it was asked for, from -1,000,000 to 1,000,000."""
    metadata: Metadata | None
    """The caller's own label: one text, or texts by name as the SDKs send them."""
    webhook_url: str | None
    """Where the job's end is to be told; not judged yet."""


def read(body: Mapping[str, Any]) -> Submission:
    """Return what a body says; raises Problem."""
    if body.get("inputs") is not None:
        # A member that was ignored would be believed to work.
        raise Problem(Code.INVALID_WORKFLOW, "inputs is reserved and not taken.", members=fault("/inputs", "reserved"))
    _refuse_extra_data(body.get("extra_data"))
    return Submission(
        body.get("workflow"),
        priority(body.get("priority")),
        _metadata(body.get("metadata")),
        webhook_url(body.get("webhook_url")),
    )


def _refuse_extra_data(given: object) -> None:
    # A queue that outlives a restart would have to write a partner's key down, and no partner's nodes are here.
    if given is not None:
        message = "extra_data: nodes of partners are switched off here, and keys for them are not taken."
        raise Problem(Code.INVALID_REQUEST, message, members=fault("/extra_data", "not taken"))


def timeout_ms(given: object, options: Options) -> int:
    """Return how long a job says it may take, in milliseconds; 0 when it says nothing. Raises Problem."""
    if given is None:
        return 0
    most = options.max_job_timeout_seconds
    if not isinstance(given, int | float) or isinstance(given, bool) or not 1 <= given <= most:
        message = f"timeout_seconds: from 1 to {most:g}."
        raise Problem(Code.INVALID_FIELD, message, members=fault("/timeout_seconds", "not such a number"))
    return round(given * 1000)


def priority(given: object) -> int:
    """Return the priority that is asked for; 0 when it says nothing. Raises Problem."""
    if given is None:
        return 0
    if not isinstance(given, int) or isinstance(given, bool) or abs(given) > MOST_PRIORITY:
        message = f"priority: a whole number from {-MOST_PRIORITY} to {MOST_PRIORITY}."
        raise Problem(Code.INVALID_FIELD, message, members=fault("/priority", "not such a number"))
    return given


def webhook_url(given: object) -> str | None:
    """Return the address that is to be told of the end, None for none; raises Problem, but not for where it leads."""
    if given is not None and not isinstance(given, str):
        raise Problem(Code.INVALID_FIELD, "webhook_url: a text.", members=fault("/webhook_url", "not text"))
    return given


def _metadata(given: Any) -> Metadata | None:  # noqa: ANN401 - a client's JSON
    texts = [given] if isinstance(given, str) else list(given.values()) if isinstance(given, dict) else None
    if given is None:
        return None
    if texts is None or not all(isinstance(text, str) for text in texts):
        message = "metadata: a text, or texts by name."
        raise Problem(Code.INVALID_FIELD, message, members=fault("/metadata", "not text"))
    if len(given.encode() if isinstance(given, str) else orjson.dumps(given)) > MAX_METADATA_BYTES:
        message = f"metadata: at most {MAX_METADATA_BYTES} bytes."
        raise Problem(Code.INVALID_FIELD, message, members=fault("/metadata", "too long"))
    return dict(given) if isinstance(given, dict) else str(given)
