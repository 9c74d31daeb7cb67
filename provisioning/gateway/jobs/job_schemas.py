"""Request and response schemas of jobs in the Comfy API v2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from provisioning.gateway.assets.repository import Asset
from provisioning.gateway.assets.schemas import OCTETS, URL_LIFE
from provisioning.gateway.core.http.schemas import AnswerBody, IsoTime, iso_time, optional_iso_time
from provisioning.gateway.core.problems import CATALOGUE, Code, Problem, fault
from provisioning.gateway.jobs import failure_codes
from provisioning.gateway.jobs import job as jobs
from provisioning.gateway.jobs.job import JobState
from provisioning.gateway.jobs.options import JobOptions, Workflow
from provisioning.gateway.jobs.repository import JobRecord
from provisioning.gateway.jobs.scheduler import Estimate
from provisioning.gateway.jobs.status import JobStatus, status_of

MAX_METADATA_BYTES = 1024
"""The bound of the Comfy API v2, for a label of any form."""

OutputType = Literal["image", "video", "audio", "text", "file", "latent"]
_TYPES: dict[str, OutputType] = {"image": "image", "video": "video", "audio": "audio", "text": "text"}


def _label(given: object) -> object:
    """Check the form of a label; raises ValueError."""
    texts = [given] if isinstance(given, str) else list(given.values()) if isinstance(given, dict) else None
    if texts is None or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a text, or an object of texts")
    if len(given.encode() if isinstance(given, str) else orjson.dumps(given)) > MAX_METADATA_BYTES:
        raise ValueError(f"at most {MAX_METADATA_BYTES} bytes")
    return given


Label = Annotated[str | dict[str, str], BeforeValidator(_label)]


class SubmitJob(JobOptions):
    """A workflow to run."""

    model_config = ConfigDict(json_schema_extra={"required": ["workflow"]})

    # A missing workflow is refused like every other malformed one, by jobs.workflow_rewrite.
    workflow: Workflow = Field(default_factory=lambda: None)
    """The workflow in API form: 'Export (API)' in ComfyUI's menu."""
    metadata: Label | None = None
    """A label of your own, 1024 bytes at most."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_reserved(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Refuse members that would be believed to work if they were ignored; raises Problem."""
        if given.get("inputs") is not None:
            message, members = "inputs is reserved and not taken.", fault("/inputs", "reserved")
            raise Problem(Code.INVALID_WORKFLOW, message, members=members)
        # A queue that outlives a restart would have to write a partner's key down, and no partner's nodes are here.
        if given.get("extra_data") is not None:
            message = "extra_data: nodes of partners are switched off here, and keys for them are not taken."
            raise Problem(Code.INVALID_REQUEST, message, members=fault("/extra_data", "not taken"))
        return given


@dataclass(frozen=True)
class JobView:
    """The data for a job's document beside its row."""

    base: str
    """Scheme and host of the request."""
    now: int
    retention_ms: int
    live: jobs.Job | None = None
    """The job, while it runs."""
    estimate: Estimate | None = None
    """The estimate for an unfinished job."""
    assets: tuple[Asset, ...] = ()


class Progress(AnswerBody):
    """The progress of a running job."""

    value: float = Field(ge=0, le=1)
    """Fraction of the whole workflow, 0 to 1."""
    nodes_done: int
    nodes_total: int
    current_node: str | None
    current_node_class: str | None
    step: int | None
    """Step of the current node."""
    steps: int | None
    message: str | None

    @classmethod
    def of(cls, job: jobs.Job) -> Progress:
        """Return a job's progress, from the finished nodes and the steps of the current one."""
        graph, progress = job.graph, job.progress
        part = min(1.0, progress.step / progress.steps) if progress.step and progress.steps else 0.0
        running = 0.0 if progress.node in progress.done else part
        node = graph.get(progress.node or "")
        return cls(
            value=min(1.0, (len(progress.done) + running) / max(1, len(graph))),
            nodes_done=min(len(progress.done), len(graph)),
            nodes_total=len(graph),
            current_node=progress.node,
            current_node_class=node["class_type"] if node else None,
            step=progress.step,
            steps=progress.steps,
            message=f"{node['class_type']} {progress.step}/{progress.steps}" if node and progress.steps else None,
        )


class Output(AnswerBody):
    """An output file of a job, which is also an asset."""

    node_id: str | None
    name: str
    type: OutputType
    content_type: str
    size_bytes: int = Field(ge=0)
    id: str
    hash: str | None
    """`blake3:` and 64 hexadecimal digits, of uploads; null for outputs."""
    job_id: str | None
    url: str
    """URL of the content; requires the API key."""
    url_expires_at: IsoTime

    @classmethod
    def of(cls, asset: Asset, base: str, now: int) -> Output:
        """Return an asset as an output of a job, with an address below `base`."""
        kind = asset.content_type or OCTETS
        latent = asset.filename.endswith(".latent")
        return cls(
            node_id=asset.node_id,
            name=asset.filename,
            type="latent" if latent else _TYPES.get(kind.partition("/")[0], "file"),
            content_type=kind,
            size_bytes=asset.size_bytes or 0,
            id=asset.id,
            hash=asset.hash,
            job_id=asset.job_id,
            url=f"{base}/api/v2/assets/{asset.id}/content",
            url_expires_at=iso_time(now + round(URL_LIFE.total_seconds() * 1000)),
        )


