from __future__ import annotations

import json
from typing import Any

Raw = dict[str, str]

CONFIG: dict[str, Any] = {
    "pod": {"image": "runpod/pytorch:1.0.2", "torch": "2.8.0", "diskGb": 50},
    "gpu": {"candidates": ["NVIDIA RTX A5000"]},
    "comfyui": {
        "repository": "https://example.org/comfyui.git",
        "ref": "v0.38.0",
        "commit": "a" * 40,
        "requirements": "tests/comfyui/requirements.lock",
    },
    "nodes": [{"name": "scripts", "repository": "https://example.org/n.git", "ref": "main", "commit": "b" * 40}],
    "models": [
        {"name": "ae.safetensors", "folder": "vae", "url": "https://example.org/ae", "sizeBytes": 10_000_000_000}
    ],
    "budget": {"maxPerHour": 0.6},
}


def raw(**changes: object) -> Raw:
    """A stack file's keys as Pulumi hands them over; a change of None leaves the key out."""
    values = {key: value for key, value in (CONFIG | changes).items() if value is not None}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
