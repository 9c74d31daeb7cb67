"""Requests and answers in ComfyUI's own form."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, WithJsonSchema

from provisioning.gateway.core.http.schemas import AnswerBody, Query, WholeNumber
from provisioning.gateway.jobs.options import Workflow
from provisioning.gateway.jobs.submission import job_id_refused


class NativeBody(BaseModel):
    """A request's body in ComfyUI's form; members that are not named here are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True, use_attribute_docstrings=True, defer_build=True
    )


class NativeAnswer(BaseModel):
    """An answer in ComfyUI's form, which may have more members than are named here."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True, defer_build=True)


class Nothing(AnswerBody):
    """An empty object: it is done."""


Flag = Annotated[bool, BeforeValidator(lambda given: given is True)]
"""Set by `true` alone; like ComfyUI, nothing else is an error."""

NodeClasses = dict[str, dict[str, Any]]
"""Node classes by name."""


class Free(NativeBody):
    """What to free."""

    unload_models: Flag = False
    free_memory: Flag = False


class ModelFolder(NativeAnswer):
    """A folder of models and where it is on the machine."""

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
    """A workflow to run. `number`, `front` and `extra_data` are ignored: they would reach into other people's queue."""

    model_config = ConfigDict(json_schema_extra={"required": ["prompt"]})

    # A workflow that is missing is refused as every other that is none, see jobs.workflow_rewrite.
    prompt: Workflow = Field(default_factory=lambda: None)
    """The workflow in API form."""
    client_id: Annotated[Any, WithJsonSchema({"type": ["string", "null"]})] = None
    """The `clientId` of the WebSocket that is to hear of it; what is none is ignored, as in ComfyUI."""
    prompt_id: Annotated[str | None, BeforeValidator(_prompt_id)] = Field(
        default=None, json_schema_extra={"format": "uuid"}
    )
    """The job's id, a lower-case UUID; the same workflow again under the same id is the same job."""


class PromptTaken(AnswerBody):
    """The job is in the queue."""

    prompt_id: str
    number: int | float
    node_errors: dict[str, Any]


class ExecInfo(AnswerBody):
    """What is unfinished."""

    queue_remaining: int


class QueueInfo(AnswerBody):
    """How many of the caller's jobs are unfinished."""

    exec_info: ExecInfo


QueueEntry = Annotated[list[Any], Field(min_length=5, max_length=5)]
"""Number, prompt id, workflow, extra data, output nodes."""


class Queue(AnswerBody):
    """The caller's jobs; each is number, prompt id, workflow, extra data and output nodes."""

    queue_running: list[QueueEntry]
    queue_pending: list[QueueEntry]


class Selection(NativeBody):
    """Which entries are to go."""

    delete: Annotated[list[str], FailFast()] = Field(default=[])
    """Job ids; those of others are passed by."""
    clear: Flag = False
    """All of the caller's."""


class Interrupt(NativeBody):
    """Which running job is to stop."""

    prompt_id: str | None = None
    """Only this one; whichever runs when left out."""


class HistoryEntry(NativeAnswer):
    """A finished job."""

    prompt: list[Any]
    outputs: dict[str, Any]
    status: dict[str, Any]


History = dict[str, HistoryEntry]

DEFAULT_ITEMS = 64
FROM_START = -1
"""ComfyUI's own frontend says so for "as many as usual, from the start"."""

Count = Annotated[WholeNumber, BeforeValidator(lambda given: FROM_START if given == "-1" else given)]


class HistoryQuery(Query):
    """Which finished jobs to list."""

    max_items: Count = Field(default=DEFAULT_ITEMS, ge=FROM_START, examples=[DEFAULT_ITEMS])
    """How many of the newest, 1000 at most."""
    offset: Count = Field(default=0, ge=FROM_START, examples=[0])
    """How many of the newest to pass by."""


class UploadImage(NativeBody):
    """An image and where it goes."""

    image: bytes = Field(json_schema_extra={"format": "binary"})
    """An image, video or sound."""
    subfolder: str = ""
    type: str = "input"
    """`input`; nothing else may be written."""
    overwrite: str = "false"
    """`true` to replace a file of this name."""


class UploadMask(UploadImage):
    """A mask for an image."""

    original_ref: str
    """JSON text: `filename`, `subfolder` and `type` of the image."""


class StoredImage(AnswerBody):
    """Where the file is, for a loader's input."""

    name: str
    subfolder: str
    type: str
