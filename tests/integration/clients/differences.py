"""Where the gateway answers otherwise than comfy-api-proxy, and why; everything else is a fault of the gateway's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.integration.clients.replay import Answer, Shape

MEMBERS: Mapping[tuple[str, str], str] = {
    ("/priority", "only ours"): "always told: it is the class that the job really has in the queue",
    ("/metrics", "only ours"): "in the contract, optional there; the proxy measures nothing",
    ("/queue_wait_seconds", "only ours"): "the gateway's own: what the wait will be",
    ("/estimated_completion_at", "only ours"): "the gateway's own: when it will have ended",
    ("/next_cursor", "only ours"): "in the contract of the hosted service; the proxy has one page alone",
    ("/outputs_reused", "only theirs"): "not in the published contract; each of our jobs saves into its own folder",
    ("/started_at", "time / null"): "the proxy never knows it",
    ("/completed_at", "time / null"): "the proxy never knows it",
    ("/progress", "object / null"): "ours is told as soon as the job runs",
    ("/progress", "null / object"): "the proxy still calls a job running that was just stopped",
    ("/progress/current_node", "only ours"): "the proxy's polled progress knows no node",
    ("/progress/current_node_class", "only ours"): "as above",
    ("/progress/step", "only ours"): "as above",
    ("/progress/steps", "only ours"): "as above",
    ("/progress/message", "only ours"): "as above",
    ("/queue_position", "number / null"): "the proxy does not look when a job is submitted",
    ("/queue_position", "null / number"): "it runs already, or not yet: that is the machine's speed",
    ("/upstream", "only theirs"): "an address inside the pod",
}
"""By where in the answer and how it differs: ours / theirs."""

EVENTS: Mapping[tuple[str, str], str] = {
    ("/queue_position", "only ours"): "null where the proxy leaves it out",
    ("/current_node", "null / str"): "ours counts the nodes that came from the cache before one runs",
    ("/current_node_class", "only ours"): "in the contract, optional there",
    ("/message", "only ours"): "in the contract, optional there",
    ("/current_node", "only ours"): "the proxy leaves out what it does not know",
    ("/step", "only ours"): "as above",
    ("/steps", "only ours"): "as above",
}

STATUSES: Mapping[str, str] = {
    "the same again under the key": "replayed, as the contract's text has it: who lost the answer gets the job",
    "a part beyond them": "the client's fault, not ComfyUI's",
    "no form": "415 says what is wrong: the media type",
    "a model": "models come by the stack file, checked by hash; what is not a picture, film or sound is refused",
    "a path that there is not": "every refusal is in the contract's envelope",
    "a method that there is not": "every refusal is in the contract's envelope",
}
"""By the name of the answer: another status or code."""

ALONE: Mapping[str, str] = {
    "event preview": "the proxy passes previews on at most twice a second, so a short job may have none",
}
"""Answers that one of the two may lack."""


def between(ours: Answer, theirs: Answer) -> Iterator[tuple[str, str]]:
    """Yield where and how two answers differ in their form."""
    if (ours.status, _code(ours)) != (theirs.status, _code(theirs)):
        yield "status", f"{ours.status} {_code(ours)} / {theirs.status} {_code(theirs)}"
    elif ours.status >= 400:
        # RFC 9457 lets a problem have other members; the contract's is `error`, and that is the same.
        yield from _inside(_error(ours), _error(theirs), "/error")
    elif ours.body is not None or theirs.body is not None:
        if ours.kind != theirs.kind:
            yield "content-type", f"{ours.kind} / {theirs.kind}"
        yield from _inside(ours.shape, theirs.shape, "")
    if ours.retry_after != theirs.retry_after:
        yield "retry-after", f"{ours.retry_after} / {theirs.retry_after}"


def _error(answer: Answer) -> Shape:
    # What is in the details is each server's own; that there may be some is the contract's.
    error = answer.shape.get("error") if isinstance(answer.shape, dict) else None
    return {name: form for name, form in error.items() if name != "details"} if isinstance(error, dict) else None


def _code(answer: Answer) -> str | None:
    error: Any = answer.body.get("error") if isinstance(answer.body, dict) else None
    return str(error["code"]) if isinstance(error, dict) and answer.status >= 400 else None


def _inside(ours: Shape, theirs: Shape, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(set(ours) | set(theirs)):
            if name not in theirs:
                yield f"{path}/{name}", "only ours"
            elif name not in ours:
                yield f"{path}/{name}", "only theirs"
            else:
                yield from _inside(ours[name], theirs[name], f"{path}/{name}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if ours and theirs:
            yield from _inside(ours[0], theirs[0], path)
    elif ours != theirs:
        yield path, f"{_kind(ours)} / {_kind(theirs)}"


def _kind(form: Shape) -> str:
    return (
        "object"
        if isinstance(form, dict)
        else "list"
        if isinstance(form, list)
        else str(form).replace("NoneType", "null")
    )