class JobError(AnswerBody):
    """Why a job failed."""

    code: str
    """`gpu_out_of_memory`, `upstream_lost`, `execution_error`, ..."""
    message: str
    node_id: str | None
    class_type: str | None
    traceback: None = None
    """Always null: a traceback would reveal paths of the machine."""
    node_errors: dict[str, Any] = Field(default={}, exclude_if=lambda errors: not errors)
    """Faults of a workflow that ComfyUI refused on dispatch, by node id."""

    @classmethod
    def of(cls, row: JobRecord) -> JobError | None:
        """Return why a job failed; None for one that did not."""
        if row.state not in {JobState.FAILED, JobState.REJECTED}:
            return None
        history = orjson.loads(row.history) if row.history else {}
        events = dict(history.get("status", {}).get("messages", []))
        error = events.get("execution_error", {})
        code, errors = row.error or failure_codes.EXECUTION_ERROR, error.get("node_errors")
        return cls(
            code=code,
            message=str(error.get("exception_message") or failure_codes.TEXTS.get(code) or _text(code)),
            node_id=_optional_text(error.get("node_id")),
            class_type=_optional_text(error.get("node_type")),
            node_errors=errors if isinstance(errors, dict) else {},
        )


def _optional_text(given: object) -> str | None:
    """Return any JSON value of ComfyUI as text; None when empty."""
    return str(given) if given else None


def _text(code: str) -> str:
    return CATALOGUE[Code(code)].detail if code in set(Code) else "The job failed."


class JobUrls(AnswerBody):
    """Related URLs, relative to this server."""

    self: str
    events: str
    cancel: str


class JobMetrics(AnswerBody):
    """Durations of a job, in milliseconds."""

    queue_ms: int | None
    """From its submission to its start."""
    execution_ms: int | None
    """GPU time, which is counted and billed."""


class Job(AnswerBody):
    """One run of a workflow."""

    id: str
    status: JobStatus
    created_at: IsoTime
    started_at: IsoTime | None
    completed_at: IsoTime | None
    expires_at: IsoTime
    """When its workflow and outputs are deleted."""
    queue_position: int | None
    """1 is next; null once it no longer waits."""
    queue_wait_seconds: int | None
    """Estimated from recent jobs; null when unknown."""
    estimated_completion_at: IsoTime | None
    """Estimated from similar jobs; null once it has ended."""
    progress: Progress | None
    outputs: list[Output]
    priority: int
    """The effective priority class: the requested one, clamped."""
    error: JobError | None
    metrics: JobMetrics
    urls: JobUrls
    metadata: str | dict[str, str] | None = Field(default=None, exclude_if=lambda label: label is None)
    """The caller's own label; omitted when there is none."""

    @classmethod
    def of(cls, row: JobRecord, view: JobView) -> Job:
        """Return a job."""
        started, estimate, url = row.started_at, view.estimate, f"/api/v2/jobs/{row.id}"
        urls = {"self": url, "events": f"{url}/events", "cancel": f"{url}/cancel"}
        return cls(
            id=row.id,
            status=status_of(row.state, cancelling=bool(row.cancel_requested)),
            created_at=iso_time(row.submitted_at),
            started_at=optional_iso_time(started),
            completed_at=optional_iso_time(row.finished_at),
            expires_at=iso_time((row.finished_at or row.submitted_at) + view.retention_ms),
            queue_position=estimate.position if estimate else None,
            queue_wait_seconds=estimate.wait_seconds if estimate else None,
            estimated_completion_at=iso_time(view.now + estimate.end_seconds * 1000) if estimate else None,
            progress=Progress.of(view.live) if view.live else None,
            outputs=[Output.of(asset, view.base, view.now) for asset in view.assets],
            priority=row.priority,
            error=JobError.of(row),
            metrics=JobMetrics(
                queue_ms=started - row.submitted_at if started else None,
                execution_ms=row.gpu_ms if row.finished_at and started else None,
            ),
            urls=JobUrls(**urls),
            metadata=orjson.loads(row.label) if row.label else None,
        )


class JobPage(AnswerBody):
    """Jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None
    """Pass it as `cursor` to get the next page; null on the last page."""
    truncated: bool
    """True when few jobs matched the filter and the search continues on the next page."""


class JobWorkflow(AnswerBody):
    """The workflow of a job as submitted."""

    workflow: dict[str, Any]
    format: Literal["api"]
