"""The bodies of errors: RFC 9457, with the additional field `error` of ComfyUI and of the Comfy API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """A fault in the request."""

    model_config = ConfigDict(extra="forbid")

    pointer: str = Field(description="A JSON pointer into the body, or the name of a header or query parameter.")
    message: str = Field(description="What is wrong there.")


class NativeError(BaseModel):
    """The error as ComfyUI's own clients read it."""

    model_config = ConfigDict(extra="forbid")

    code: str
    type: str
    message: str
    details: str
    extra_info: dict[str, Any]


class ComfyError(BaseModel):
    """The error as clients of the Comfy API v2 read it."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(description="The Comfy API's code, which is less specific than `code` for refused keys.")
    message: str
    details: dict[str, Any] | None


class _Problem(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="The explanation of the code: `/errors/{code}`.")
    title: str
    status: int
    detail: str = Field(description="What happened and what to do about it, for people.")
    instance: str = Field(description="Identifies the request.")
    code: str = Field(description="The error code, for programs.")
    request_id: str = Field(description="The same as X-Request-Id.")
    errors: list[Fault] = Field(default=[], description="The faults in the request.")
    retry_after: int = Field(default=1, ge=1, description="Seconds, as in the Retry-After header.")
    node_errors: dict[str, Any] = Field(default={}, description="Faults of a workflow by node id, in ComfyUI's form.")
    missing_ids: list[str] = Field(
        default=[], description="Ids of assets in the workflow that do not exist or are not the caller's."
    )
    needed_scope: str = Field(default="", description="The scope that the key lacks.")
    violated_policies: list[str] = Field(
        default=[], alias="violated-policies", description="The limits that refused, as RateLimit-Policy names them."
    )


class ProblemBody(_Problem):
    """An error (RFC 9457)."""

    error: NativeError


class ComfyProblemBody(_Problem):
    """An error (RFC 9457) on a route of the Comfy API v2."""

    error: ComfyError
