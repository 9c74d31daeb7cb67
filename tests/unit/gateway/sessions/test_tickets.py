"""Tickets and signed URLs: paths, number of uses, expiry and owner."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from provisioning.gateway.accounts import key_format
from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.sessions.tickets import SECONDS, Tickets
from tests.unit.gateway.accounts import issue
from tests.unit.gateway.conftest import HOST, PEPPER, Gate, finish, submit
from tests.unit.gateway.fake import PNG
from tests.unit.gateway.problems import code

TICKETS = "/api/gateway/tickets"
SIGNED = "/api/gateway/signed-urls"


async def ticket(gate: Gate, path: str, token: str | None = None) -> str:
    answer = await gate.client(token or gate.keyring.alice).post(TICKETS, json={"path": path})
    assert answer.status_code == 201, answer.text
    assert answer.json()["url"] == f"{path}?{urlencode({'ticket': answer.json()['ticket']})}"
    return str(answer.json()["ticket"])


async def sign(gate: Gate, url: str, seconds: int = 60, token: str | None = None) -> str:
    answer = await gate.client(token or gate.keyring.alice).post(SIGNED, json={"url": url, "seconds": seconds})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["url"])


async def output(gate: Gate) -> tuple[str, dict[str, Any]]:
    """Run a job that saves an image; return its asset's URL and ComfyUI's name of it."""
    job = await submit(gate.alice)
    await finish(gate, job)
    shown = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()
    image = (await gate.alice.get(f"/history/{job}")).json()[job]["outputs"]["9"]["images"][0]
    return f"/api/v2/assets/{shown['outputs'][0]['id']}/content", image


async def test_an_outputs_url_can_be_signed(gate: Gate) -> None:
    job = await submit(gate.alice)
    await finish(gate, job)
    whole = (await gate.alice.get(f"/api/v2/jobs/{job}")).json()["outputs"][0]["url"]
    assert whole.startswith(f"https://{HOST}/api/v2/assets/")
    signed = await sign(gate, whole)
    assert signed.startswith(f"{whole}?by=")
    assert (await gate.client(None).get(signed.removeprefix(f"https://{HOST}"))).content == PNG
    for other in (whole.replace(HOST, "evil.test"), whole.replace(HOST, f"{HOST}@evil.test"), f"https://{HOST}/queue"):
        assert code(await gate.alice.post(SIGNED, json={"url": other})) == (400, "invalid_request"), other


async def test_a_ticket_is_single_use(gate: Gate) -> None:
    job = await submit(gate.alice)
    text = await ticket(gate, "/queue")
    nobody = gate.client(None)
    assert job in (await nobody.get("/queue", params={"ticket": text})).text
    assert code(await nobody.get("/queue", params={"ticket": text})) == (401, "invalid_ticket")


async def test_concurrent_uses_of_a_ticket_succeed_once(gate: Gate) -> None:
    text, nobody = await ticket(gate, "/queue"), gate.client(None)
    answers = await asyncio.gather(*(nobody.get("/queue", params={"ticket": text}) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9


async def test_a_used_ticket_is_refused_by_every_process(gate: Gate) -> None:
    """Another gateway on the same database accepts it once, and then all refuse it."""
    text = await ticket(gate, "/queue")
    other = Tickets(PEPPER, KeyStore(gate.database, PEPPER, gate.clock))
    assert (await other.spend(text, "/queue")).owner == "alice"
    assert code(await gate.client(None).get("/queue", params={"ticket": text})) == (401, "invalid_ticket")
    with pytest.raises(Problem) as refused:
        await other.spend(text, "/queue")
    assert refused.value.code is Code.INVALID_TICKET


async def test_a_ticket_is_refused_for_other_paths_and_methods(gate: Gate) -> None:
    nobody = gate.client(None)
    for path in ("/history", "/api/queue", "/queue/", "/metrics"):
        answer = await nobody.get(path, params={"ticket": await ticket(gate, "/queue")})
        assert code(answer) == (401, "invalid_ticket"), path
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await nobody.request(method, "/queue", params={"ticket": await ticket(gate, "/queue")}, json={})
        assert answer.status_code == 401, method
    assert code(await nobody.get("/metrics", params={"ticket": await ticket(gate, "/metrics")})) == (
        403,
        "insufficient_scope",
    )
    both = await gate.alice.get("/queue", params={"ticket": await ticket(gate, "/queue")})
    assert code(both) == (400, "invalid_request"), "one credential"


async def test_a_ticket_expires_and_ends_with_its_key(gate: Gate) -> None:
    made = await issue(gate.admin)
    late, revoked = [await ticket(gate, "/queue", made["key"]) for _ in range(2)]
    gate.clock.advance(SECONDS)
    assert code(await gate.client(None).get("/queue", params={"ticket": late})) == (401, "invalid_ticket")
    fresh = await ticket(gate, "/queue", made["key"])
    await gate.admin.post(f"/api/gateway/keys/{made['id']}/revoke")
    for text in (fresh, revoked):
        assert code(await gate.client(None).get("/queue", params={"ticket": text})) == (401, "invalid_ticket")


async def test_a_changed_ticket_is_refused(gate: Gate) -> None:
    text = await ticket(gate, "/queue")
    changed = [
        text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :] for place in range(4, len(text) - 1, 7)
    ]
    for trick in [*changed, text[:-1], text[4:], "cgt_", "cgt_!", "x" * 5000, text + "A"]:
        answer = await gate.client(None).get("/queue", params={"ticket": trick})
        assert code(answer) == (401, "invalid_ticket"), trick


async def test_used_tickets_are_deleted_after_they_expire(gate: Gate) -> None:
    for _ in range(3):
        await gate.client(None).get("/queue", params={"ticket": await ticket(gate, "/queue")})
        gate.clock.advance(3 * SECONDS)
    assert gate.rows("SELECT count(*) FROM spent_tickets") == [(1,)]


async def test_a_socket_opened_with_a_ticket_ends_with_the_key(gate: Gate, port: int) -> None:
    made = await issue(gate.admin)
    url = f"ws://127.0.0.1:{port}/ws?clientId=a&ticket={await ticket(gate, '/ws', made['key'])}"
    async with connect(url) as socket:
        assert '"status"' in str(await socket.recv())
        with pytest.raises(InvalidStatus, match="401"):
            await connect(url)
        await gate.admin.post(f"/api/gateway/keys/{made['id']}/revoke")
        async with asyncio.timeout(60):
            await socket.wait_closed()
    assert socket.close_code == 1008


async def test_a_signed_url_returns_the_file(gate: Gate) -> None:
    content, image = await output(gate)
    for url in (content, f"/view?{urlencode(image)}", f"/api/view?{urlencode(image)}"):
        signed = await sign(gate, url)
        for client in (gate.client(None), gate.client(None)):
            answer, own = await client.get(signed), await gate.alice.get(url)
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert own.headers["cross-origin-resource-policy"] == "same-origin"
            assert (answer.status_code, answer.content) == (own.status_code, own.content) != (401, b"")
        assert (await gate.client(None).head(signed)).status_code == 200
        assert (await gate.client(None).post(signed)).status_code in {401, 405}
    assert gate.keyring.alice not in signed


async def test_a_signature_is_valid_for_one_url_only(gate: Gate) -> None:
    content, image = await output(gate)
    signed = urlsplit(await sign(gate, f"/view?{urlencode(image)}"))
    query = {name: values[0] for name, values in parse_qs(signed.query).items()}
    tricks = [
        {**query, "filename": "other.png"},
        {**query, "subfolder": "other"},
        {**query, "preview": "webp"},
        {**query, "expires": str(int(query["expires"]) + 3600)},
        {**query, "expires": "x"},
        {**query, "expires": ""},
        {**query, "by": key_format.key_id(gate.keyring.bob) or ""},
        {**query, "by": "ses_x"},
        {**query, "signature": ""},
        {**query, "signature": query["signature"][:-1] + "!"},
        {name: value for name, value in query.items() if name != "expires"},
    ]
    for trick in tricks:
        assert code(await gate.client(None).get("/view", params=trick)) == (401, "signature_invalid"), trick
    for path in ("/api/view", content):
        assert code(await gate.client(None).get(path, params=query)) == (401, "signature_invalid"), path
    assert code(await gate.client(None).get("/queue", params=query)) == (401, "missing_credentials"), "no file"
    assert (await gate.client(None).get("/view", params=query)).status_code == 200


async def test_a_signed_url_shows_only_files_of_its_signer(gate: Gate) -> None:
    content, image = await output(gate)
    for url in (content, f"/view?{urlencode(image)}"):
        theirs = await sign(gate, url, token=gate.keyring.bob)
        assert (await gate.client(None).get(theirs)).status_code == 404


async def test_a_signed_url_expires_and_ends_with_its_key(gate: Gate) -> None:
    made = await issue(gate.admin, scopes=["operate", "read"])
    content, _ = await output(gate)
    first, second = [await sign(gate, content, seconds, made["key"]) for seconds in (30, 3600)]
    gate.clock.advance(30)
    assert code(await gate.client(None).get(first)) == (401, "signature_expired")
    assert (await gate.client(None).get(second)).status_code == 200
    await gate.admin.post(f"/api/gateway/keys/{made['id']}/revoke")
    assert code(await gate.client(None).get(second)) == (401, "signature_invalid")


@pytest.mark.parametrize(
    "order",
    [
        {"url": "/queue"}, {"url": "/ws"}, {"url": "//evil.test/view"}, {"url": "https://evil.test/view"},
        {"url": "/view/../queue"}, {"url": "/view?a=1&a=2"}, {"url": "/view#x"},
        {"url": "/view", "seconds": 0}, {"url": "/view", "seconds": 3601},
    ],
)  # fmt: skip
async def test_urls_that_cannot_be_signed(gate: Gate, order: dict[str, object]) -> None:
    assert code(await gate.alice.post(SIGNED, json=order)) == (400, "invalid_request")


async def test_a_key_without_read_scope_cannot_sign(gate: Gate) -> None:
    made = await issue(gate.admin, scopes=["jobs"])
    assert code(await gate.client(made["key"]).post(SIGNED, json={"url": "/view"})) == (403, "insufficient_scope")


async def test_keys_in_any_query_parameter_are_refused(gate: Gate, port: int) -> None:
    for name in ("token", "key", "api_key", "apiKey", "access_token", "Authorization", "%6bey"):
        answer = await gate.alice.get(f"/queue?{name}=x")
        assert code(answer) == (400, "key_in_url"), name
    hidden = await gate.alice.get("/queue", params={"harmless": gate.keyring.alice})
    assert code(hidden) == (400, "key_in_url")
    with pytest.raises(InvalidStatus, match="400"):
        await connect(f"ws://127.0.0.1:{port}/ws?token={gate.keyring.alice}", additional_headers={"Host": HOST})
