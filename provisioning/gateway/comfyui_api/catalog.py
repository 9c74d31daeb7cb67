"""ComfyUI's routes with the same response for everybody, such as node classes and models, and routes of the machine."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from provisioning.gateway.admin.audit import AuditAction
from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.assets.staging.inputs import InputStaging
from provisioning.gateway.comfyui_api.schemas import EmptyAnswer, FreeMemory, ModelFile, ModelFolder, NodeClasses
from provisioning.gateway.core.http.operation import (
    ANY_MEDIA,
    UPSTREAM,
    Access,
    Answer,
    Body,
    Operation,
    Parameter,
    Tag,
)
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.responses import JsonResponse
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.upstream import node_catalogue, response_cache
from provisioning.gateway.upstream import system_stats as machine
from provisioning.gateway.upstream.client import ComfyUIClient, Request
from provisioning.gateway.upstream.node_catalogue import CatalogueCache
from provisioning.gateway.upstream.owner_namespace import is_safe_name
from provisioning.gateway.upstream.proxy import Proxy, asked_path
from provisioning.gateway.upstream.response_cache import ResponseCache

CLASSES = {
    "EmptyImage": {
        "input": {"required": {"width": ["INT", {"default": 512, "min": 1, "max": 16384}]}},
        "output": ["IMAGE"],
        "category": "image",
    }
}
STATS = {
    "system": {"os": "linux", "ram_total": 134217728000, "argv": []},
    "devices": [{"name": "cuda:0 RTX 4090"}],
}


def _cached(
    path: str,
    summary: str,
    model: Any,  # noqa: ANN401 - any type that pydantic describes
    example: Any,  # noqa: ANN401 - any JSON
    age: float = response_cache.FRESH_SECONDS,
    *,
    text: str = "",
    access: Access | Scope = Scope.READ,
) -> Operation:
    """Return an operation that answers with ComfyUI's JSON, cached for at most `age` seconds."""
    tag = Tag.NATIVE if access is Scope.READ else Tag.OPERATIONS
    answers = (Answer(f"ComfyUI's response, at most {age:.0f} s old.", model, example),)
    return Operation(
        method="GET", path=path, access=access, tag=tag, summary=summary, text=text, answers=answers,
        problems=UPSTREAM, native=True,
    )  # fmt: skip


