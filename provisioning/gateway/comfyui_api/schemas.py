"""Request and response bodies in ComfyUI's form."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, WithJsonSchema

from provisioning.gateway.core.http.schemas import AnswerBody, Query, WholeNumber
from provisioning.gateway.jobs.options import Workflow
from provisioning.gateway.jobs.submission import job_id_refused


class NativeBody(BaseModel):
    """A request body in ComfyUI's form; unknown fields are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True, use_attribute_docstrings=True, defer_build=True
    )


class NativeAnswer(BaseModel):
    """A response body in ComfyUI's form, which may have more fields than are declared here."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True, defer_build=True)


class EmptyAnswer(AnswerBody):
    """An empty object."""


Flag = Annotated[bool, BeforeValidator(lambda given: given is True)]
"""Only `true` sets it; like in ComfyUI, other values are not an error."""

NodeClasses = dict[str, dict[str, Any]]
"""Node classes by name."""


class FreeMemory(NativeBody):
    """What to free."""

    unload_models: Flag = False
    free_memory: Flag = False


class ModelFolder(NativeAnswer):
    """A model folder with its paths."""

    name: str


class ModelFile(NativeAnswer):
    """A model."""

    name: str


PROMPT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
"""A UUID as Python writes it: the only form of an id that ComfyUI takes."""


def _prompt_id(given: object) -> object:
    """Return the id that the caller gives its job; raises Problem for what ComfyUI would not take as one."""
    if given is not None and not (isinstance(given, str) and PROMPT_ID.fullmatch(given)):
        raise job_id_refused("prompt_id must be a UUID in its lower-case form")
    return given


class SubmitPrompt(NativeBody):
    """A workflow to run. `number`, `front` and `extra_data` are ignored, since they would affect other users' jobs."""

    model_config = ConfigDict(json_schema_extra={"required": ["prompt"]})

    # A workflow that is missing is refused as every other that is none, see jobs.workflow_rewrite.
    prompt: Workflow = Field(default_factory=lambda: None)
    """The workflow in API form."""
    client_id: Annotated[Any, WithJsonSchema({"type": ["string", "null"]})] = None
    """The `clientId` of the WebSocket that receives the job's messages; invalid values are ignored, as in ComfyUI."""
    prompt_id: Annotated[str | None, BeforeValidator(_prompt_id)] = Field(
        default=None, json_schema_extra={"format": "uuid"}
    )
    """The job's id, a lower-case UUID; repeating the request with the same id returns the same job."""


class PromptAccepted(AnswerBody):
    """The job is in the queue."""

    prompt_id: str
    number: int | float
    node_errors: dict[str, Any]


class ExecInfo(AnswerBody):
    """The number of unfinished jobs."""

    queue_remaining: int


class QueueInfo(AnswerBody):
    """The number of the caller's unfinished jobs."""

    exec_info: ExecInfo


QueueEntry = Annotated[list[Any], Field(min_length=5, max_length=5)]
"""Number, prompt id, workflow, extra data, output nodes."""


class NativeQueue(AnswerBody):
    """The caller's jobs, each as number, prompt id, workflow, extra data and output nodes."""

    queue_running: list[QueueEntry]
    queue_pending: list[QueueEntry]


class Deletion(NativeBody):
    """Which entries to remove."""

    delete: Annotated[list[str], FailFast()] = Field(default=[])
    """Job ids; ids of other users' jobs are ignored."""
    clear: Flag = False
    """`true` removes all of the caller's entries."""


class Interrupt(NativeBody):
    """Which running job to interrupt."""

    prompt_id: str | None = None
    """Only this job. Default: any running job."""


class HistoryEntry(NativeAnswer):
    """A finished job."""

    prompt: list[Any]
    outputs: dict[str, Any]
    status: dict[str, Any]


History = dict[str, HistoryEntry]

DEFAULT_ITEMS = 64
FROM_START = -1
"""ComfyUI's frontend sends this value for the default number of jobs, from the start."""

Count = Annotated[WholeNumber, BeforeValidator(lambda given: FROM_START if given == "-1" else given)]


class HistoryQuery(Query):
    """Which finished jobs to list."""

    max_items: Count = Field(default=DEFAULT_ITEMS, ge=FROM_START, examples=[DEFAULT_ITEMS])
    """Number of jobs, newest first, at most 1000."""
    offset: Count = Field(default=0, ge=FROM_START, examples=[0])
    """Number of the newest jobs to skip."""


class UploadImage(NativeBody):
    """An image and its destination."""

    image: bytes = Field(json_schema_extra={"format": "binary"})
    """An image, video or audio file."""
    subfolder: str = ""
    type: str = "input"
    """Must be `input`."""
    overwrite: str = "false"
    """`true` replaces a file of the same name."""


class UploadMask(UploadImage):
    """A mask for an image."""

    original_ref: str
    """JSON text: `filename`, `subfolder` and `type` of the image."""


class StoredImage(AnswerBody):
    """The stored file, in the form for a loader's input."""

    name: str
    subfolder: str
    type: str
