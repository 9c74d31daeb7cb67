"""ComfyUI's own routes that answer everybody the same, and the machine's that are an admin's."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.comfyui import catalogue, commons
from provisioning.gateway.openapi.models.base import Nothing
from provisioning.gateway.openapi.models.native import Free, ModelFile, ModelFolder, NodeClasses
from provisioning.gateway.openapi.operation import ANY_MEDIA, UPSTREAM, Answer, Body, Operation, Parameter, Tag

_CLASSES = {
    "EmptyImage": {
        "input": {"required": {"width": ["INT", {"default": 512, "min": 1, "max": 16384}]}},
        "output": ["IMAGE"],
        "category": "image",
    }
}


def _passed(
    tag: Tag,
    summary: str,
    model: Any,  # noqa: ANN401 - any JSON
    example: Any,  # noqa: ANN401 - any JSON
    text: str = "",
    age: float = commons.FRESH_SECONDS,
) -> Operation:
    said = f"As ComfyUI said at most {age:.0f} s ago."
    return Operation(tag, summary, (Answer(said, model, example),), text, problems=UPSTREAM)


TABLE = {
    "GET /object_info": _passed(
        Tag.NATIVE,
        "List node classes",
        NodeClasses,
        _CLASSES,
        "The names of other people's files are left out.",
        catalogue.FRESH_SECONDS,
    ),
    "GET /object_info/{name}": _passed(
        Tag.NATIVE,
        "Show a node class",
        NodeClasses,
        _CLASSES,
        "`{}` when there is no such class.",
        catalogue.FRESH_SECONDS,
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
    "GET /i18n": _passed(Tag.NATIVE, "Show what custom nodes call things", dict[str, Any], {"en": {}}),
    "GET /node_replacements": _passed(Tag.NATIVE, "List replacements of nodes", dict[str, Any], {}),
    "GET /global_subgraphs": _passed(Tag.NATIVE, "List subgraphs of custom nodes", dict[str, Any], {}),
    "GET /global_subgraphs/{id}": _passed(Tag.NATIVE, "Show a subgraph", dict[str, Any], {}),
    "GET /workflow_templates": _passed(Tag.NATIVE, "List templates of custom nodes", dict[str, list[str]], {}),
    "GET /workflow_templates/{folder}/{name}": Operation(
        Tag.NATIVE,
        "Get a template or its picture",
        (Answer("The file.", media=ANY_MEDIA),),
        parameters=(Parameter("name", "A file of the custom node's.", "portrait.json", "path", required=True),),
        problems=UPSTREAM,
    ),
    "GET /view_metadata/{folder}": Operation(
        Tag.NATIVE,
        "Show a model's metadata",
        (Answer("As its header says.", dict[str, Any], {"format": "pt"}),),
        parameters=(Parameter("filename", "A `.safetensors` file in the folder.", "paper.safetensors", required=True),),
        problems=UPSTREAM,
    ),
    "GET /system_stats": _passed(
        Tag.OPERATIONS,
        "Show the machine",
        dict[str, Any],
        {"system": {"os": "linux", "ram_total": 134217728000, "argv": []}, "devices": [{"name": "cuda:0 RTX 4090"}]},
        "Versions, memory and devices. The command line is empty and paths are left out without the scope `monitor`.",
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
