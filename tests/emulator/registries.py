"""Credentials of container registries; their secrets are never returned."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import web

from tests.emulator import emulator
from tests.emulator.emulator import account_of, listed, one_of
from tests.emulator.identifiers import new_id
from tests.emulator.presets import Credential
from tests.emulator.problems import ApiError

routes = web.RouteTableDef()


def view(credential: Credential) -> dict[str, Any]:
    """Return the credentials in the document's form: nothing but their name."""
    return {"id": credential.id, "name": credential.name}


@routes.get("/v2/registries")
async def list_registries(request: web.Request) -> web.Response:
    """List the account's credentials."""
    known = emulator.of(request).state.registries.values()
    return web.json_response({"registries": [view(credential) for credential in listed(request, known)]})


@routes.post("/v2/registries")
async def create_registry(request: web.Request) -> web.Response:
    """Store credentials."""
    emu, body = emulator.of(request), await request.json()
    known = [c for c in emu.state.registries.values() if c.account == account_of(request) and c.ended_at is None]
    if body["name"] in {credential.name for credential in known}:
        raise ApiError(400, "registry auth name must be unique")
    secret = hashlib.sha256(f"{body['username']}\0{body['password']}".encode()).hexdigest()
    credential = Credential(new_id(10), account_of(request), body["name"], emu.clock.now(), secret)
    emu.state.registries[credential.id] = credential
    emu.state.save()
    return web.json_response(view(credential), status=201)


@routes.get("/v2/registries/{id}")
async def get_registry(request: web.Request) -> web.Response:
    """Show credentials, without what they are."""
    return web.json_response(view(of(request)))


@routes.delete("/v2/registries/{id}")
async def delete_registry(request: web.Request) -> web.Response:
    """Delete credentials that no pod uses; templates lose them without a word."""
    emu, credential = emulator.of(request), of(request)
    if any(pod.registry == credential.id for pod in emu.state.living_pods()):
        raise ApiError(400, "registry auth is in use by a pod")
    credential.ended_at = emu.clock.now()
    for template in emu.state.templates.values():
        if template.registry == credential.id:
            template.registry = None
    emu.state.save()
    return web.Response(status=204)


def of(request: web.Request) -> Credential:
    """Return the credentials a request names."""
    return one_of(request, emulator.of(request).state.registries, "registry")
