"""ComfyUI's own routes that answer everybody the same, and the machine's that are an admin's."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.openapi.models.base import Nothing
from provisioning.gateway.openapi.models.native import Free, ModelFile, ModelFolder, NodeClasses
from provisioning.gateway.openapi.operation import UPSTREAM, Answer, Body, Operation, Tag

_CLASSES = {
    "EmptyImage": {
        "input": {"required": {"width": ["INT", {"default": 512, "min": 1, "max": 16384}]}},
        "output": ["IMAGE"],
        "category": "image",
    }
}


def _passed(tag: Tag, summary: str, model: Any, example: Any, text: str = "") -> Operation:  # noqa: ANN401 - any JSON
    return Operation(tag, summary, (Answer("As ComfyUI says.", model, example),), text, problems=UPSTREAM)


TABLE = {
    "GET /object_info": _passed(
        Tag.NATIVE, "List node classes", NodeClasses, _CLASSES, "The names of other people's files are left out."
    ),
    "GET /object_info/{name}": _passed(
        Tag.NATIVE, "Show a node class", NodeClasses, _CLASSES, "`{}` when there is no such class."
    ),
    "GET /models": _passed(Tag.NATIVE, "List folders of models", list[str], ["checkpoints", "loras", "vae"]),
    "GET /models/{folder}": _passed(Tag.NATIVE, "List models in a folder", list[str], ["sd_xl_base_1.0.safetensors"]),
    "GET /embeddings": _passed(Tag.NATIVE, "List embeddings", list[str], ["easynegative"]),
    "GET /features": _passed(
        Tag.NATIVE, "Show ComfyUI's features", dict[str, Any], {"supports_preview_metadata": True}
    ),
    "GET /extensions": _passed(
        Tag.NATIVE, "List the frontend's extensions", list[str], ["/extensions/core/noteNode.js"]
    ),
    "GET /system_stats": _passed(
        Tag.OPERATIONS,
        "Show the machine",
        dict[str, Any],
        {"system": {"os": "linux", "ram_total": 134217728000}, "devices": [{"name": "cuda:0 NVIDIA RTX 4090"}]},
    ),
    "GET /experiment/models": _passed(
        Tag.OPERATIONS,
        "List folders of models with their places",
        list[ModelFolder],
        [{"name": "checkpoints", "folders": ["/workspace/models/checkpoints"]}],
    ),
    "GET /experiment/models/{folder}": _passed(
        Tag.OPERATIONS,
        "List models in a folder with their sizes",
        list[ModelFile],
        [{"name": "sd_xl_base_1.0.safetensors", "pathIndex": 0, "size": 6938078334}],
    ),
    "POST /free": Operation(
        Tag.OPERATIONS,
        "Unload models and free memory",
        (Answer("ComfyUI does so after the running job.", Nothing, {}),),
        "Everybody's next job loads its models again.",
        body=Body(Free, {"unload_models": True, "free_memory": True}, required=False),
        problems=UPSTREAM,
    ),
}
