"""ComfyUI's routes for files; each caller sees its own files."""

from __future__ import annotations

import contextlib
import re

from starlette.responses import Response

from provisioning.gateway.assets.file_response import BYTES, RANGES, FileResponder
from provisioning.gateway.assets.repository import AssetStore
from provisioning.gateway.assets.store.paths import StoredCopy, store_path_of
from provisioning.gateway.comfyui_api.image_uploads import ImageUploads
from provisioning.gateway.comfyui_api.own_files import OwnFiles
from provisioning.gateway.comfyui_api.schemas import StoredImage, UploadImage, UploadMask
from provisioning.gateway.core.http.multipart import read_form
from provisioning.gateway.core.http.operation import (
    FORM,
    UPSTREAM,
    Answer,
    Body,
    BodySize,
    Operation,
    Parameter,
    RateClass,
    Tag,
)
from provisioning.gateway.core.http.request import GatewayRequest
from provisioning.gateway.core.problems import Code
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.docs.examples import PICTURE
from provisioning.gateway.upstream.stored_file import StoredFile

OPTIONS = {"preview": re.compile(r"(webp|jpeg)(;[0-9]{1,3})?"), "channel": re.compile(r"rgba|rgb|a")}
"""The query parameters of ComfyUI's image conversions with their formats; other values are ignored."""

STORED = {"name": "photo.png", "subfolder": "", "type": "input"}


class FileRoutes:
    """Lets callers download files and upload images as ComfyUI does."""

    def __init__(
        self,
        own_files: OwnFiles,
        assets: AssetStore,
        responder: FileResponder,
        images: ImageUploads,
    ) -> None:
        self._own_files = own_files
        self._assets = assets
        self._responder = responder
        self._images = images

    @Operation(
        method="GET",
        path="/view",
        access=Scope.READ,
        tag=Tag.NATIVE,
        summary="Download a file",
        text="A file that the caller uploaded or that one of its jobs saved, by its name in uploads or history.",
        parameters=(
            Parameter("filename", "The file's name.", "mine_00001_.png", required=True),
            Parameter("subfolder", "The file's folder.", "0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10"),
            Parameter(
                "type", "The kind of folder.", "output", schema={"type": "string", "enum": ["input", "output", "temp"]}
            ),
            Parameter("preview", "Format of a smaller copy: `webp` or `jpeg`, with a quality.", "webp;90"),
            Parameter("channel", "The image channels.", "rgb", schema={"type": "string", "enum": ["rgba", "rgb", "a"]}),
            *RANGES,
        ),
        answers=BYTES,
        problems=(Code.NOT_FOUND, Code.RANGE_NOT_SATISFIABLE, *UPSTREAM),
        native=True,
        signed=True,
    )
    async def view(self, request: GatewayRequest) -> Response:
        """Answer with a file of the caller."""
        query = request.query
        asked = StoredFile(
            query.get("type", "output"), query.get("subfolder", "").strip("/"), query.get("filename", "")
        )
        file = await self._own_files.find(request.who, asked)
        options = {name: query[name] for name, form in OPTIONS.items() if form.fullmatch(query.get(name, ""))}
        # A temporary file's name belongs to one job at a time.
        is_temporary = file.type == "temp"
        job_id = await self._assets.maker_of(file, request.who.visible_owner) if is_temporary else None
        return await self._responder.respond(request, StoredCopy(file, store_path_of(file, job_id)), options)

    @Operation(
        method="POST",
        path="/upload/image",
        access=Scope.ASSETS,
        tag=Tag.NATIVE,
        summary="Upload an image",
        text="An image, video or audio file whose content matches its extension. It is stored in the caller's folder.",
        body=Body(UploadImage, {"image": PICTURE, "overwrite": "true"}, FORM, size=BodySize.FILE),
        answers=(Answer("The stored file.", StoredImage, STORED),),
        problems=(Code.NOT_FOUND, *UPSTREAM),
        rate=RateClass.UPLOAD,
        native=True,
    )
    async def upload_image(self, request: GatewayRequest) -> StoredImage:
        """Store a file in the caller's part of the input folder."""
        return await self._upload(request, "/upload/image")

    @Operation(
        method="POST",
        path="/upload/mask",
        access=Scope.ASSETS,
        tag=Tag.NATIVE,
        summary="Upload a mask",
        body=Body(
            UploadMask,
            {"image": PICTURE, "original_ref": '{"filename": "photo.png", "subfolder": "", "type": "input"}'},
            FORM,
            size=BodySize.FILE,
        ),
        answers=(Answer("The stored, masked image.", StoredImage, STORED),),
        problems=(Code.NOT_FOUND, *UPSTREAM),
        rate=RateClass.UPLOAD,
        native=True,
    )
    async def upload_mask(self, request: GatewayRequest) -> StoredImage:
        """Store a mask for an image of the caller."""
        return await self._upload(request, "/upload/mask")

    async def _upload(self, request: GatewayRequest, path: str) -> StoredImage:
        with contextlib.closing(await read_form(request)) as form:
            return await self._images.store(request.who, path, form)
