"""Requests and answers in ComfyUI's own form."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from provisioning.gateway.openapi.models.base import Answered, Native, Sent


class SubmitPrompt(Sent):
    """A workflow to run. `number`, `front` and `extra_data` are ignored: they would reach into other people's queue."""

    prompt: dict[str, Any] = Field(description="The workflow in API form.")
    client_id: str | None = Field(default=None, description="The `clientId` of the WebSocket that is to hear of it.")
    prompt_id: str | None = Field(
        default=None,
        description="The job's id, a lower-case UUID; the same workflow again under the same id is the same job.",
        json_schema_extra={"format": "uuid"},
    )


class PromptTaken(Answered):
    """The job is in the queue."""

    prompt_id: str
    number: int | float
    node_errors: dict[str, Any]


class ExecInfo(Answered):
    """What is unfinished."""

    queue_remaining: int


class QueueInfo(Answered):
    """How many of the caller's jobs are unfinished."""

    exec_info: ExecInfo


QueueEntry = Annotated[list[Any], Field(min_length=5, max_length=5)]
"""Number, prompt id, workflow, extra data, output nodes."""


class Queue(Answered):
    """The caller's jobs; each is number, prompt id, workflow, extra data and output nodes."""

    queue_running: list[QueueEntry]
    queue_pending: list[QueueEntry]


class Chosen(Sent):
    """Which entries are to go."""

    delete: list[str] = Field(default=[], description="Job ids; those of others are passed by.")
    clear: bool = Field(default=False, description="All of the caller's.")


class Interrupt(Sent):
    """Which running job is to stop."""

    prompt_id: str | None = Field(default=None, description="Only this one; whichever runs when left out.")


class HistoryEntry(Native):
    """A finished job."""

    prompt: list[Any]
    outputs: dict[str, Any]
    status: dict[str, Any]


History = dict[str, HistoryEntry]


class UploadImage(Sent):
    """An image and where it goes."""

    image: bytes = Field(json_schema_extra={"format": "binary"}, description="An image, video or sound.")
    subfolder: str = ""
    type: str = Field(default="input", description="`input`; nothing else may be written.")
    overwrite: str = Field(default="false", description="`true` to replace a file of this name.")


class UploadMask(UploadImage):
    """A mask for an image."""

    original_ref: str = Field(description="JSON text: `filename`, `subfolder` and `type` of the image.")


class StoredImage(Answered):
    """Where the file is, for a loader's input."""

    name: str
    subfolder: str
    type: str


NodeClasses = dict[str, dict[str, Any]]
"""Node classes by name."""


class Free(Sent):
    """What to free."""

    unload_models: bool = False
    free_memory: bool = False


class ModelFolder(Native):
    """A folder of models and where it is on the machine."""

    name: str


class ModelFile(Native):
    """A model."""

    name: str
