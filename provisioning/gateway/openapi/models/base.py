"""What every model here is built on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Sent(BaseModel):
    """A request's body; members it does not name are ignored unless the text says otherwise."""

    model_config = ConfigDict(extra="allow", title=None)


class Answered(BaseModel):
    """An answer of the gateway's own: it has these members and no others."""

    model_config = ConfigDict(extra="forbid")


class Native(BaseModel):
    """An answer in ComfyUI's form, which may have more members than we know."""

    model_config = ConfigDict(extra="allow")


class Nothing(Answered):
    """An empty object: it is done."""
