"""Creation of jobs from submitted workflows."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable

import orjson

from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.jobs import workflow_limits, workflow_rewrite
from provisioning.gateway.jobs.job import Job
from provisioning.gateway.jobs.queue_limits import QueueLimits
from provisioning.gateway.usage.quotas import Quota

CLIENT_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
"""The format of a client's label for its WebSocket."""


class JobFactory:
    """Creates jobs that are not stored yet."""

    def __init__(
        self,
        settings: GatewaySettings,
        clock: Clock,
        *,
        checks: Iterable[Callable[[], None]],
        limits_of: Callable[[Actor], QueueLimits],
        quotas_of: Callable[[Actor], tuple[Quota, ...]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._checks = tuple(checks)
        """Each raises Problem while no new job is accepted."""
        self._limits_of = limits_of
        self._quotas_of = quotas_of

    def create(self, actor: Actor, workflow: object, client_id: object = None) -> Job:
        """Return a job for a caller's workflow; raises Problem when it is refused."""
        for check in self._checks:
            check()
        job = Job(
            id=str(uuid.uuid4()),
            key_id=actor.key_id,
            owner=actor.owner,
            admin=actor.is_admin,
            client_id=client_id if isinstance(client_id, str) and CLIENT_ID.fullmatch(client_id) else "",
            workflow=orjson.dumps(workflow_rewrite.read(workflow, workflow_limits.of_options(self._settings))),
            submitted_at=self._clock.now_ms(),
            timeout_ms=round(self._settings.job_timeout_seconds * 1000),
            queue_limits=self._limits_of(actor),
            quotas=self._quotas_of(actor),
        )
        job.posting = True
        return job
