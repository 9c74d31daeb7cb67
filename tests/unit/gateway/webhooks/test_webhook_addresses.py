"""Addresses that webhooks may not use, and delivery to the checked address."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.webhooks.sender import Sender
from provisioning.gateway.webhooks.ssrf import Address, AddressRules, Guard, is_public
from tests.unit.gateway.conftest import Gate, ManualClock, until, workflow
from tests.unit.gateway.receiver import Receiver, receiving
from tests.unit.gateway.webhook_requests import DELIVERIES, HOOKS, create

PUBLIC = ipaddress.ip_address("93.184.216.34")
INNER = ipaddress.ip_address("127.0.0.1")


@pytest.fixture
def internal() -> dict[str, Any]:
    return {"webhook_poll_seconds": 0.02}


FORBIDDEN_URLS = [
    "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com", "x",
    "", " https://example.com", "https://", "https:///x", "https://user@example.com/", "https://:pw@example.com/",
    "https://user:pw@example.com/", "https://example.com:22/", "https://example.com:6379/", "https://example.com:0/",
    "https://example.com/#fragment", "https://ex\u00e4mple.com/", "https://example.com/\n", "https://example.com/\r\nx",
    "https://example.com:99999/", "https://[::1", "https://" + "a" * 2048,
    "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/",
    "https://0.0.0.0/", "https://10.1.2.3/", "https://172.16.0.1/", "https://192.168.1.1/", "https://169.254.169.254/",
    "https://100.64.0.1/", "https://100.127.255.254/", "https://192.0.0.1/", "https://198.18.0.1/",
    "https://192.0.2.1/", "https://224.0.0.1/", "https://240.0.0.1/", "https://255.255.255.255/",
    "https://[::1]/", "https://[::]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fc00::1]/",
    "https://[fd12:3456::1]/", "https://[ff02::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:10.0.0.1]/",
    "https://[::ffff:169.254.169.254]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/", "https://[2002:a9fe:a9fe::]/", "https://[::127.0.0.1]/", "https://[fec0::1]/",
    "https://[2001:db8::1]/", "https://localhost/", "https://localhost./", "https://inner.test/",
    "https://mixed.test/",
]  # fmt: skip


async def names(host: str, _port: int) -> list[Address]:
    """Resolve names like a resolver, unusual notations of addresses included, without a network."""
    found = {"example.com": [PUBLIC], "mixed.test": [PUBLIC, INNER]}
    if host in found:
        return found[host]
    return [INNER]


@pytest.mark.parametrize("overrides", [{}])
async def test_forbidden_webhook_urls_are_refused(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate.app.services.webhooks.guard, "_lookup", names)
    assert (await gate.alice.post(HOOKS, json={"url": "https://example.com/hook?a=b"})).status_code == 201
    for url in FORBIDDEN_URLS:
        answer = await gate.alice.post(HOOKS, json={"url": url})
        assert answer.status_code == 422, url
        assert answer.json()["code"] in {"webhook_url_forbidden", "invalid_field"}, url
        answer = await gate.alice.post("/api/v2/jobs", json={"workflow": workflow(), "webhook_url": url})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "webhook_url_forbidden"), url
        answer = await gate.alice.post("/api/gateway/batches", json={"workflows": [workflow()], "webhook_url": url})
        assert (answer.status_code, answer.json()["code"]) == (422, "webhook_url_forbidden"), url
    [made] = (await gate.alice.get(HOOKS)).json()["webhooks"]
    answer = await gate.alice.patch(f"{HOOKS}/{made['id']}", json={"url": "https://10.0.0.1/"})
    assert answer.json()["code"] == "webhook_url_forbidden"
    assert gate.comfy.asked("POST", "/prompt") == []


@pytest.mark.parametrize("overrides", [{"webhook_allow_http": True, "webhook_ports": []}])
async def test_a_name_that_later_resolves_to_a_private_address_is_refused(
    gate: Gate, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Address] = []

    async def rebinding(_host: str, _port: int) -> list[Address]:
        asked.append(INNER if asked else PUBLIC)
        return [asked[-1]]

    monkeypatch.setattr(gate.app.services.webhooks.guard, "_lookup", rebinding)
    made = await create(gate.alice, f"http://rebind.test:{receiver.port}/")
    test = (await gate.alice.post(f"{HOOKS}/{made['id']}/test")).json()
    await until(lambda: gate.rows("SELECT 1 FROM webhook_attempts"))
    shown = (await gate.alice.get(f"{DELIVERIES}/{test['id']}")).json()
    assert shown["attempts"][0]["error"] == "the host is not on the public internet"
    assert receiver.got == []
    assert asked == [PUBLIC, INNER], "one lookup per connection decides"


async def test_all_addresses_of_a_name_are_checked() -> None:
    guard = Guard(AddressRules(http=False, private=False, ports=frozenset({443})), names)
    assert await guard.check("https://example.com/a?b=c") == "https://example.com/a?b=c"
    with pytest.raises(Problem) as refused:
        await guard.check("https://mixed.test/")
    assert refused.value.code is Code.WEBHOOK_URL_FORBIDDEN


async def test_an_unresolvable_name_is_accepted_and_checked_at_delivery() -> None:
    async def nowhere(_host: str, _port: int) -> list[Address]:
        raise OSError("no such name")

    guard = Guard(AddressRules(http=False, private=False, ports=frozenset()), nowhere)
    assert await guard.check("https://later.test/x") == "https://later.test/x"


@given(st.ip_addresses(v=6))
def test_addresses_with_an_embedded_private_address_are_not_public(address: ipaddress.IPv6Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_an_embedded_address_decides(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for hidden in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert is_public(ipaddress.IPv6Address(hidden)) <= is_public(address)


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's TLS context with a certificate for a name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


@pytest.mark.parametrize(
    ("host", "error"),
    [("hook.test", None), ("other.test", "the TLS certificate is invalid or not trusted")],
)
async def test_the_checked_address_is_used_and_the_name_verified(tmp_path: Path, host: str, error: str | None) -> None:
    async def pinned(_host: str, _port: int) -> list[Address]:
        return [INNER]

    server, client = certificate(tmp_path, "hook.test")
    guard = Guard(AddressRules(http=False, private=True, ports=frozenset()), pinned)
    sender = Sender(guard, ManualClock(), 5.0, client)
    await sender.start()
    try:
        async with receiving(server) as receiver:
            result = await sender.post(f"https://{host}:{receiver.port}/", {}, b"{}")
    finally:
        await sender.close()
    assert (result.error, len(receiver.got)) == (error, 0 if error else 1)
    if not error:
        assert receiver.got[0].headers["Host"] == f"{host}:{receiver.port}"
