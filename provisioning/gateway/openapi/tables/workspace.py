"""ComfyUI's own store of settings and saved workflows, an admin's."""

from __future__ import annotations

from typing import Any

from provisioning.gateway.openapi.operation import ANY_MEDIA, UPSTREAM, Answer, Body, Operation, Parameter, Tag
from provisioning.gateway.problems import Code

_PATHS = (
    Parameter("file", "A path below the user's folder, its slashes as `%2F`.", "portrait.json", "path", required=True),
)
_MOVED = (*_PATHS, Parameter("dest", "The new path, likewise.", "landscape.json", "path", required=True))
_SETTING = (Parameter("id", "A setting's name.", "Comfy.Locale", "path", required=True),)
_FOLDER = (
    Parameter("dir", "A folder.", "workflows", required=True),
    Parameter("recurse", "`true` for the folders in it, too.", "true"),
    Parameter("full_info", "`true` for sizes and times.", "true"),
    Parameter("split", "`true` for paths in parts.", "false"),
)
_OVERWRITE = (
    Parameter("overwrite", "`false` to spare a file that is there.", "false"),
    Parameter("full_info", "`true` for size and times.", "true"),
)
_PROBLEMS = (Code.INVALID_REQUEST, Code.NOT_FOUND, Code.FILE_EXISTS, *UPSTREAM)
_JSON = Body(Any, {"Comfy.Locale": "en"}, required=False)


def _stored(
    summary: str, answers: tuple[Answer, ...], parameters: tuple[Parameter, ...] = (), body: Body | None = None
) -> Operation:
    problems = (*_PROBLEMS, Code.STORAGE_FULL) if answers is _KEPT else _PROBLEMS
    return Operation(Tag.OPERATIONS, summary, answers, parameters=parameters, body=body, problems=problems)


def _passed(example: Any) -> tuple[Answer, ...]:  # noqa: ANN401 - any JSON
    return (Answer("As ComfyUI says.", Any, example),)


_KEPT = (Answer("It is kept.", None, None, media=ANY_MEDIA),)

TABLE = {
    "GET /users": _stored("Show how ComfyUI keeps users", _passed({"storage": "server", "migrated": True})),
    "GET /settings": _stored("Show the editor's settings", _passed({"Comfy.Locale": "en"})),
    "POST /settings": _stored("Change settings of the editor", _KEPT, body=_JSON),
    "GET /settings/{id}": _stored("Show a setting", _passed("en"), _SETTING),
    "POST /settings/{id}": _stored("Change a setting", _KEPT, _SETTING, Body(Any, "de", required=False)),
    "GET /userdata": _stored("List saved files", _passed(["portrait.json"]), _FOLDER),
    "GET /v2/userdata": _stored(
        "List saved files and folders",
        _passed([{"name": "workflows", "path": "workflows", "type": "directory"}]),
        (Parameter("path", "A folder.", "workflows"),),
    ),
    "GET /userdata/{file}": _stored("Get a saved file", (Answer("The file.", media=ANY_MEDIA),), _PATHS),
    "POST /userdata/{file}": _stored("Save a file", _KEPT, (*_PATHS, *_OVERWRITE), Body(Any, {}, required=False)),
    "DELETE /userdata/{file}": _stored("Delete a saved file", (Answer("Gone.", status=204, media=None),), _PATHS),
    "POST /userdata/{file}/move/{dest}": _stored("Rename a saved file", _KEPT, (*_MOVED, *_OVERWRITE)),
}
