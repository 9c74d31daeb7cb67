"""Example values that several operations share: a job with one image."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.docs.parameters import ASSET_ID, HASH, JOB_ID

HOST = "https://abc123-8189.proxy.runpod.net"

WORKFLOW: dict[str, Any] = {
    "3": {"class_type": "EmptyImage", "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": 0}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "mine"}},
}

_CONTENT = {
    "url": f"{HOST}/api/v2/assets/{ASSET_ID}/content",
    "url_expires_at": "2026-01-02T12:00:09.500+00:00",
}

OUTPUT: dict[str, Any] = {
    "id": ASSET_ID,
    "node_id": "9",
    "name": "mine_00001_.png",
    "type": "image",
    "content_type": "image/png",
    "size_bytes": 1848320,
    "hash": None,
    "job_id": JOB_ID,
    **_CONTENT,
}

JOB: dict[str, Any] = {
    "id": JOB_ID,
    "status": "succeeded",
    "created_at": "2026-01-01T12:00:00.000+00:00",
    "started_at": "2026-01-01T12:00:01.250+00:00",
    "completed_at": "2026-01-01T12:00:09.400+00:00",
    "expires_at": "2026-01-31T12:00:00.000+00:00",
    "queue_position": None,
    "queue_wait_seconds": None,
    "estimated_completion_at": None,
    "progress": None,
    "outputs": [OUTPUT],
    "error": None,
    "metrics": {"queue_ms": 1250, "execution_ms": 8150},
    "urls": {
        "self": f"/api/v2/jobs/{JOB_ID}",
        "events": f"/api/v2/jobs/{JOB_ID}/events",
        "cancel": f"/api/v2/jobs/{JOB_ID}/cancel",
    },
    "priority": 0,
    "metadata": {"shoot": "7"},
}

ASSET: dict[str, Any] = {
    "id": ASSET_ID,
    "hash": HASH,
    "size_bytes": 1848320,
    "content_type": "image/png",
    "file_path": "photo.png",
    "created_at": "2026-01-01T12:00:00.000+00:00",
    **_CONTENT,
}

PROGRESS_EVENTS = """event: status
data: {"status":"running","queue_position":null}

event: progress
data: {"value":0.5,"nodes_done":1,"nodes_total":2,"current_node":"9","current_node_class":"SaveImage"}

event: status
data: {"status":"succeeded"}

"""

HISTORY_ENTRY: dict[str, Any] = {
    "prompt": [1, JOB_ID, WORKFLOW, {}, ["9"]],
    "outputs": {"9": {"images": [{"filename": "mine_00001_.png", "subfolder": JOB_ID, "type": "output"}]}},
    "status": {"status_str": "success", "completed": True, "messages": []},
}

PICTURE = "photo.png"
"""The example of a file in a form."""
