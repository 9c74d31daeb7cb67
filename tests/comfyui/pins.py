"""What a stack file says of the published files: YAML for people to paste, and for a test to compare."""

from __future__ import annotations

import yaml

from tests.comfyui.publication import Published, Repository

FILE_SERVER = "http://127.0.0.1:8642/files"
"""The emulator's file server; the same URL works on this machine and inside a pod."""


def pins(published: Published, file_server: str = FILE_SERVER) -> str:
    """Return the settings of ComfyUI, its custom node and the models as YAML."""
    settings = {
        "comfyui": _source(published.comfyui, file_server),
        "nodes": [{"name": "stand-in-border"} | _source(published.custom_node, file_server)],
        "models": [
            {
                "name": model.name,
                "folder": model.folder,
                "url": f"{file_server}/{model.path}",
                "sha256": model.sha256,
                "sizeBytes": model.size_bytes,
            }
            for model in published.models
        ],
    }
    return yaml.safe_dump(settings, sort_keys=False, width=1000)


def _source(repository: Repository, file_server: str) -> dict[str, str]:
    return {
        "repository": f"{file_server}/{repository.path}",
        "ref": repository.tag,
        "commit": repository.commit,
    }
