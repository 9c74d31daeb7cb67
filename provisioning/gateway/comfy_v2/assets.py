"""The operations on assets of the Comfy API v2: uploads and outputs of jobs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from starlette.responses import Response

from provisioning.gateway.admin.audit import AuditAction
from provisioning.gateway.admin.audit_context import AuditTrail
from provisioning.gateway.assets import repository
from provisioning.gateway.assets.expiry import Expiry
from provisioning.gateway.assets.file_response import BYTES, RANGES, FileResponder
from provisioning.gateway.assets.repository import AssetStore
from provisioning.gateway.assets.schemas import Asset, AssetFromHash, UploadAsset
from provisioning.gateway.assets.sizes import AssetSizes
from provisioning.gateway.comfy_v2.asset_uploads import AssetUploads, UploadedAsset
from provisioning.gateway.core.clock import Clock
from provisioning.gateway.core.http.base_url import base_url
from provisioning.gateway.core.http.multipart import read_form
from provisioning.gateway.core.http.operation import FORM, UPSTREAM, Answer, Body, BodySize, Operation, RateClass, Tag
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.http.responses import document_response
from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.docs.examples import ASSET, PICTURE
from provisioning.gateway.docs.parameters import ASSET as ID
from provisioning.gateway.docs.parameters import HASH
from provisioning.gateway.jobs.tracker import Tracker

CREATED = ASSET | {"created_new": True}
KNOWN = ASSET | {"created_new": False}


@dataclass(frozen=True)
class AssetRoutes:
    """Lets callers upload, show, download and delete their assets."""

    assets: AssetStore
    uploads: AssetUploads
    sizes: AssetSizes
    responder: FileResponder
    expiry: Expiry
    tracker: Tracker
    audit: AuditTrail
    clock: Clock

    @Operation(
        method="POST",
        path="/api/v2/assets",
        access=Scope.ASSETS,
        tag=Tag.ASSETS,
        summary="Upload a file",
        text='In a workflow, put `{"__type": "core/ASSET", "info": {"id": "<the asset\'s id>"}}` where a loader takes '
        "a file name.",
        body=Body(
            UploadAsset,
            {"file": PICTURE, "file_path": "photo.png", "content_type": "image/png"},
            FORM,
            size=BodySize.FILE,
        ),
        answers=(
            Answer("The asset, with new content.", Asset, CREATED, 201),
            Answer("The caller's existing asset with this content and path.", Asset, KNOWN),
        ),
        problems=(Code.HASH_MISMATCH, Code.INVALID_FIELD, *UPSTREAM),
        rate=RateClass.UPLOAD,
    )
    async def upload(self, request: GatewayRequest) -> Response:
        """Store a file."""
        with contextlib.closing(await read_form(request, dropped=("tags",))) as form:
            return self._answer(request, await self.uploads.upload(request.who, form))

    @Operation(
        method="POST",
        path="/api/v2/assets/from-path",
        access=Scope.ASSETS,
        tag=Tag.ASSETS,
        summary="Register a file by its path",
        text="Always refused: files of the machine cannot be registered. Upload the content instead.",
        answers=(),
        problems=(Code.INVALID_FIELD,),
    )
    async def from_path(self, _request: GatewayRequest) -> Response:
        """Refuse to register a file of the machine by its path, as a proxy without access to ComfyUI's disk does."""
        message = "path: files of the machine cannot be registered; upload the content instead."
        raise Problem(Code.INVALID_FIELD, message, members=fault("/path", "not supported"))

    @Operation(
        method="POST",
        path="/api/v2/assets/from-hash",
        access=Scope.ASSETS,
        tag=Tag.ASSETS,
        summary="Create an asset from an earlier upload",
        body=Body(AssetFromHash, {"hash": HASH, "file_path": "again.png"}, invalid=Code.INVALID_FIELD),
        answers=(
            Answer("The existing asset with this path.", Asset, KNOWN),
            Answer("A new asset with the same content.", Asset, KNOWN, 201),
        ),
        problems=(Code.BLOB_NOT_FOUND,),
    )
    async def from_hash(self, request: GatewayRequest, body: AssetFromHash) -> Response:
        """Create an asset for content that the caller uploaded before."""
        return self._answer(request, await self.uploads.from_hash(request.who, body.hash, body.file_path))

    def _answer(self, request: GatewayRequest, uploaded: UploadedAsset) -> Response:
        document = Asset.of(uploaded.asset, base_url(request), self.clock.now_ms(), created_new=uploaded.is_new)
        return document_response(document, 200 if uploaded.existed else 201)

    @Operation(
        method="GET",
        path="/api/v2/assets/by-hash/{hash}",
        access=Scope.READ,
        tag=Tag.ASSETS,
        summary="Check whether content was uploaded before",
        text="Send HEAD before a large upload.",
        answers=(Answer("The caller has uploaded this content.", media=None),),
        problems=(Code.BLOB_NOT_FOUND,),
    )
    async def has_hash(self, request: GatewayRequest) -> Response:
        """Answer whether the caller has uploaded this content before."""
        if await self.uploads.find(request.who, request.path_params["hash"]) is None:
            raise Problem(Code.BLOB_NOT_FOUND)
        return Response(media_type="application/json")

    @Operation(
        method="GET",
        path="/api/v2/assets/{id}",
        access=Scope.READ,
        tag=Tag.ASSETS,
        summary="Show an asset",
        parameters=(ID,),
        answers=(Answer("The asset.", Asset, ASSET),),
        problems=UPSTREAM,
    )
    async def show(self, request: GatewayRequest) -> Asset:
        """Show an asset."""
        asset = await self.sizes.measured(await self._own(request))
        return Asset.of(asset, base_url(request), self.clock.now_ms())

    @Operation(
        method="DELETE",
        path="/api/v2/assets/{id}",
        access=Scope.ASSETS,
        tag=Tag.ASSETS,
        summary="Delete an asset",
        text="Deletes uploads and outputs. The usage of jobs still counts.",
        parameters=(ID,),
        answers=(
            Answer(
                "The asset is deleted, and within seconds its content, unless another asset has it.",
                status=204,
                media=None,
            ),
        ),
        problems=(Code.STATE_CONFLICT,),
    )
    async def delete(self, request: GatewayRequest) -> Response:
        """Delete an asset, and its content unless another asset has it."""
        asset = await self._own(request)
        if any(asset.id.encode() in job.workflow for job in self.tracker.of_owner(asset.owner)):
            raise Problem(
                Code.STATE_CONFLICT, "An unfinished job uses this asset; wait for the job to end, or cancel it."
            )
        await self.audit.on_anothers(request, AuditAction.ASSET_DELETED, asset.id, asset.owner)
        await self.expiry.remove(asset)
        return Response(status_code=204)

    @Operation(
        method="GET",
        path="/api/v2/assets/{id}/content",
        access=Scope.READ,
        tag=Tag.ASSETS,
        summary="Download an asset",
        text="Supports ranges and conditional requests. Types that a browser might execute are sent as attachments.",
        parameters=(ID, *RANGES),
        answers=BYTES,
        problems=(Code.RANGE_NOT_SATISFIABLE, *UPSTREAM),
        signed=True,
    )
    async def content(self, request: GatewayRequest) -> Response:
        """Answer with an asset's content, or the requested range of it."""
        return await self.responder.respond(request, (await self._own(request)).stored_copy)

    async def _own(self, request: GatewayRequest) -> repository.Asset:
        asset = await self.assets.get(request.path_params["id"], request.who.visible_owner)
        if asset is None:
            raise Problem(Code.NOT_FOUND)
        return asset
