"""ComfyUI's own routes for running workflows."""

from __future__ import annotations

from provisioning.gateway.openapi.examples import HISTORY_ENTRY, WORKFLOW
from provisioning.gateway.openapi.models.base import Nothing
from provisioning.gateway.openapi.models.native import (
    Chosen,
    History,
    Interrupt,
    PromptTaken,
    Queue,
    QueueInfo,
    SubmitPrompt,
)
from provisioning.gateway.openapi.operation import UPSTREAM, Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.openapi.parameters import JOB_ID, whole
from provisioning.gateway.openapi.tables.jobs import SUBMITTING
from provisioning.gateway.problems import Code

_TAKEN = {"prompt_id": JOB_ID, "number": 1, "node_errors": {}}
_ENTRY = [1, JOB_ID, WORKFLOW, {"client_id": "my-bot"}, []]
_CHOSEN = Body(Chosen, {"delete": [JOB_ID]}, required=False)
_DONE = (Answer("Done.", Nothing, {}),)

TABLE = {
    "POST /prompt": Operation(
        Tag.NATIVE,
        "Submit a workflow",
        (Answer("The job is in the queue.", PromptTaken, _TAKEN),),
        "ComfyUI checks a workflow when its turn comes. What it then refuses is told by `execution_error`, on the "
        "WebSocket and in the history, with `node_errors`.",
        body=Body(SubmitPrompt, {"prompt": WORKFLOW, "client_id": "my-bot"}),
        problems=(*SUBMITTING, Code.INVALID_PROMPT_ID),
    ),
    "GET /prompt": Operation(
        Tag.NATIVE,
        "Count unfinished jobs",
        (Answer("The caller's.", QueueInfo, {"exec_info": {"queue_remaining": 1}}),),
    ),
    "GET /queue": Operation(
        Tag.NATIVE,
        "Show the queue",
        (Answer("The caller's part of it.", Queue, {"queue_running": [_ENTRY], "queue_pending": []}),),
        "A job is in it from its submission to its end; `number` is its place among the caller's.",
    ),
    "POST /queue": Operation(
        Tag.NATIVE, "Take waiting jobs out of the queue", _DONE, "Running jobs go on.", (), _CHOSEN, UPSTREAM
    ),
    "POST /interrupt": Operation(
        Tag.NATIVE,
        "Stop the running job",
        _DONE,
        "The caller's alone; an admin stops whatever runs.",
        body=Body(Interrupt, {"prompt_id": JOB_ID}, required=False),
        problems=UPSTREAM,
    ),
    "GET /history": Operation(
        Tag.NATIVE,
        "List finished jobs",
        (Answer("By id, oldest first.", History, {JOB_ID: HISTORY_ENTRY}),),
        parameters=(
            whole("max_items", "How many of the newest, 1000 at most.", 64, least=-1),
            whole("offset", "How many of the newest to pass by.", 0, least=-1),
        ),
    ),
    "POST /history": Operation(
        Tag.NATIVE, "Forget finished jobs", _DONE, "What they took is counted all the same.", (), _CHOSEN
    ),
    "GET /history/{id}": Operation(
        Tag.NATIVE,
        "Show a finished job",
        (
            Answer(
                "The job by its id; `{}` for one that has not ended or is not yours.", History, {JOB_ID: HISTORY_ENTRY}
            ),
        ),
        problems=UPSTREAM,
    ),
    "GET /ws": Operation(
        Tag.NATIVE,
        "Open the WebSocket",
        (Answer("The connection is a WebSocket now.", status=101, media=None),),
        "ComfyUI's messages about the caller's own jobs: `status`, `execution_start`, `executing`, `progress`, "
        "`executed`, previews, and the pictures that nodes send instead of saving them. A slow reader misses previews "
        "and nothing else. It is closed with 1008 when the key ends, with 1013 for a reader that is 64 MiB or 512 "
        "messages behind.",
        (Parameter("clientId", "The `client_id` of the jobs to hear of, beside those that have none.", "my-bot"),),
        problems=(Code.UPGRADE_REQUIRED, Code.TOO_MANY_STREAMS, Code.DRAINING, Code.ORIGIN_NOT_ALLOWED),
    ),
}
