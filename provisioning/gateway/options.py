"""What may be set about the gateway, in the stack file's `gateway:` section and in the gateway's own file alike."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from provisioning.gateway.access.allowance import Amount, Period, Unit

Quotas = Mapping[Unit, Mapping[Period, Amount]]

MEBIBYTE = 1024 * 1024

HostName = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z0-9.\[\]:-]{1,255}$")]


NodePattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]

DENIED_NODES = (
    # They run code or commands.
    "*terminal*", "*shell*command*", "*python*script*", "*pyscript*", "*python*code*", "*run*python*", "*exec*python*",
    "*python*exec*", "*interpreter*", "IDENode", "SRL Eval", "SRL Eval *", "*PyEval*", "*CodeExec*", "Evaluate Strings",
    # They read or write where the caller says.
    "VHS_Load*Path", "VHS_LoadImages", "VHS_LoadAudio", "*FromPath*", "*from path*", "*ToPath*", "*FromDir*",
    "*from dir*", "*FromDirectory*", "Load Image Batch", "Load Text File", "Save Text File", "Image Save",
    "Text Load Line From File", "Text File History Loader", "Load Cache", "Create Video from Path", "LoadText|*",
    "SaveText|*", "*LoadTextFile*", "*SaveTextFile*", "*FileReader*", "*FileWriter*",
    # They fetch addresses, those of the pod's own network included.
    "*FromUrl*", "*from url*", "*UrlTo*", "*HTTPRequest*", "*HTTP Request*", "*Webhook*", "*Downloader*",
)  # fmt: skip


class Journal(StrEnum):
    """How SQLite keeps a transaction apart until it is whole."""

    TRUNCATE = "truncate"
    """A rollback journal: right for a network volume, where WAL's shared memory does not work."""
    WAL = "wal"
    """Faster, for a database on the pod's own disk; such a disk does not survive a stop."""


