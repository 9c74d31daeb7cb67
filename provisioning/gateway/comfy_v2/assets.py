"""The operations on assets of the Comfy API v2: uploads, and what jobs made."""

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
from provisioning.gateway.comfy_v2.asset_uploads import AssetUploads, Uploaded
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
    """Lets callers upload, see, download and delete their assets."""

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
            Answer("The asset; its bytes are new.", Asset, CREATED, 201),
            Answer("The caller's asset of these bytes and this path, which was there already.", Asset, KNOWN),
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
        summary="Register a file of the machine",
        text="Refused always: no client's name for a file of the machine is taken. Upload the bytes.",
        answers=(),
        problems=(Code.INVALID_FIELD,),
    )
    async def from_path(self, _request: GatewayRequest) -> Response:
        """Refuse to register a file of the machine by its path, as a proxy does that shares no disk with ComfyUI."""
        message = "path: files of the machine are not taken; upload the bytes."
        raise Problem(Code.INVALID_FIELD, message, members=fault("/path", "not taken"))

    @Operation(
        method="POST",
        path="/api/v2/assets/from-hash",
        access=Scope.ASSETS,
        tag=Tag.ASSETS,
        summary="Make an asset from bytes uploaded before",
        body=Body(AssetFromHash, {"hash": HASH, "file_path": "again.png"}, invalid=Code.INVALID_FIELD),
        answers=(
            Answer("The asset of that name, which was there already.", Asset, KNOWN),
            Answer("A new asset over the same bytes.", Asset, KNOWN, 201),
        ),
        problems=(Code.BLOB_NOT_FOUND,),
    )
    async def from_hash(self, request: GatewayRequest, body: AssetFromHash) -> Response:
        """Make an asset over bytes that the caller uploaded before."""
        return self._answer(request, await self.uploads.from_hash(request.who, body.hash, body.file_path))

    def _answer(self, request: GatewayRequest, uploaded: Uploaded) -> Response:
        document = Asset.of(uploaded.asset, base_url(request), self.clock.now_ms(), created_new=uploaded.is_new)
        return document_response(document, 200 if uploaded.was_there else 201)

    @Operation(
        method="GET",
        path="/api/v2/assets/by-hash/{hash}",
        access=Scope.READ,
        tag=Tag.ASSETS,
        summary="Ask whether bytes were uploaded before",
        text="Send it as HEAD before a large upload.",
        answers=(Answer("They were, by the caller.", media=None),),
        problems=(Code.BLOB_NOT_FOUND,),
    )
    async def has_hash(self, request: GatewayRequest) -> Response:
        """Say whether the caller has uploaded these bytes before."""
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
        text="Uploads and outputs alike. What a job took stays counted.",
        parameters=(ID,),
        answers=(
            Answer(
                "It is gone; its bytes go within seconds, unless another asset has the same.", status=204, media=None
            ),
        ),
        problems=(Code.STATE_CONFLICT,),
    )
    async def delete(self, request: GatewayRequest) -> Response:
        """End an asset; its bytes go too, unless another asset has the same."""
        asset = await self._own(request)
        if any(asset.id.encode() in job.workflow for job in self.tracker.of_owner(asset.owner)):
            raise Problem(Code.STATE_CONFLICT, "An unfinished job reads this asset; wait for its end, or cancel it.")
        await self.audit.on_anothers(request, AuditAction.ASSET_DELETED, asset.id, asset.owner)
        await self.expiry.remove(asset)
        return Response(status_code=204)

    @Operation(
        method="GET",
        path="/api/v2/assets/{id}/content",
        access=Scope.READ,
        tag=Tag.ASSETS,
        summary="Download an asset",
        text="Ranges and conditional requests work. Whatever a browser might run comes as an attachment.",
        parameters=(ID, *RANGES),
        answers=BYTES,
        problems=(Code.RANGE_NOT_SATISFIABLE, *UPSTREAM),
        signed=True,
    )
    async def content(self, request: GatewayRequest) -> Response:
        """Answer with an asset's bytes, or the range of them that was asked for."""
        return await self.responder.respond(request, (await self._own(request)).stored_copy)

    async def _own(self, request: GatewayRequest) -> repository.Asset:
        asset = await self.assets.get(request.path_params["id"], request.who.visible_owner)
        if asset is None:
            raise Problem(Code.NOT_FOUND)
        return asset
