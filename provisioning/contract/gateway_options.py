"""The gateway's options, in the stack file's `gateway:` section and in the gateway's settings file."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Amount = Annotated[float, Field(strict=True, ge=0, le=1e15, allow_inf_nan=False)]
"""Amount of a unit per period."""


class Unit(StrEnum):
    """Units of quotas."""

    JOBS = "jobs"
    GPU_SECONDS = "gpu_seconds"
    IMAGES = "images"
    BYTES = "bytes"
    USD = "usd"


class Period(StrEnum):
    """Calendar period of a quota, in UTC."""

    DAY = "day"
    MONTH = "month"


Quotas = Mapping[Unit, Mapping[Period, Amount]]

MEBIBYTE = 1024 * 1024

HostName = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z0-9.\[\]:-]{1,255}$")]


NodePattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]

DENIED_NODES = (
    # Nodes that run code or commands.
    "*terminal*", "*shell*command*", "*python*script*", "*pyscript*", "*python*code*", "*run*python*", "*exec*python*",
    "*python*exec*", "*interpreter*", "IDENode", "SRL Eval", "SRL Eval *", "*PyEval*", "*CodeExec*", "Evaluate Strings",
    # Nodes that read or write paths of the caller's choice.
    "VHS_Load*Path", "VHS_LoadImages", "VHS_LoadAudio", "*FromPath*", "*from path*", "*ToPath*", "*FromDir*",
    "*from dir*", "*FromDirectory*", "Load Image Batch", "Load Text File", "Save Text File", "Image Save",
    "Text Load Line From File", "Text File History Loader", "Load Cache", "Create Video from Path", "LoadText|*",
    "SaveText|*", "*LoadTextFile*", "*SaveTextFile*", "*FileReader*", "*FileWriter*",
    # Nodes that fetch addresses, including those in the pod's own network.
    "*FromUrl*", "*from url*", "*UrlTo*", "*HTTPRequest*", "*HTTP Request*", "*Webhook*", "*Downloader*",
)  # fmt: skip


class Journal(StrEnum):
    """SQLite's journal mode."""

    TRUNCATE = "truncate"
    """A rollback journal, for network volumes, where WAL's shared memory does not work."""
    WAL = "wal"
    """A write-ahead log, which is faster, for a database on the container disk, which does not survive a stop."""


