"""Logins and browser sessions of users, and forged tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx

from provisioning.gateway.core.scopes import Role
from provisioning.gateway.sessions import tokens
from tests.unit.gateway.accounts import add_user
from tests.unit.gateway.conftest import HOST, PEPPER, Gate

LOGIN = "/api/gateway/login"
PASSWORD = "correct horse battery"
ORIGIN = {"Origin": f"http://{HOST}"}


async def log_in(gate: Gate, user: str, password: str = PASSWORD) -> httpx.Response:
    return await gate.client(None).post(LOGIN, json={"user": user, "password": password})


async def person(gate: Gate, name: str = "ada", role: Role = Role.OPERATOR) -> str:
    """Make a user, log in and return the token."""
    await add_user(gate, name, role, password=PASSWORD)
    answer = await log_in(gate, name)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def forged(claims: dict[str, Any], key: bytes = b"", algorithm: str = "HS256", **header: object) -> str:
    """Return a token in which one thing is not as ours."""
    key = key or tokens.signing_key(PEPPER)
    parts = [json.dumps({"alg": algorithm, "typ": "JWT", **header}), json.dumps(claims)]
    signed = b".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in parts)
    digests = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
    tail = b"" if algorithm == "none" else hmac.new(key, signed, digests[algorithm]).digest()
    return f"{signed.decode()}.{base64.urlsafe_b64encode(tail).rstrip(b'=').decode()}"


async def open_session(gate: Gate, form: dict[str, str], **headers: str) -> httpx.Response:
    return await gate.client(None, **(ORIGIN | headers)).post("/login", data=form)


def cookie(answer: httpx.Response) -> dict[str, str]:
    """Return the header that a browser would send from now on."""
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
