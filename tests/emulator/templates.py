"""Templates: container settings that are applied when a pod or an endpoint is made or changed."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.emulator import emulator, pod_rules
from tests.emulator.emulator import account_of, listed, one_of
from tests.emulator.identifiers import new_id
from tests.emulator.presets import Template
from tests.emulator.problems import ApiError, invalid, not_found

CONTAINER = ("image", "args", "disk", "ports", "env", "registry")
"""Settings that templates, pods and endpoints share."""
RENAMED = {"startSsh": "start_ssh", "startJupyter": "start_jupyter", "allowedCudaVersions": "allowed_cuda"}
PLAIN = ("name", *CONTAINER, "mounts", "serverless", "public", "category")

routes = web.RouteTableDef()


def view(template: Template) -> dict[str, Any]:
    """Return the template in the document's form."""
    renamed = {name: getattr(template, own) for name, own in RENAMED.items()}
    return {"id": template.id} | {name: getattr(template, name) for name in PLAIN} | renamed


def members(body: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a request under the names they are kept by."""
    return {RENAMED.get(name, name): value for name, value in body.items()}


@routes.get("/v2/templates")
async def list_templates(request: web.Request) -> web.Response:
    """List the account's templates."""
    templates = emulator.of(request).state.templates.values()
    return web.json_response({"templates": [view(template) for template in listed(request, templates)]})


@routes.post("/v2/templates")
async def create_template(request: web.Request) -> web.Response:
    """Make a template."""
    emu, body = emulator.of(request), await request.json()
    check(request, body)
    template = Template(id=new_id(10), account=account_of(request), created_at=emu.clock.now(), **members(body))
    emu.state.templates[template.id] = template
    emu.state.save()
    return web.json_response(view(template), status=201)


@routes.get("/v2/templates/{id}")
async def get_template(request: web.Request) -> web.Response:
    """Show a template."""
    return web.json_response(view(of(request)))


@routes.patch("/v2/templates/{id}")
async def update_template(request: web.Request) -> web.Response:
    """Change a template; what was made from it stays as it is."""
    emu, template, body = emulator.of(request), of(request), await request.json()
    check(request, body, template)
    for name, value in members(body).items():
        # `{}` leaves the mount as it is, so a template's volume disk cannot be taken away.
        if name != "mounts" or value:
            setattr(template, name, value)
    emu.state.save()
    return web.json_response(view(template))


@routes.delete("/v2/templates/{id}")
async def delete_template(request: web.Request) -> web.Response:
    """Delete a template; nothing keeps a link to it."""
    emu, template = emulator.of(request), of(request)
    template.ended_at = emu.clock.now()
    emu.state.save()
    return web.Response(status=204)


def of(request: web.Request) -> Template:
    """Return the template a request names."""
    return one_of(request, emulator.of(request).state.templates, "template")


def check(request: web.Request, body: dict[str, Any], own: Template | None = None) -> None:
    """Refuse what RunPod refuses beyond the document: a name that is taken, credentials that are not there."""
    pod_rules.check_container(body)
    check_registry(request, body)
    templates = emulator.of(request).state.templates.values()
    taken = {t.name for t in templates if t.account == account_of(request) and t.ended_at is None and t is not own}
    if body.get("name") in taken:
        raise ApiError(400, "template name must be unique")


def check_registry(request: web.Request, body: dict[str, Any]) -> None:
    """Refuse credentials that the account does not have."""
    wanted = body.get("registry")
    known = emulator.of(request).state.registries.get(wanted) if wanted else None
    if wanted and (known is None or known.account != account_of(request) or known.ended_at is not None):
        raise ApiError(400, f"registry {wanted} not found")


def applied(request: web.Request, body: dict[str, Any], *, serverless: bool) -> dict[str, Any]:
    """Return a request with the settings of its template filled in: the body wins, and env is merged by key."""
    if "templateId" not in body:
        return body
    template = emulator.of(request).state.templates.get(body["templateId"])
    if template is None or template.account != account_of(request) or template.ended_at is not None:
        raise not_found("template")
    if template.serverless != serverless:
        raise invalid(f"$.templateId: not a {'serverless' if serverless else 'pod'} template")
    preset = {name: getattr(template, name) for name in CONTAINER}
    whole = preset | body | {"env": template.env | body.get("env", {})}
    if template.allowed_cuda and "gpu" in whole and not {"allowedCudaVersions", "minCudaVersion"} & set(whole["gpu"]):
        whole["gpu"] = whole["gpu"] | {"allowedCudaVersions": template.allowed_cuda}
    del whole["templateId"]
    return whole


def applied_to_pod(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    """Return a pod's request with its template filled in, the volume disk and the way in by SSH too."""
    whole = applied(request, body, serverless=False)
    if whole is body:
        return body
    template = emulator.of(request).state.templates[body["templateId"]]
    whole.setdefault("startSsh", template.start_ssh)
    if template.mounts and "mounts" not in whole and "cpu" not in whole:
        whole["mounts"] = template.mounts
    return whole
