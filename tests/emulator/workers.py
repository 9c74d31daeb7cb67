"""The workers of serverless endpoints: as many as the bounds ask for, each billing from start to end.

Nothing here waits: a worker's status and end follow from the clock, so that a restart changes nothing.
"""

from __future__ import annotations

from tests.emulator.clock import Clock
from tests.emulator.faults import Conditions
from tests.emulator.identifiers import new_id
from tests.emulator.market import catalogue
from tests.emulator.presets import Endpoint, Worker
from tests.emulator.state import Span


def living(endpoint: Endpoint, now: float) -> list[Worker]:
    """Return the workers that exist."""
    return [worker for worker in endpoint.workers if worker.ends_at is None or worker.ends_at > now]


def adjust(endpoint: Endpoint, clock: Clock, conditions: Conditions) -> None:
    """Start what the lower bound asks for; let go of what is above the upper one, idle workers first."""
    now = clock.now()
    staying = [worker for worker in living(endpoint, now) if worker.ends_at is None]
    for _ in range(endpoint.minimum - len(staying)):
        start(endpoint, now)
    for worker in sorted(staying, key=lambda worker: worker.busy)[: max(0, len(staying) - endpoint.maximum)]:
        if not conditions.names(conditions.workers_never_end, endpoint.name):
            worker.ends_at = now + conditions.worker_end_seconds


def start(endpoint: Endpoint, now: float, *, busy: bool = False) -> None:
    """Add a worker."""
    gpu, price = hardware(endpoint)
    place = (endpoint.data_centers or ["EU-RO-1"])[0]
    count = endpoint.gpu["count"] if endpoint.gpu else 0
    worker = Worker(new_id(), now, endpoint.version, endpoint.image, place, gpu, count, price, busy)
    endpoint.workers.append(worker)


def end_all(endpoint: Endpoint, now: float) -> None:
    """End every worker at once, and what it does with it."""
    for worker in living(endpoint, now):
        worker.ends_at = now


def hardware(endpoint: Endpoint) -> tuple[str, float]:
    """Return the GPU type a worker gets, "" for a CPU worker, and its USD per hour."""
    if endpoint.gpu is None:
        wanted = endpoint.cpu[0]
        return "", catalogue().cpus[wanted["id"]].perVcpu * wanted["vcpuCount"]
    excluded = endpoint.gpu["excludedTypes"]
    fitting = [g for g in catalogue().gpus.values() if g.pool in endpoint.gpu["pools"] and g.id not in excluded]
    return fitting[0].id, (fitting[0].serverless or 0.0) * endpoint.gpu["count"]


def spans(endpoint: Endpoint) -> list[Span]:
    """Return what its workers have billed."""
    rates = [("gpu" if endpoint.gpu else "cpu", worker) for worker in endpoint.workers]
    return [Span(worker.started_at, worker.ends_at, **{kind: worker.price}) for kind, worker in rates]
