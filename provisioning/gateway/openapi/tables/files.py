"""ComfyUI's own routes for files."""

from __future__ import annotations

from provisioning.gateway.openapi.examples import PICTURE
from provisioning.gateway.openapi.models.native import StoredImage, UploadImage, UploadMask
from provisioning.gateway.openapi.operation import ANY_MEDIA, FORM, UPSTREAM, Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.problems import Code

BYTES = (
    Answer("The file's bytes.", media=ANY_MEDIA),
    Answer("The range of them that was asked for.", status=206, media=ANY_MEDIA),
    Answer("Unchanged since the time or the tag that was sent.", status=304, media=None),
)
"""What a download answers."""

RANGES = (
    Parameter("Range", "The bytes that are wanted.", "bytes=0-1023", "header"),
    Parameter("If-Range", "The `ETag` of the part that is there already.", '"4f1c"', "header"),
    Parameter("If-None-Match", "The `ETag` of an earlier answer.", '"4f1c"', "header"),
)

_STORED = {"name": "photo.png", "subfolder": "", "type": "input"}

TABLE = {
    "GET /view": Operation(
        Tag.NATIVE,
        "Download a file",
        BYTES,
        "A file that the caller uploaded or one of its jobs made, by the names that uploads and the history give.",
        (
            Parameter("filename", "Its name.", "mine_00001_.png", required=True),
            Parameter("subfolder", "Its folder.", "0b8f6c1e-7a55-4d0e-9f7c-3f1c2a9d4e10"),
            Parameter("type", "Where it is.", "output", schema={"type": "string", "enum": ["input", "output", "temp"]}),
            Parameter("preview", "A smaller copy: `webp` or `jpeg`, with a quality.", "webp;90"),
            Parameter("channel", "Which channels.", "rgb", schema={"type": "string", "enum": ["rgba", "rgb", "a"]}),
            *RANGES,
        ),
        problems=(Code.NOT_FOUND, Code.RANGE_NOT_SATISFIABLE, *UPSTREAM),
    ),
    "POST /upload/image": Operation(
        Tag.NATIVE,
        "Upload an image",
        (Answer("Where it is.", StoredImage, _STORED),),
        "An image, video or sound whose content fits its name's ending; it goes to the caller's own folder.",
        body=Body(UploadImage, {"image": PICTURE, "overwrite": "true"}, FORM),
        problems=(Code.NOT_FOUND, *UPSTREAM),
    ),
    "POST /upload/mask": Operation(
        Tag.NATIVE,
        "Upload a mask",
        (Answer("Where the masked image is.", StoredImage, _STORED),),
        body=Body(
            UploadMask,
            {"image": PICTURE, "original_ref": '{"filename": "photo.png", "subfolder": "", "type": "input"}'},
            FORM,
        ),
        problems=(Code.NOT_FOUND, *UPSTREAM),
    ),
}