class Options(BaseModel):
    """The gateway's options, with defaults for a small team; the string below each one is its documentation.

    Names are in camelCase in the stack file and in snake_case in the gateway's own file.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        alias_generator=to_camel,
        validate_by_name=True,
        use_attribute_docstrings=True,
    )

    hosts: tuple[HostName, ...] = ()
    """Host names the gateway answers to, besides the pod's name at RunPod's proxy: a custom domain, with or without
    a port."""
    rate_limit_per_minute: int = Field(default=300, ge=1, le=1_000_000)
    """Requests per key and minute. Like every limit per minute it allows a burst of the same number."""
    owner_rate_limit_per_minute: int = Field(default=0, ge=0, le=1_000_000)
    """Requests per minute of all keys of an owner together; 0 means twice the limit of one key."""
    address_rate_limit_per_minute: int = Field(default=3000, ge=1, le=1_000_000)
    """Requests per minute and network address, except loopback. Clients behind one proxy share an address."""
    submits_per_minute: int = Field(default=300, ge=1, le=1_000_000)
    """Submissions per owner and minute. A batch counts as one; its jobs count one by one in the queue and in quotas."""
    uploads_per_minute: int = Field(default=300, ge=1, le=1_000_000)
    """Uploaded files per owner and minute."""
    failed_logins_per_minute: int = Field(default=60, ge=1, le=1_000_000)
    """Rejected keys per network address and minute that receive the reason; further ones receive 429."""
    failed_logins_per_account_per_minute: int = Field(default=6, ge=1, le=1_000_000)
    """Wrong passwords per user name and minute, from all addresses. When it is reached, the right password waits as
    well; keys and existing sessions keep working."""
    session_hours: float = Field(default=12.0, gt=0, le=720)
    """Lifetime of a login session in hours; its tokens live 15 minutes and can be renewed within it."""
    max_queued_per_owner: int = Field(default=100, ge=1)
    """Unfinished jobs per owner."""
    max_queued_per_key: int = Field(default=0, ge=0)
    """Unfinished jobs per key; 0 means as many as its owner may have."""
    max_batch: int = Field(default=100, ge=1, le=1000)
    """Jobs in one batch; never more than `max_queued_per_owner`."""
    max_job_timeout_seconds: float = Field(default=21_600, ge=1, le=86_400)
    """Largest time-out that a job may request."""
    max_queued: int = Field(default=1000, ge=1)
    """Unfinished jobs of all owners together."""
    job_timeout_seconds: float = Field(default=3600, ge=1, le=86_400)
    """Time-out of a job that requests none."""
    quotas: Quotas = Field(default_factory=dict)
    """Quotas of each user per `day` and `month` (UTC) for jobs, gpu_seconds, images, bytes and usd; unlimited by
    default."""
    key_quotas: Quotas = Field(default_factory=dict)
    """Quotas of each key, in addition to its user's."""
    reserved_gpu_seconds: float = Field(default=60.0, ge=0, le=86_400)
    """GPU-seconds reserved in the quotas for each unfinished job, or what is left of the quota."""
    reserved_images: int = Field(default=1, ge=0, le=10_000)
    """Images reserved in the quotas for each unfinished job, or what is left of the quota."""
    journal: Journal = Journal.TRUNCATE
    """SQLite's journal mode for a database without a log on the volume; with a log it is always `wal`."""
    volume_patience_seconds: float = Field(default=5.0, gt=0, le=60)
    """How long a change waits for the volume before it is answered with 503; reads continue meanwhile."""
    silence_seconds: float = Field(default=60.0, gt=0, le=3600)
    """A gateway of another pod on the volume that has given no sign of life for this long counts as dead."""
    handover_seconds: float = Field(default=1800.0, gt=0, le=86_400)
    """How long a running job may continue while another pod takes over; then it is stopped and run again there."""
    encrypt_at_rest: bool = False
    """Whether images, uploads and saved files on the volume are encrypted, and in the database workflows, histories,
    webhook secrets and names of keys. Without it they are on the volume in plain text."""
    max_body_bytes: int = Field(default=10 * MEBIBYTE, ge=1024)
    """Largest JSON body in bytes."""
    max_upload_bytes: int = Field(default=100 * MEBIBYTE, ge=1024)
    """Largest upload in bytes; the default is ComfyUI's own."""
    max_nodes: int = Field(default=2000, ge=1)
    """Largest number of nodes in a workflow."""
    max_image_pixels: int = Field(default=100_000_000, ge=1024)
    """Most pixels of an uploaded image, all frames together; an opened image takes four bytes per pixel."""
    min_free_bytes: int = Field(default=256 * MEBIBYTE, ge=0)
    """Free space on the volume and on the container disk, in bytes, below which no job and no file is accepted, so that
    running jobs can still save. The volume's free space is its size minus the files on it."""
    max_pixels: int = Field(default=268_435_456, ge=4096)
    """Largest width x height x number of images that one node may request; the default is 256 images of one
    megapixel."""
    max_steps: int = Field(default=1000, ge=1)
    """Largest number of steps that one node may request."""
    allowed_nodes: tuple[NodePattern, ...] = ()
    """Node classes that workflows may use, with `*` as wildcard; empty means all except `denied_nodes`."""
    denied_nodes: tuple[NodePattern, ...] = DENIED_NODES
    """Node classes that no workflow may use, not even an admin's. The default lists nodes that run code or
    commands, read or write paths of the caller's choice, or fetch addresses."""
    max_requests_per_owner: int = Field(default=40, ge=1)
    """Concurrent requests per owner; fewer than the connections to ComfyUI, so that one owner's slow downloads
    leave some for others."""
    max_sockets_per_owner: int = Field(default=20, ge=1)
    """Open WebSockets and event streams per owner."""
    max_streams_per_key: int = Field(default=20, ge=1)
    """Open WebSockets and event streams per key."""
    max_streams: int = Field(default=2000, ge=1, le=3500)
    """Open WebSockets and event streams of all owners together; each takes about 50 kB."""
    keep_alive_seconds: float = Field(default=15.0, gt=0, le=60)
    """Interval of keep-alive messages on an idle event stream; RunPod's proxy closes connections idle for 100 s."""
    cost_update_seconds: float = Field(default=60.0, gt=0)
    """Interval of cost events; the owner of a job that ends gets one at once."""
    event_buffer_bytes: int = Field(default=32 * MEBIBYTE, ge=MEBIBYTE)
    """Buffer, in bytes, of events for clients that reconnect, all owners together; at most 512 KiB per owner."""
    socket_messages_per_minute: int = Field(default=60, ge=1)
    """Messages per minute that a key's WebSockets may send; ComfyUI's own clients send one message each."""
    webhook_ports: tuple[int, ...] = (443, 8443)
    """Ports that webhooks may use; an empty list allows all."""
    webhook_allow_http: bool = False
    """Whether webhooks may use http:// addresses; meant for tests on one machine."""
    webhook_allow_private: bool = False
    """Whether webhooks may use addresses outside the public internet; meant for tests on one machine."""
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, le=60)
    """Time-out of a webhook receiver's answer."""
    webhook_give_up_hours: int = Field(default=24, ge=1, le=168)
    """How long delivery of a webhook message is retried."""
    webhook_disable_hours: int = Field(default=72, ge=1)
    """An endpoint that has accepted no message for this long is disabled."""
    webhook_log_days: int = Field(default=14, ge=1)
    """How long webhook messages and their delivery results are kept."""
    max_webhooks_per_owner: int = Field(default=20, ge=1)
    """Webhook endpoints per owner."""
    deadline_seconds: float = Field(default=90.0, gt=0, le=90)
    """Time until an answer begins; RunPod's proxy gives up after 100 s."""
    idle_seconds: float = Field(default=30.0, gt=0)
    """Longest pause of a client while it sends a body."""
    drain_seconds: int = Field(default=20, ge=0)
    """How long answers in progress may continue after SIGTERM."""
    retention_days: int = Field(default=30, ge=1)
    """How long the request log, uploads, and workflows and results of finished jobs are kept; they are deleted
    within an hour after that. Usage is kept indefinitely."""
    poll_seconds: float = Field(default=2.0, gt=0)
    """Interval at which unfinished jobs are compared with ComfyUI's queue, in addition to its events."""
