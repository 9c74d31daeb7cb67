"""An operation: one method on one path, declared once beside its handler.

Routing, authentication, rate limits, validation of bodies and queries, and the API reference are all made from it::

    class KeyRoutes:
        @Operation(method="GET", path="/api/gateway/keys/{id}", access=Scope.KEYS, ...)
        async def show(self, request: GatewayRequest) -> Key: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from functools import cached_property
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope

JSON = "application/json"
FORM = "multipart/form-data"
PLAIN_FORM = "application/x-www-form-urlencoded"
HTML = "text/html"
EVENTS = "text/event-stream"
ANY_MEDIA = "*/*"

UPSTREAM = (Code.UPSTREAM_ERROR, Code.UPSTREAM_UNAVAILABLE, Code.UPSTREAM_TIMEOUT)
"""Problems of an operation that asks ComfyUI."""

MAX_BODY_BYTES = 64 * 1024
"""The largest body of an operation that names no other limit."""

_DECLARED = "gateway_operations"
"""The attribute of a handler that holds its operations."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Tag(StrEnum):
    """The groups of the API reference, in the order in which it shows them."""

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


class Access(Enum):
    """Who may call an operation that needs no scope."""

    PUBLIC = "public"
    """Anybody, without a key and by any host name: health probes."""
    LOGIN = "login"
    """Anybody, without a key: logging in."""
    ANY = "any"
    """Every valid credential."""


class RateClass(Enum):
    """Which rate limits count a call."""

    PLAIN = "plain"
    SUBMIT = "submit"
    """Submits a job, which takes the GPU."""
    UPLOAD = "upload"
    """Uploads a file, which takes the disk."""
    FILE = "file"
    """One of the several hundred files of the editor's page."""


@dataclass(frozen=True)
class CredentialPolicy:
    """Which credentials are accepted beside a key or a token in a header."""

    web: bool = False
    """The cookie of a browser's session."""
    signed: bool = False
    """A signature in the address."""


HEADER_ONLY = CredentialPolicy()


@dataclass(frozen=True)
class Parameter:
    """One parameter in the path, the query or a header."""

    name: str
    text: str
    example: Any
    place: Literal["path", "query", "header"] = "query"
    schema: Mapping[str, Any] | None = None
    """JSON Schema; a string when left out."""
    required: bool = False


class BodySize(Enum):
    """How large a body may be."""

    SMALL = "small"
    """MAX_BODY_BYTES."""
    WORKFLOW = "workflow"
    """What the option `max_body_bytes` says."""
    FILE = "file"
    """What the option `max_upload_bytes` says."""


@dataclass(frozen=True)
class Body:
    """The body of a request."""

    model: Any
    """A pydantic model, or any type that pydantic describes."""
    example: Any
    media: str = JSON
    required: bool = True
    invalid: Code | None = None
    """Read and validate the body before the handler, which gets it as `body`; answer this code when it is invalid.

    None: the handler reads the body itself.
    """
    size: BodySize = BodySize.SMALL


@dataclass(frozen=True)
class Answer:
    """One successful answer."""

    text: str
    model: Any = None
    """A pydantic model, or any type that pydantic describes; None where the body is not JSON, or empty."""
    example: Any = None
    status: int = 200
    media: str | None = JSON
    """None for an answer without a body."""
    also: str | None = None
    """Another media type that the caller may ask for, without a model."""
    headers: tuple[str, ...] = ()
    """Names from docs.headers.HEADERS that the answer always carries."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method on one path; `{name}` in the path stands for one segment.

    Not written here is what follows from the declaration: the problems of authentication, scope, path, body and
    method.
    """

    method: str
    path: str
    access: Access | Scope
    """The scope that a caller needs, or who else may call."""
    tag: Tag
    summary: str
    """A few words, an imperative."""
    answers: tuple[Answer, ...]
    """The first one's status is that of a handler that returns a document."""
    text: str = ""
    """What else the reader should know; text between backticks is code."""
    parameters: tuple[Parameter, ...] = ()
    """Of the query, of headers, and those of the path that need other words than `docs.parameters.PATH` has."""
    query: type[BaseModel] | None = None
    """Validates the query before the handler, which gets it as `query`; unknown parameters are ignored."""
    body: Body | None = None
    problems: tuple[Code, ...] = ()
    """Problems beside those that follow from the declaration."""
    native: bool = False
    """Whether it is an operation of ComfyUI's own API, which is served below `/api` as well."""
    lasting: bool = False
    """Whether the answer is a stream of unlimited length: it counts as a stream, not as a concurrent request."""
    rate: RateClass = RateClass.PLAIN
    web: bool = False
    """Whether it is a web page, or called by one, so that the cookie of a browser's session is accepted."""
    page: bool = False
    """Whether it is a page that people open by name; the login page links to it."""
    signed: bool = False
    """Whether it serves a file, so that a signed address is accepted."""

    @cached_property
    def key(self) -> str:
        """Return method and path, which name the operation."""
        return f"{self.method} {self.path}"

    @cached_property
    def is_public(self) -> bool:
        """Return whether it answers anybody, by any host name."""
        return self.access is Access.PUBLIC

    @cached_property
    def needs_key(self) -> bool:
        """Return whether it needs a credential."""
        return self.access not in {Access.PUBLIC, Access.LOGIN}

    @cached_property
    def scope(self) -> Scope | None:
        """Return the scope that a caller needs; None where every valid credential is enough."""
        return self.access if isinstance(self.access, Scope) else None

    @cached_property
    def credentials(self) -> CredentialPolicy:
        """Return which credentials are accepted beside those in headers."""
        return CredentialPolicy(self.web, self.signed)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Return the paths at which it is served."""
        return (self.path, f"/api{self.path}") if self.native else (self.path,)

    def __call__(self, handler: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """Declare, as a decorator, that a method of a feature's routes handles the operation."""
        setattr(handler, _DECLARED, (self, *getattr(handler, _DECLARED, ())))
        return handler


Handler = Callable[..., Awaitable[BaseModel | Response]]
"""Takes the request, and by name `query` and `body` where the operation declares them.

Returns the answer, or the document to answer with.
"""


class Route(NamedTuple):
    """An operation with the handler that serves it."""

    operation: Operation
    handler: Handler


def operations_of(feature: type) -> tuple[Operation, ...]:
    """Return the operations that a feature's routes declare, in the order of the class."""
    return tuple(declared for _, found in _declared(feature) for declared in found)


def routes_of(feature: object) -> tuple[Route, ...]:
    """Return the routes of a feature's instance, in the order of its class."""
    return tuple(
        Route(declared, getattr(feature, name)) for name, found in _declared(type(feature)) for declared in found
    )


def _declared(feature: type) -> Iterator[tuple[str, tuple[Operation, ...]]]:
    for name, member in vars(feature).items():
        if found := getattr(member, _DECLARED, ()):
            yield name, found


def at(declared: Operation, path: str, **changes: Any) -> Operation:  # noqa: ANN401 - any field
    """Return an operation as it is served at another path."""
    return replace(declared, path=path, **changes)
