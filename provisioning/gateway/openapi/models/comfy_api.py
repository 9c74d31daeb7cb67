"""Jobs and assets as the Comfy API v2 gives them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from provisioning.gateway.openapi.models.base import Answered, Sent

JobStatus = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled", "expired"]


class SubmitJob(Sent):
    """A workflow to run."""

    workflow: dict[str, Any] = Field(description="The workflow in API form: 'Export (API)' in ComfyUI's menu.")
    priority: int | None = Field(
        default=None,
        ge=-1_000_000,
        le=1_000_000,
        description="The lower, the later; counts from -10 to 0, for an admin to 10.",
    )
    timeout_seconds: float | None = Field(
        default=None, ge=1, description="How long ComfyUI may work on it; a setting of the gateway when left out."
    )
    metadata: str | dict[str, str] | None = Field(default=None, description="A label of your own, 1024 bytes at most.")
    webhook_url: str | None = Field(
        default=None, description="Where the job's end is told; signed with the secret of the webhook `jobs`."
    )


class Progress(Answered):
    """How far a running job is."""

    value: float = Field(ge=0, le=1, description="Of the whole workflow.")
    nodes_done: int
    nodes_total: int
    current_node: str | None
    current_node_class: str | None
    step: int | None = Field(description="Of the current node.")
    steps: int | None
    message: str | None


class Output(Answered):
    """A file that a job made; it is an asset."""

    id: str
    node_id: str | None
    name: str
    type: Literal["image", "video", "audio", "text", "file", "latent"]
    content_type: str
    size_bytes: int = Field(ge=0)
    hash: str | None = Field(description="`blake3:` and 64 hexadecimal digits, of uploads; null for outputs.")
    job_id: str | None
    url: str = Field(description="Where the bytes are; it needs the key.")
    url_expires_at: AwareDatetime


class JobError(Answered):
    """Why a job failed."""

    code: str = Field(description="`gpu_out_of_memory`, `upstream_lost`, `execution_error`, ...")
    message: str
    node_id: str | None
    class_type: str | None
    traceback: None = Field(description="Always null: it names files of the machine.")
    node_errors: dict[str, Any] = Field(
        default={}, description="Faults of a workflow that was refused when its turn came, by node id."
    )


class JobUrls(Answered):
    """Where to go on; relative to this server."""

    self: str
    events: str
    cancel: str


class JobMetrics(Answered):
    """How long a job took, in milliseconds."""

    queue_ms: int | None = Field(description="From its submission to its start.")
    execution_ms: int | None = Field(description="GPU time: what is counted and billed.")


class Job(Answered):
    """One run of a workflow."""

    id: str
    status: JobStatus
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    completed_at: AwareDatetime | None
    expires_at: AwareDatetime = Field(description="When its workflow and outputs are deleted.")
    queue_position: int | None = Field(description="1 is next; null once it no longer waits.")
    queue_wait_seconds: int | None = Field(description="Expected, from what jobs took lately; null when unknown.")
    estimated_completion_at: AwareDatetime | None = Field(description="By what jobs like it took; null once it ended.")
    progress: Progress | None
    outputs: list[Output]
    error: JobError | None
    metrics: JobMetrics
    urls: JobUrls
    priority: int = Field(description="Its class in the queue: what was asked for, as far as it counts.")
    metadata: str | dict[str, str] = Field(default="", description="The caller's own label.")


class JobPage(Answered):
    """Jobs, newest first."""

    jobs: list[Job]
    next_cursor: str | None = Field(description="Give it as `cursor` for the page after this; null on the last.")
    truncated: bool = Field(description="True where few jobs fit the filter and the search goes on with the next page.")


class JobWorkflow(Answered):
    """The workflow of a job, as it was sent."""

    workflow: dict[str, Any]
    format: Literal["api"]


class UploadAsset(Sent):
    """A file and what is known of it."""

    file: bytes = Field(json_schema_extra={"format": "binary"}, description="An image, video or sound.")
    file_path: str = Field(description="Its name, with folders if you like.")
    content_type: str = Field(default="", description="Its media type.")
    expected_hash: str = Field(default="", description="`blake3:` and 64 hexadecimal digits; refused when another.")


class AssetFromHash(Sent):
    """Bytes that were uploaded before, under a new name."""

    hash: str = Field(description="`blake3:` and 64 hexadecimal digits.")
    file_path: str | None = Field(default=None, description="The new asset's name; the same as before when left out.")


class Asset(Answered):
    """A file of the caller's."""

    id: str
    hash: str | None
    size_bytes: int = Field(ge=0)
    content_type: str
    file_path: str | None
    created_at: AwareDatetime
    job_id: str = Field(default="", description="The job that made it; left out for an upload.")
    url: str = Field(description="Where the bytes are; it needs the key.")
    url_expires_at: AwareDatetime
    created_new: bool = Field(default=True, description="On creation alone: whether the bytes were new.")
