"""Jobs and assets in the form that the Comfy API v2 gives them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from provisioning.gateway.access.admission import LOOPBACK_NAMES
from provisioning.gateway.jobs import reasons
from provisioning.gateway.jobs.job import Job, JobState
from provisioning.gateway.jobs.rows import JobRecord
from provisioning.gateway.jobs.scheduler import Forecast
from provisioning.gateway.problems import CATALOGUE, Code
from provisioning.gateway.storage.assets import Asset
from provisioning.gateway.web.exchange import Exchange

DAY_MS = 86_400_000
URL_MS = DAY_MS
"""What is told of a content URL's life: it needs the key all the same, and works as long as the asset is there."""

BINARY = "application/octet-stream"

_STATUSES = {
    JobState.ACCEPTED: "queued",
    JobState.DISPATCHING: "queued",
    JobState.QUEUED: "queued",
    JobState.RUNNING: "running",
    JobState.COMPLETED: "succeeded",
    JobState.FAILED: "failed",
    JobState.REJECTED: "failed",
    JobState.CANCELLED: "canceled",
}
_KINDS = {"image": "image", "video": "video", "audio": "audio", "text": "text"}


@dataclass(frozen=True)
class View:
    """What a job document needs beside the job's row."""

    base: str
    """Scheme and host that the caller used."""
    now: int
    retention_ms: int
    live: Job | None = None
    forecast: Forecast | None = None
    """Of a job that has not ended."""
    assets: tuple[Asset, ...] = ()


def base_url(exchange: Exchange) -> str:
    """Return scheme and host as the caller sees them: TLS ends at RunPod's proxy."""
    host = exchange.header("host") or ""
    local = host.rpartition(":")[0] in LOOPBACK_NAMES or host in LOOPBACK_NAMES
    return f"{'http' if local else 'https'}://{host}"


def moment(milliseconds: int | None) -> str | None:
    """Return a time in ISO 8601, UTC."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def status(state: JobState, *, cancelling: bool) -> str:
    """Return the word for a state; a job that is to end but still runs is `canceling`."""
    return "canceling" if cancelling and state is JobState.RUNNING else _STATUSES[state]


def job(row: JobRecord, view: View) -> dict[str, Any]:
    """Return a job."""
    started = row.started_at
    waited = started - row.submitted_at if started else None
    url = f"/api/v2/jobs/{row.id}"
    return {
        "id": row.id,
        "status": status(row.state, cancelling=bool(row.cancel_requested)),
        "created_at": moment(row.submitted_at),
        "started_at": moment(started),
        "completed_at": moment(row.finished_at),
        "expires_at": moment((row.finished_at or row.submitted_at) + view.retention_ms),
        "queue_position": view.forecast and view.forecast.position,
        "queue_wait_seconds": view.forecast and view.forecast.wait_seconds,
        "estimated_completion_at": view.forecast and moment(view.now + view.forecast.end_seconds * 1000),
        "progress": progress(view.live) if view.live else None,
        "outputs": [output(asset, view) for asset in view.assets],
        "priority": row.priority,
        "error": _error(row),
        "metrics": {"queue_ms": waited, "execution_ms": row.gpu_ms if row.finished_at and started else None},
        "urls": {"self": url, "events": f"{url}/events", "cancel": f"{url}/cancel"},
        **({"metadata": orjson.loads(row.label)} if row.label else {}),
    }


def progress(live: Job) -> dict[str, Any]:
    """Return how far a job is, by nodes and by the steps of the one that runs."""
    graph, told = live.graph, live.progress
    part = min(1.0, told.step / told.steps) if told.step and told.steps else 0.0
    running = 0.0 if told.node in told.done else part
    value = min(1.0, (len(told.done) + running) / max(1, len(graph)))
    node = graph.get(told.node or "")
    return {
        "value": value,
        "nodes_done": min(len(told.done), len(graph)),
        "nodes_total": len(graph),
        "current_node": told.node,
        "current_node_class": node["class_type"] if node else None,
        "step": told.step,
        "steps": told.steps,
        "message": f"{node['class_type']} {told.step}/{told.steps}" if node and told.steps else None,
    }


def output(asset: Asset, view: View) -> dict[str, Any]:
    """Return an asset as an output of a job."""
    kind = asset.content_type or BINARY
    return {
        "node_id": asset.node_id,
        "name": asset.filename,
        "type": "latent" if asset.filename.endswith(".latent") else _KINDS.get(kind.partition("/")[0], "file"),
        "content_type": kind,
        "size_bytes": asset.size_bytes or 0,
        "id": asset.id,
        "hash": asset.hash,
        "job_id": asset.job_id,
        **_url(asset, view),
    }


def asset(found: Asset, view: View, *, created_new: bool | None = None) -> dict[str, Any]:
    """Return an asset."""
    document = {
        "id": found.id,
        "hash": found.hash,
        "size_bytes": found.size_bytes or 0,
        "content_type": found.content_type or BINARY,
        "file_path": found.file_path,
        "created_at": moment(found.created_at),
        **_url(found, view),
    }
    # The contract leaves out what does not apply.
    document |= {} if found.job_id is None else {"job_id": found.job_id}
    return document if created_new is None else document | {"created_new": created_new}


def _url(found: Asset, view: View) -> dict[str, Any]:
    url = f"{view.base}/api/v2/assets/{found.id}/content"
    return {"url": url, "url_expires_at": moment(view.now + URL_MS)}


def _error(row: JobRecord) -> dict[str, Any] | None:
    if row.state not in {JobState.FAILED, JobState.REJECTED}:
        return None
    history = orjson.loads(row.history) if row.history else {}
    events = dict(history.get("status", {}).get("messages", []))
    told = events.get("execution_error", {})
    reason = row.error or reasons.EXECUTION_ERROR
    return {
        "code": reason,
        "message": str(told.get("exception_message") or reasons.TEXTS.get(reason) or _title(reason)),
        "node_id": told.get("node_id") or None,
        "class_type": told.get("node_type") or None,
        # ComfyUI's traceback names files of the machine: it is for the operator's log alone.
        "traceback": None,
        # As in the answer to a submission that is refused at once.
        **({"node_errors": told["node_errors"]} if told.get("node_errors") else {}),
    }


def _title(code: str) -> str:
    return CATALOGUE[Code(code)].detail if code in set(Code) else "The job failed."
