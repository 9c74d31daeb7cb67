"""What is the same for everybody: node classes, models, features; and what is an admin's alone."""

from __future__ import annotations

import orjson

from provisioning.gateway.access.audit import Act
from provisioning.gateway.access.scopes import Scope
from provisioning.gateway.comfyui import machine_facts
from provisioning.gateway.comfyui.realm import is_safe_name
from provisioning.gateway.comfyui.upstream import Request
from provisioning.gateway.handlers.acting import note
from provisioning.gateway.handlers.passing import asked_path, pass_on
from provisioning.gateway.problems import Code, Problem
from provisioning.gateway.services import Services
from provisioning.gateway.web.exchange import Exchange


async def object_info(services: Services, exchange: Exchange) -> None:
    """Answer with every node class; the names of other people's input files are left out."""
    await exchange.send_json(await _classes(services, exchange))


async def object_info_of(services: Services, exchange: Exchange) -> None:
    """Answer with one node class, or {} as ComfyUI does for one that it does not have."""
    name = exchange.params["name"]
    classes = await _classes(services, exchange)
    await exchange.send_json({name: classes[name]} if name in classes else {})


async def _classes(services: Services, exchange: Exchange) -> dict[str, object]:
    if exchange.who.is_admin and await services.placing.list_uploads():
        services.catalogue.forget()
    catalogue = await services.catalogue.get()
    return catalogue.everything if exchange.who.is_admin else catalogue.for_clients


async def same_path(services: Services, exchange: Exchange) -> None:
    """Answer with the JSON that ComfyUI has at the same path, without the query."""
    body = await services.commons.get(asked_path(exchange))
    await exchange.send(200, body, [("content-type", "application/json")])


async def system_stats(services: Services, exchange: Exchange) -> None:
    """Answer with the machine's versions and memory; command line and paths are for who may monitor the machine."""
    if Scope.MONITOR in exchange.who.scopes:
        await same_path(services, exchange)
        return
    stats = orjson.loads(await services.commons.get(asked_path(exchange)))
    await exchange.send_json(machine_facts.for_clients(stats))


async def template_file(services: Services, exchange: Exchange) -> None:
    """Answer with a workflow template, or the picture of one."""
    await pass_on(services, exchange, asked_path(exchange))


async def models_in(services: Services, exchange: Exchange) -> None:
    """Answer with the names of the models in one folder."""
    # ComfyUI keeps the nodes' code among its model folders.
    if exchange.params["folder"] == "custom_nodes":
        raise Problem(Code.NOT_FOUND)
    await same_path(services, exchange)


async def metadata_of(services: Services, exchange: Exchange) -> None:
    """Answer with the metadata in the header of a model file."""
    filename = exchange.query.get("filename", "")
    if exchange.params["folder"] == "custom_nodes" or not is_safe_name(filename):
        raise Problem(Code.NOT_FOUND)
    await pass_on(services, exchange, asked_path(exchange), {"filename": filename}, only_json=True)


async def free(services: Services, exchange: Exchange) -> None:
    """Have ComfyUI unload models and free memory: everybody's next job pays for it, so it is an admin's to do."""
    body = await exchange.json(services.settings.max_body_bytes)
    flags = {name: body[name] for name in ("unload_models", "free_memory") if isinstance(body.get(name), bool)}
    headers = {"Content-Type": "application/json"}
    await note(services, exchange, Act.MEMORY_FREED, "comfyui", **flags)
    status, _ = await services.upstream.call(Request("POST", "/free", headers=headers, body=orjson.dumps(flags)))
    if status != 200:
        raise Problem(Code.UPSTREAM_ERROR)
    await exchange.send_json({})
