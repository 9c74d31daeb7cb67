"""Options of a job beside its workflow, for single submissions and batches."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, WithJsonSchema

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.jobs.job import Job

MAX_REQUESTED_PRIORITY = 1_000_000
"""The bound of the Comfy API v2; values are clamped to MAX_PRIORITY."""

MAX_PRIORITY = 10

Workflow = Annotated[Any, WithJsonSchema({"type": "object", "additionalProperties": True})]
"""A workflow as the caller sent it; jobs.workflow_rewrite validates it."""


class JobOptions(BaseModel):
    """Options of a submission; unknown members are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)

    priority: StrictInt | None = Field(default=None, ge=-MAX_REQUESTED_PRIORITY, le=MAX_REQUESTED_PRIORITY)
    """Lower values run later; clamped to -10..0, for an admin to -10..10."""
    timeout_seconds: Annotated[float, Field(strict=True, ge=1)] | None = None
    """Time limit of the run; the gateway's default when omitted."""
    webhook_url: StrictStr | None = None
    """URL that is notified of the end; signed with the secret of the webhook `jobs`."""

    def apply(self, job: Job, actor: Actor, max_timeout_seconds: float) -> None:
        """Set a job's priority and time limit; raises Problem INVALID_FIELD for a limit above the maximum."""
        job.priority = effective_priority(self.priority or 0, actor)
        if self.timeout_seconds is None:
            return
        if self.timeout_seconds > max_timeout_seconds:
            message = f"timeout_seconds: from 1 to {max_timeout_seconds:g}."
            raise Problem(Code.INVALID_FIELD, message, members=fault("/timeout_seconds", "above the maximum"))
        job.timeout_ms = round(self.timeout_seconds * 1000)


def effective_priority(requested: int, actor: Actor) -> int:
    """Return a job's priority class: every caller may lower it, only an admin may raise it."""
    return max(-MAX_PRIORITY, min(requested, MAX_PRIORITY if actor.is_admin else 0))
