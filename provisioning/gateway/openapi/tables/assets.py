"""The Comfy API v2's assets."""

from __future__ import annotations

from provisioning.gateway.openapi.examples import ASSET, PICTURE
from provisioning.gateway.openapi.models.comfy_api import Asset, AssetFromHash, UploadAsset
from provisioning.gateway.openapi.operation import FORM, UPSTREAM, Answer, Body, Operation, Tag
from provisioning.gateway.openapi.parameters import ASSET as ASSET_PARAMETER
from provisioning.gateway.openapi.parameters import HASH
from provisioning.gateway.openapi.tables.files import BYTES, RANGES
from provisioning.gateway.problems import Code

_CREATED = ASSET | {"created_new": True}
_KNOWN = ASSET | {"created_new": False}

TABLE = {
    "POST /api/v2/assets": Operation(
        Tag.ASSETS,
        "Upload a file",
        (
            Answer("The asset; its bytes are new.", Asset, _CREATED, 201),
            Answer("The caller's asset of these bytes and this path, which was there already.", Asset, _KNOWN),
        ),
        'In a workflow, put `{"__type": "core/ASSET", "info": {"id": "<the asset\'s id>"}}` where a loader takes a '
        "file name.",
        body=Body(UploadAsset, {"file": PICTURE, "file_path": "photo.png", "content_type": "image/png"}, FORM),
        problems=(Code.HASH_MISMATCH, Code.INVALID_FIELD, *UPSTREAM),
    ),
    "POST /api/v2/assets/from-path": Operation(
        Tag.ASSETS,
        "Register a file of the machine",
        (),
        "Refused always: no client's name for a file of the machine is taken. Upload the bytes.",
        problems=(Code.INVALID_FIELD,),
    ),
    "POST /api/v2/assets/from-hash": Operation(
        Tag.ASSETS,
        "Make an asset from bytes uploaded before",
        (
            Answer("The asset of that name, which was there already.", Asset, _KNOWN),
            Answer("A new asset over the same bytes.", Asset, _KNOWN, 201),
        ),
        body=Body(AssetFromHash, {"hash": HASH, "file_path": "again.png"}),
        problems=(Code.BLOB_NOT_FOUND, Code.INVALID_FIELD),
    ),
    "GET /api/v2/assets/by-hash/{hash}": Operation(
        Tag.ASSETS,
        "Ask whether bytes were uploaded before",
        (Answer("They were, by the caller.", media=None),),
        "Send it as HEAD before a large upload.",
        problems=(Code.BLOB_NOT_FOUND,),
    ),
    "GET /api/v2/assets/{id}": Operation(
        Tag.ASSETS, "Show an asset", (Answer("The asset.", Asset, ASSET),), "", (ASSET_PARAMETER,), problems=UPSTREAM
    ),
    "DELETE /api/v2/assets/{id}": Operation(
        Tag.ASSETS,
        "Delete an asset",
        (
            Answer(
                "It is gone; its bytes go within seconds, unless another asset has the same.", status=204, media=None
            ),
        ),
        "Uploads and outputs alike. What a job took stays counted.",
        (ASSET_PARAMETER,),
        problems=(Code.STATE_CONFLICT,),
    ),
    "GET /api/v2/assets/{id}/content": Operation(
        Tag.ASSETS,
        "Download an asset",
        BYTES,
        "Ranges and conditional requests work. Whatever a browser might run comes as an attachment.",
        (ASSET_PARAMETER, *RANGES),
        problems=(Code.RANGE_NOT_SATISFIABLE, *UPSTREAM),
    ),
}