class Options(BaseModel):
    """Every option has a default that is right for a small team; the string under each is its documentation.

    The stack file writes them in camelCase, the gateway's own file as they stand here.
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
    """Host names it answers to beside the pod's own name at RunPod's proxy: a custom domain, with or without a port."""
    rate_limit_per_minute: int = Field(default=300, ge=1, le=1_000_000)
    """Requests per key and minute; as many may come at once, as with every limit per minute."""
    owner_rate_limit_per_minute: int = Field(default=0, ge=0, le=1_000_000)
    """Requests of all keys of an owner together; 0 means twice what one key may."""
    address_rate_limit_per_minute: int = Field(default=3000, ge=1, le=1_000_000)
    """Requests per network address, loopback left out; behind a proxy many clients have its address."""
    submits_per_minute: int = Field(default=300, ge=1, le=1_000_000)
    """Submissions per owner; a batch is one, and its jobs count one by one in the queue and in quotas."""
    uploads_per_minute: int = Field(default=300, ge=1, le=1_000_000)
    """Uploaded files per owner."""
    failed_logins_per_minute: int = Field(default=60, ge=1, le=1_000_000)
    """Refused keys per network address that are told why; further ones are told to wait."""
    failed_logins_per_account_per_minute: int = Field(default=6, ge=1, le=1_000_000)
    """Wrong passwords per user name, wherever they come from; the right one waits as well, keys and logins do not."""
    session_hours: float = Field(default=12.0, gt=0, le=720)
    """How long a login lasts; its tokens last 15 minutes each and are renewed within it."""
    max_queued_per_owner: int = Field(default=100, ge=1)
    """Unfinished jobs."""
    max_queued_per_key: int = Field(default=0, ge=0)
    """Unfinished jobs of one key; 0 means as many as its owner may have."""
    max_batch: int = Field(default=100, ge=1, le=1000)
    """Most jobs that one batch may hold; never more than `max_queued_per_owner`."""
    max_job_timeout_seconds: float = Field(default=21_600, ge=1, le=86_400)
    """Longest time that a job may ask for itself."""
    max_queued: int = Field(default=1000, ge=1)
    """Unfinished jobs of everybody together."""
    job_timeout_seconds: float = Field(default=3600, ge=1, le=86_400)
    """How long ComfyUI may work on a job that does not say itself how long it may take."""
    quotas: Quotas = Field(default_factory=dict)
    """What each user may take per `day` and `month` (UTC) of jobs, gpu_seconds, images, bytes, usd; all by default."""
    key_quotas: Quotas = Field(default_factory=dict)
    """The same for each key; it holds beside its user's."""
    reserved_gpu_seconds: float = Field(default=60.0, ge=0, le=86_400)
    """What a job is taken to need until it has ended: so much of the quotas is set aside for it, or what is left."""
    reserved_images: int = Field(default=1, ge=0, le=10_000)
    """Likewise, in pictures."""
    journal: Journal = Journal.TRUNCATE
    """How a database file without a log on the volume is kept whole; with a log it is always `wal`."""
    volume_patience_seconds: float = Field(default=5.0, gt=0, le=60)
    """How long a change waits for the volume before it is answered with 503; reads go on meanwhile."""
    silence_seconds: float = Field(default=60.0, gt=0, le=3600)
    """After so long without a sign of life the gateway of another pod on the volume is taken as dead."""
    handover_seconds: float = Field(default=1800.0, gt=0, le=86_400)
    """How long a running job may go on when another pod takes over; it is then stopped, and run again there."""
    encrypt_at_rest: bool = False
    """Whether pictures, uploads and saved files on the volume are encrypted, and in the database workflows, histories,
    webhook secrets and the names of keys. Without it the volume holds all of that in clear."""
    max_body_bytes: int = Field(default=10 * MEBIBYTE, ge=1024)
    """Largest JSON body."""
    max_upload_bytes: int = Field(default=100 * MEBIBYTE, ge=1024)
    """Largest upload; ComfyUI's own default."""
    max_nodes: int = Field(default=2000, ge=1)
    """Largest workflow."""
    max_image_pixels: int = Field(default=100_000_000, ge=1024)
    """Most pixels of an uploaded picture, all its frames together; it takes four bytes each once it is read."""
    min_free_bytes: int = Field(default=256 * MEBIBYTE, ge=0)
    """Free space on the volume, by its size and what lies there, and on the container disk, below which no job and no
    file is taken, so that what runs can still save."""
    max_pixels: int = Field(default=268_435_456, ge=4096)
    """Largest width x height x number of pictures that one node may ask for; 256 pictures of one megapixel."""
    max_steps: int = Field(default=1000, ge=1)
    """Most steps that one node may ask for."""
    allowed_nodes: tuple[NodePattern, ...] = ()
    """Node classes that workflows may use, `*` for any text; empty means all that `denied_nodes` does not name."""
    denied_nodes: tuple[NodePattern, ...] = DENIED_NODES
    """Node classes that no workflow may use, an admin's included; the default names those that run code or commands,
    read and write paths of the caller's choice, or fetch addresses."""
    max_requests_per_owner: int = Field(default=40, ge=1)
    """At once; fewer than the connections to ComfyUI, so that one owner's slow downloads leave some for the rest."""
    max_sockets_per_owner: int = Field(default=20, ge=1)
    """Open WebSockets and event streams."""
    max_streams_per_key: int = Field(default=20, ge=1)
    """Open WebSockets and event streams of one key."""
    max_streams: int = Field(default=2000, ge=1, le=3500)
    """Open WebSockets and event streams of everybody together; each takes some 50 kB."""
    keep_alive_seconds: float = Field(default=15.0, gt=0, le=60)
    """Silence after which an event stream says that it lives; RunPod's proxy cuts what is silent for 100 s."""
    cost_update_seconds: float = Field(default=60.0, gt=0)
    """How often listeners are told what was spent; whoever's job has ended is told at once."""
    event_buffer_bytes: int = Field(default=32 * MEBIBYTE, ge=MEBIBYTE)
    """Events of everybody that are kept for those who lost the connection; of one owner at most 512 KiB."""
    socket_messages_per_minute: int = Field(default=60, ge=1)
    """What a key's WebSockets may send; ComfyUI's own clients send one message each."""
    webhook_ports: tuple[int, ...] = (443, 8443)
    """Ports that webhooks may go to; an empty list allows every one."""
    webhook_allow_http: bool = False
    """Whether webhooks may go to http:// addresses: for a test on one machine."""
    webhook_allow_private: bool = False
    """Whether webhooks may go to addresses that are not on the public internet: likewise."""
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, le=60)
    """How long a receiver may take to answer."""
    webhook_give_up_hours: int = Field(default=24, ge=1, le=168)
    """How long a message that nobody takes is sent again and again."""
    webhook_disable_hours: int = Field(default=72, ge=1)
    """After so long without one message taken, an endpoint is disabled."""
    webhook_log_days: int = Field(default=14, ge=1)
    """How long messages and what became of them are kept."""
    max_webhooks_per_owner: int = Field(default=20, ge=1)
    """Endpoints."""
    deadline_seconds: float = Field(default=90.0, gt=0, le=90)
    """Until an answer begins; RunPod's proxy gives up at 100 s."""
    idle_seconds: float = Field(default=30.0, gt=0)
    """Longest silence of a client in the middle of a body."""
    drain_seconds: int = Field(default=20, ge=0)
    """How long running answers may finish after SIGTERM."""
    retention_days: int = Field(default=30, ge=1)
    """How long request rows, uploads, and workflows and results of jobs that have ended are kept; they go within the
    hour after. What a job took is kept for ever."""
    poll_seconds: float = Field(default=2.0, gt=0)
    """How often jobs in flight are compared with ComfyUI, beside its events."""
