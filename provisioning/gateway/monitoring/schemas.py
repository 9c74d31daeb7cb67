"""Responses of the probes."""

from __future__ import annotations

from typing import Literal

from provisioning.gateway.core.http.schemas import AnswerBody


class Alive(AnswerBody):
    """The process is alive."""

    status: Literal["alive"] = "alive"


class Healthy(AnswerBody):
    """The Comfy API v2 is available."""

    status: Literal["healthy"] = "healthy"


class Ready(AnswerBody):
    """The gateway is ready for jobs."""

    status: Literal["ready"] = "ready"


class ReadyAndIsolated(Ready):
    """The gateway is ready for jobs, with the isolation of ComfyUI."""

    isolation: Literal["landlock", "folder", "none", ""]
