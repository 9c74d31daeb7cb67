"""A gateway process that receives secrets and canaries in every input reveals none in logs, responses or metrics."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from provisioning.gateway.accounts import key_format
from tests.unit.gateway.conftest import PEPPER, until
from tests.unit.gateway.fake import PNG, FakeComfyUI
from tests.unit.gateway.gateway_process import Setup, prepare, serving
from tests.unit.gateway.raw.connections import PROBE, talk
from tests.unit.gateway.raw.requests import head
from tests.unit.gateway.receiver import Receiver, receiving

CANARY = "canary"
PASSWORD = "canary-password-long"
LOCAL: dict[str, Any] = {"webhook_allow_http": True, "webhook_allow_private": True, "webhook_ports": []}
GRAPH = {
    "1": {"class_type": "CLIPTextEncode", "inputs": {"text": "canary in the prompt"},
    "_meta": {"title": "canary title"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "canary-file"}},
}  # fmt: skip

FAULT = {
    "exception_message": CANARY, "exception_type": CANARY, "traceback": [CANARY], "current_inputs": {"text": [CANARY]},
}  # fmt: skip


@dataclass
class Client:
    """A client that sends secrets in every input and records the responses."""

    setup: Setup
    http: httpx.AsyncClient
    anyone: httpx.AsyncClient
    """Sends no key."""
    fake: FakeComfyUI
    secrets: set[str] = field(default_factory=set)
    """Secrets that may appear only in the response that issued them."""
    refused: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - what httpx takes
        """Send a request."""
        answer = await self.http.request(method, path, **more)
        if answer.status_code >= 400:
            self.refused.append(answer.text)
        return answer

    async def nobody(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - likewise
        """Send a request without a key."""
        self.anyone.cookies.clear()
        answer = await self.anyone.request(method, path, **more)
        if answer.status_code >= 400:
            self.refused.append(answer.text)
        return answer


async def in_every_place(client: Client) -> None:
    """Send a valid and an unknown key in every wrong place."""
    for token in (client.setup.key, key_format.mint(), f"{client.setup.key[:-1]}_"):
        client.secrets.add(token)
        everywhere = dict.fromkeys(
            ("User-Agent", "Referer", "Cookie", "X-Forwarded-For", "Idempotency-Key", "X-Request-Id", "From"),
            f"{CANARY} {token}",
        )
        for method, path in (
            ("GET", "/queue"),
            ("POST", "/prompt"),
            ("GET", f"/canary/{token}"),
            ("HEAD", f"/{token}"),
        ):
            await client.nobody(method, path, headers=everywhere)
            await client.ask(method, path, headers=everywhere | {"Idempotency-Key": CANARY})
            await client.nobody(method, path, params={"api_key": token})
            await client.nobody(method, path, headers={"X-API-Key": token + "="})
            await client.nobody(method, path, headers={"Authorization": f"Basic {token}"})
            await client.nobody(method, path, headers={"Host": f"{CANARY}.test", "X-API-Key": token})
        for raw in (f"/{token}\x00{CANARY}", f"http://{CANARY}/{token}", f"/{CANARY}?{token}\x01"):
            await talk(client.setup.port, head(raw, f"X-API-Key: {token}", f"X: {CANARY}\x00") + PROBE)


async def people(client: Client) -> None:
    """Create a user, log in with right and wrong passwords, and use valid and invalid tokens."""
    client.secrets |= {PASSWORD, "canary-wrong-password"}
    made = await client.ask("POST", "/api/gateway/users", json={"name": "ada", "role": "admin", "password": PASSWORD})
    assert made.status_code == 201, made.text
    for password in (PASSWORD, "canary-wrong-password"):
        answer = await client.nobody("POST", "/api/gateway/login", json={"user": "ada", "password": password})
        form = {"user": "ada", "password": password, "key": "", "next": f"/{CANARY}"}
        origin = {"Origin": f"http://127.0.0.1:{client.setup.port}"}
        page = await client.nobody("POST", "/login", data=form, headers=origin)
        if password == PASSWORD:
            token, cookie = answer.json()["access_token"], page.headers["set-cookie"].partition(";")[0]
            client.secrets |= {token, cookie.partition("=")[2]}
            for text in (token, f"{token[:-1]}_", token + "x"):
                client.secrets.add(text)
                await client.nobody("GET", "/queue", headers={"Authorization": f"Bearer {text}"})
                await client.nobody("GET", "/queue", params={"jwt": text})
            await client.nobody("GET", "/docs", headers={"Cookie": cookie + "x"})
    await client.ask("POST", "/api/gateway/users", json={"name": "bea", "password": PASSWORD, "role": PASSWORD})


async def addresses(client: Client) -> None:
    """Use valid and invalid tickets and signed URLs."""
    made = (await client.ask("POST", "/api/gateway/tickets", json={"path": "/ws"})).json()
    signed = await client.ask(
        "POST", "/api/gateway/signed-urls", json={"url": f"/view?filename={CANARY}.png", "seconds": 60}
    )
    signature = signed.json()["url"].partition("signature=")[2]
    client.secrets |= {made["ticket"], signature}
    for _ in range(2):
        try:
            async with connect(
                f"ws://127.0.0.1:{client.setup.port}{made['url']}&clientId={CANARY}", proxy=None
            ) as socket:
                await socket.send(json.dumps({"type": CANARY, "data": client.setup.key}))
                await socket.send(b"\xff" + CANARY.encode())
                await socket.recv()
        except WebSocketException:
            continue
    for url in (signed.json()["url"], signed.json()["url"] + CANARY):
        await client.nobody("GET", url)
    await client.nobody("GET", f"/queue?{urlencode({'ticket': made['ticket'] + 'x'})}")


async def work(client: Client, receiver: Receiver) -> None:
    """Run jobs that succeed and fail, with webhooks that are delivered and refused."""
    receiver.status = 500
    hook = {"url": f"{receiver.url}?token={CANARY}-hook", "description": "bot"}
    made = await client.ask("POST", "/api/gateway/webhooks", json=hook)
    assert made.status_code == 201, made.text
    client.secrets |= {made.json()["secret"], f"{CANARY}-hook"}
    for url in (f"http://user:{CANARY}-hook@127.0.0.1:1/", f"ftp://{CANARY}-hook/", f"http://{CANARY}-hook.invalid/x"):
        order = {"workflow": GRAPH, "webhook_url": url}
        await client.ask("POST", "/api/v2/jobs", json=order, headers={"Idempotency-Key": f"{CANARY}-{len(url)}"})
    body = {"prompt": GRAPH, "client_id": CANARY, "extra_data": {"api_key_comfy_org": CANARY}, "number": CANARY}
    for _ in range(2):
        await client.ask("POST", "/prompt", json=body)
    for how in (None, FAULT, None):
        await until(lambda: client.fake.pending)
        job = client.fake.pending[0][1]
        await client.fake.begin(job)
        await client.fake.end(job, error=how)
    await until(lambda: len(receiver.got) >= 1)
    files = {"image": (f"{CANARY}.png", PNG)}
    await client.ask("POST", "/upload/image", files=files)
    await client.ask("POST", "/upload/image", files={"image": (f"../{CANARY}.exe", CANARY.encode())})
    await client.ask("GET", "/view", params={"filename": f"../{CANARY}"})
    await client.ask("POST", "/prompt", json={"prompt": {"1": {"class_type": CANARY, "inputs": CANARY}}})
    await client.ask("POST", "/prompt", content=f'{{"prompt": "{CANARY}'.encode())


async def nonsense(client: Client) -> None:
    """Let ComfyUI send malformed messages that contain the canary."""
    job = (await client.ask("POST", "/prompt", json={"prompt": GRAPH})).json()["prompt_id"]
    await until(lambda: any(item[1] == job for item in client.fake.pending))
    status = {"status_str": CANARY, "messages": [["execution_start", {"timestamp": CANARY}], CANARY]}
    client.fake.history[job] = {"status": status, "outputs": CANARY, "prompt": CANARY}
    await client.fake.say(json.dumps({"type": "execution_start", "data": {"prompt_id": job, "timestamp": CANARY}}))
    await client.fake.say(
        json.dumps({"type": "executed", "data": {"prompt_id": job, "output": CANARY, "node": [CANARY]}})
    )
    await client.fake.say(json.dumps({"type": "progress", "data": {"prompt_id": job, "value": CANARY, "max": {}}}))
    await client.ask("GET", f"/history/{job}")
    client.fake.prompt_answer = (400, {"error": CANARY, "node_errors": CANARY})
    await client.ask("POST", "/prompt", json={"prompt": GRAPH})
    client.fake.prompt_answer = (500, [CANARY])
    await client.ask("POST", "/prompt", json={"prompt": GRAPH})


@pytest.fixture
def setup(comfy: tuple[FakeComfyUI, str], tmp_path: Path) -> Setup:
    return prepare(tmp_path, comfy[1], ("client", "admin"), **LOCAL)


@pytest.mark.slow
async def test_no_secret_or_prompt_is_in_any_log_response_or_metric(
    comfy: tuple[FakeComfyUI, str], setup: Setup, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as told:
        async with serving(setup, told), setup.client() as http, setup.client() as anyone, receiving() as receiver:
            del anyone.headers["Authorization"]
            client = Client(setup, http, anyone, comfy[0], {setup.key, PEPPER})
            await in_every_place(client)
            await people(client)
            await addresses(client)
            await work(client, receiver)
            await nonsense(client)
            metrics = (await client.ask("GET", "/metrics")).text
            audit = (await client.ask("GET", "/api/gateway/audit")).text
    lines = log.read_text()
    assert lines.count('"event":"request"') > 100, "the log was on"
    assert [line for line in lines.splitlines() if CANARY in line.lower()] == []
    assert CANARY not in metrics
    for place in (lines, metrics, audit, *client.refused):
        assert [secret for secret in client.secrets if secret in place] == []
