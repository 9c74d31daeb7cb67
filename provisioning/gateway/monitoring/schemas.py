"""Answers of the probes."""

from __future__ import annotations

from typing import Literal

from provisioning.gateway.core.http.schemas import AnswerBody


class Alive(AnswerBody):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Healthy(AnswerBody):
    """The Comfy API v2 answers."""

    status: Literal["healthy"] = "healthy"


class Ready(AnswerBody):
    """The gateway takes jobs."""

    status: Literal["ready"] = "ready"


class ReadyAndIsolated(Ready):
    """The gateway takes jobs; how ComfyUI is isolated."""

    isolation: Literal["landlock", "folder", "none", ""]
