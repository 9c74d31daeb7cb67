"""The form of every error: RFC 9457, with ComfyUI's and the Comfy API's own member beside it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """One place in the request that is wrong."""

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

    code: str = Field(description="The Comfy API's name, which is coarser than ours for refused keys.")
    message: str
    details: dict[str, Any] | None


class _Problem(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Where the code is explained: `/errors/{code}`.")
    title: str
    status: int
    detail: str = Field(description="What happened here and what to do about it; written for the reader.")
    instance: str = Field(description="Names the request.")
    code: str = Field(description="For programs: one of the catalogue.")
    request_id: str = Field(description="The same as X-Request-Id.")
    errors: list[Fault] = Field(default=[], description="The places in the request that are wrong.")
    retry_after: int = Field(default=1, ge=1, description="Seconds, as in the Retry-After header.")
    node_errors: dict[str, Any] = Field(default={}, description="Faults of a workflow by node id, in ComfyUI's form.")
    missing_ids: list[str] = Field(default=[], description="Assets that a workflow names and the caller lacks.")
    needed_scope: str = Field(default="", description="The scope that the key lacks.")
    violated_policies: list[str] = Field(
        default=[], alias="violated-policies", description="The limits that refused, as RateLimit-Policy names them."
    )


class Problem(_Problem):
    """An error (RFC 9457)."""

    error: NativeError


class ComfyProblem(_Problem):
    """An error (RFC 9457) on a route of the Comfy API v2."""

    error: ComfyError
