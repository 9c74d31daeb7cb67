"""ComfyUI's WebSocket messages: the events of jobs, and the binary formats."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import orjson

JOB_EVENTS = frozenset(
    {
        "execution_start", "execution_cached", "executing", "progress", "progress_state", "executed",
        "execution_success", "execution_error", "execution_interrupted",
    }
)  # fmt: skip
"""Messages about a job. All others concern the machine or other users and are not passed on."""

PREVIEW = 1
TEXT = 3
PREVIEW_WITH_METADATA = 4

JPEG = 1
"""The image format of previews by samplers; nodes that send a result use PNG."""

_IMAGE_FORMATS = {"image/jpeg": JPEG, "image/png": 2}


@dataclass(frozen=True)
class Preview:
    """An image with the id of its job: a preview, or a result that a node sends instead of saving it."""

    job_id: str
    image_format: int
    image: bytes

    @property
    def is_result(self) -> bool:
        """Return whether it is a result and not a preview."""
        return self.image_format != JPEG

    def plain(self) -> bytes:
        """Return the older format, without ids, for clients that did not request the newer."""
        return struct.pack(">II", PREVIEW, self.image_format) + self.image


def kind(message: bytes) -> int:
    """Return the type of a binary message; 0 when it has none."""
    return int.from_bytes(message[:4], "big") if len(message) >= 4 else 0


def is_preview(message: bytes) -> bool:
    """Return whether a binary message without ids is a preview, which the next one replaces."""
    return kind(message) == PREVIEW and int.from_bytes(message[4:8], "big") == JPEG


def read_preview(message: bytes) -> Preview | None:
    """Parse a PREVIEW_WITH_METADATA message; returns None when it is malformed."""
    length = int.from_bytes(message[4:8], "big")
    try:
        metadata = orjson.loads(message[8 : 8 + length])
        image_format = _IMAGE_FORMATS[metadata.get("image_type", "image/jpeg")]
        return Preview(str(metadata["prompt_id"]), image_format, message[8 + length :])
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return None


def read_event(message: str) -> tuple[str, dict[str, Any]]:
    """Return type and data of a text message; ("", {}) when it is malformed."""
    try:
        event = orjson.loads(message)
        name, data = event["type"], event["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "", {}
    return (name, data) if isinstance(name, str) and isinstance(data, dict) else ("", {})


def event(name: str, data: dict[str, Any]) -> str:
    """Return a text message."""
    return orjson.dumps({"type": name, "data": data}).decode()


def status_event(in_queue: int, session: str | None = None) -> str:
    """Return ComfyUI's `status` message, with the length of the listener's own queue."""
    data: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": in_queue}}}
    return event("status", data if session is None else data | {"sid": session})