class CatalogRoutes:
    """Serves ComfyUI's lists of nodes, models and features, and information about the machine."""

    def __init__(
        self,
        catalogue: CatalogueCache,
        responses: ResponseCache[bytes],
        upstream: ComfyUIClient,
        staging: InputStaging,
        audit: AuditTrail,
    ) -> None:
        self._catalogue = catalogue
        self._responses = responses
        self._upstream = upstream
        self._proxy = Proxy(upstream)
        self._staging = staging
        self._audit = audit

    @_cached(
        "/object_info",
        "List node classes",
        NodeClasses,
        CLASSES,
        node_catalogue.FRESH_SECONDS,
        text="Names of other users' files are left out.",
    )
    async def object_info(self, request: GatewayRequest) -> Response:
        """Answer with all node classes, without the names of other users' input files."""
        return JsonResponse(await self._classes(request))

    @_cached(
        "/object_info/{name}",
        "Show a node class",
        NodeClasses,
        CLASSES,
        node_catalogue.FRESH_SECONDS,
        text="`{}` for an unknown class.",
    )
    async def object_info_of(self, request: GatewayRequest) -> Response:
        """Answer with a node class, or like ComfyUI with {} for an unknown one."""
        name = request.path_params["name"]
        classes = await self._classes(request)
        return JsonResponse({name: classes[name]} if name in classes else {})

    async def _classes(self, request: GatewayRequest) -> dict[str, object]:
        if request.who.is_admin and await self._staging.list_uploads():
            self._catalogue.forget()
        catalogue = await self._catalogue.get()
        return catalogue.everything if request.who.is_admin else catalogue.for_clients

    @_cached("/models", "List model folders", list[str], ["checkpoints", "loras", "vae"])
    @_cached("/embeddings", "List embeddings", list[str], ["easynegative"])
    @_cached("/features", "Show ComfyUI's features", dict[str, Any], {"supports_preview_metadata": True})
    @_cached("/extensions", "List the frontend's extensions", list[str], ["/extensions/core/noteNode.js"])
    @_cached("/i18n", "Show translations of custom nodes", dict[str, Any], {"en": {}})
    @_cached("/node_replacements", "List node replacements", dict[str, Any], {})
    @_cached("/global_subgraphs", "List subgraphs of custom nodes", dict[str, Any], {})
    @_cached("/global_subgraphs/{id}", "Show a subgraph", dict[str, Any], {})
    @_cached("/workflow_templates", "List workflow templates of custom nodes", dict[str, list[str]], {})
    @_cached(
        "/experiment/models",
        "List model folders with their paths",
        list[ModelFolder],
        [{"name": "checkpoints", "folders": ["/workspace/models/checkpoints"]}],
        access=Scope.ADMIN,
    )
    @_cached(
        "/experiment/models/{folder}",
        "List models in a folder with their sizes",
        list[ModelFile],
        [{"name": "sd_xl_base_1.0.safetensors", "pathIndex": 0, "size": 6938078334}],
        access=Scope.ADMIN,
    )
    async def same_path(self, request: GatewayRequest) -> Response:
        """Answer with ComfyUI's JSON of the same path, without the query."""
        body = await self._responses.get(asked_path(request))
        return Response(body, media_type="application/json")

    @_cached("/models/{folder}", "List models in a folder", list[str], ["sd_xl_base_1.0.safetensors"])
    async def models_in(self, request: GatewayRequest) -> Response:
        """Answer with the names of the models in one folder."""
        # ComfyUI lists the folder of custom nodes' code among its model folders.
        if request.path_params["folder"] == "custom_nodes":
            raise Problem(Code.NOT_FOUND)
        return await self.same_path(request)

    @_cached(
        "/system_stats",
        "Show the machine",
        dict[str, Any],
        STATS,
        text="Versions, memory and devices. Command line and paths are included only with the scope `monitor`.",
        access=Access.ANY,
    )
    async def system_stats(self, request: GatewayRequest) -> Response:
        """Answer with the machine's versions and memory; command line and paths need the scope `monitor`."""
        if Scope.MONITOR in request.who.scopes:
            return await self.same_path(request)
        stats = orjson.loads(await self._responses.get(asked_path(request)))
        return JsonResponse(machine.for_clients(stats))

    @Operation(
        method="GET",
        path="/workflow_templates/{folder}/{name}",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="Download a workflow template or its image",
        parameters=(Parameter("name", "A file of the custom node.", "portrait.json", "path", required=True),),
        answers=(Answer("The file.", media=ANY_MEDIA),),
        problems=UPSTREAM,
        native=True,
    )
    async def template_file(self, request: GatewayRequest) -> Response:
        """Answer with a workflow template or its image."""
        return await self._proxy.pass_on(request, asked_path(request))

    @Operation(
        method="GET",
        path="/view_metadata/{folder}",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="Show a model's metadata",
        parameters=(Parameter("filename", "A `.safetensors` file in the folder.", "paper.safetensors", required=True),),
        answers=(Answer("The metadata in the file's header.", dict[str, Any], {"format": "pt"}),),
        problems=UPSTREAM,
        native=True,
    )
    async def metadata_of(self, request: GatewayRequest) -> Response:
        """Answer with the metadata in the header of a model file."""
        filename = request.query.get("filename", "")
        if request.path_params["folder"] == "custom_nodes" or not is_safe_name(filename):
            raise Problem(Code.NOT_FOUND)
        return await self._proxy.pass_on(request, asked_path(request), {"filename": filename}, only_json=True)

    @Operation(
        method="POST",
        path="/free",
        access=Scope.OPERATE,
        tag=Tag.OPERATIONS,
        summary="Unload models and free memory",
        text="The next job loads its models again, also when another user submitted it.",
        body=Body(
            FreeMemory, {"unload_models": True, "free_memory": True}, required=False, invalid=Code.INVALID_REQUEST
        ),
        answers=(Answer("ComfyUI frees the memory after the running job.", EmptyAnswer, {}),),
        problems=UPSTREAM,
        native=True,
    )
    async def free(self, request: GatewayRequest, body: FreeMemory) -> EmptyAnswer:
        """Make ComfyUI unload models and free memory."""
        flags = body.model_dump(include=set(FreeMemory.model_fields), exclude_unset=True)
        headers = {"Content-Type": "application/json"}
        await self._audit.note(request, AuditAction.MEMORY_FREED, "comfyui", **flags)
        status, _ = await self._upstream.call(Request("POST", "/free", headers=headers, body=orjson.dumps(flags)))
        if status != 200:
            raise Problem(Code.UPSTREAM_ERROR)
        return EmptyAnswer()
