"""The words an operation is described in; the tables beside this module hold one Operation for every route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from provisioning.gateway.problems import Code

JSON = "application/json"
FORM = "multipart/form-data"
PLAIN_FORM = "application/x-www-form-urlencoded"
HTML = "text/html"
EVENTS = "text/event-stream"
ANY_MEDIA = "*/*"

UPSTREAM = (Code.UPSTREAM_ERROR, Code.UPSTREAM_UNAVAILABLE, Code.UPSTREAM_TIMEOUT)
"""What a route may answer that asks ComfyUI."""


class Tag(StrEnum):
    """The groups of the reference, in the order in which it shows them."""

    JOBS = "Jobs"
    ASSETS = "Assets"
    GATEWAY = "Gateway"
    ACCESS = "Keys and people"
    NATIVE = "ComfyUI's own API"
    OPERATIONS = "Operations"


TAG_TEXTS: Mapping[Tag, str] = {
    Tag.JOBS: "Comfy API v2: submit a workflow, follow it, cancel it, list what was run.",
    Tag.ASSETS: "Comfy API v2: files that go into workflows and that jobs made.",
    Tag.GATEWAY: "What is the gateway's own: readiness, usage, errors, this reference.",
    Tag.ACCESS: "Who may come in and how much of everything: keys, users, logins, tickets, the audit log.",
    Tag.NATIVE: "ComfyUI's own routes for clients written for ComfyUI. Each answers below `/api` as well.",
    Tag.OPERATIONS: "For operators: metrics, the machine, probes.",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter in the path, the query or a header."""

    name: str
    text: str
    example: Any
    place: Literal["path", "query", "header"] = "query"
    schema: Mapping[str, Any] | None = None
    """JSON Schema; text when left out."""
    required: bool = False


@dataclass(frozen=True)
class Body:
    """What a request carries."""

    model: Any
    """A pydantic model, or any type that pydantic describes."""
    example: Any
    media: str = JSON
    required: bool = True


@dataclass(frozen=True)
class Answer:
    """One answer that is no error."""

    text: str
    model: Any = None
    """A pydantic model, or any type that pydantic describes; None where the body is not JSON, or empty."""
    example: Any = None
    status: int = 200
    media: str | None = JSON
    """None for an answer without a body."""
    also: str | None = None
    """Another form that the caller may ask for, without a model."""
    headers: tuple[str, ...] = ()
    """Names from headers.HEADERS that it always carries."""


@dataclass(frozen=True)
class Operation:
    """One route as the reference shows it.

    What follows from the route itself is not written here: the key, the scope and the errors that come with them,
    with a path's parameters and with the kind of body.
    """

    tag: Tag
    summary: str
    """A few words, an imperative."""
    answers: tuple[Answer, ...]
    text: str = ""
    """What else the reader should know; text between backticks is code."""
    parameters: tuple[Parameter, ...] = ()
    """Of the query and headers; those of the path are in parameters.PATH."""
    body: Body | None = None
    problems: tuple[Code, ...] = ()
    """Codes that this route may answer beside those that follow from the route."""
