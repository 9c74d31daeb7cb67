"""WebSocket handshakes that must not be shaken."""

from __future__ import annotations

from tests.unit.gateway.raw.material import Material
from tests.unit.gateway.raw.requests import EITHER, HOST, MALFORMED, Raw, all_of, head

NONCE = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"
ASKED = ("Upgrade: websocket", "Connection: Upgrade")

PATHS = (
    "/ws", "/api/ws", "/comfy/ws", "/api/gateway/ws", "/api/gateway/events", "/queue", "/livez", "/readyz", "/login",
    "/", "/docs",
    "/ws/x", "/WS", "/ws/", "/internal/ws", "/errors/x", "/ws?clientId=admin", "/ws?ticket=", "/%77s",
)  # fmt: skip
NO_PATHS = (
    "//ws", "/./ws", "/livez/../ws", "/ws%00", "/ws%2f", "/livez%2f..%2fws", "/ws;a", "/%2e/ws", "/ws\\",
    "/livez;/../ws",
    "http://gateway.test/ws", "ws://gateway.test/ws", "*", "ws", "/ws#/livez", "/ws%",
)  # fmt: skip
ORIGINS = (
    "https://evil.test",
    "null",
    "http://gateway.test.evil.test",
    "file://",
    "http://gateway.test@evil.test",
    "gateway.test",
    "",
)


def shake(target: str, *lines: str, host: str = HOST, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    """Return a handshake."""
    return head(target, *ASKED, NONCE, VERSION, *lines, host=host, method=method, version=version)


def requests(material: Material) -> list[Raw]:
    """Return them."""
    key = f"X-API-Key: {material.key}"
    alive = f"Cookie: {material.cookies['alive']}"
    bad = material.dead | {"cut": material.key[:-1]}
    protocols = {
        form: shake("/ws", f"Sec-WebSocket-Protocol: {form.format(material.key)}")
        for form in ("{}", "bearer, {}", "key.{}", "base64url.bearer.authorization.{}")
    }
    cookies = {
        "on /ws": shake("/ws", alive, "Origin: http://gateway.test"), "without an origin": shake("/comfy/ws", alive),
        "from elsewhere": shake("/comfy/ws", alive, "Origin: https://evil.test"),
        "cross-site": shake("/comfy/ws", alive, "Origin: http://gateway.test", "Sec-Fetch-Site: cross-site"),
    }  # fmt: skip
    return [
        *all_of("socket of nobody", {path: shake(path) for path in PATHS}),
        *all_of("socket by a dodge", {path: shake(path, key) for path in NO_PATHS}, MALFORMED),
        *all_of("socket from elsewhere", {origin: shake("/ws", key, f"Origin: {origin}") for origin in ORIGINS}, {403}),
        *all_of("socket with a bad key", {name: shake("/ws", f"X-API-Key: {token}") for name, token in bad.items()}),
        *all_of(
            "socket by a token",
            {name: shake("/ws", f"Authorization: Bearer {text}") for name, text in material.tokens.items()},
            EITHER,
        ),
        *all_of("socket by a ticket", {name: shake(f"/ws?ticket={text}") for name, text in material.tickets.items()}),
        *all_of("socket by a protocol", protocols),
        *all_of("socket by a cookie", cookies, {401, 403}),
        *_broken(key),
    ]


def _broken(key: str) -> list[Raw]:
    """Return handshakes of somebody, each with a part that is not as it has to be."""
    twice = shake("/ws", key, key)
    named = {
        "posted": shake("/ws", key, method="POST"), "of HTTP/1.0": shake("/ws", key, version="HTTP/1.0"),
        "without a nonce": head("/ws", *ASKED, VERSION, key), "short nonce": head("/ws", *ASKED, VERSION,
        "Sec-WebSocket-Key: x", key),
        "two nonces": shake("/ws", NONCE, key), "two keys": twice,
        "empty token": shake("/ws?token=x"), "in the query": shake(f"/ws?token={key[11:]}"),
        "other host twice": shake("/ws", key, "Host: evil.test"),
        "with a body": shake("/ws", key, "Content-Length: 2") + b"{}", "in chunks": shake("/ws", key,
        "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    }  # fmt: skip
    version = head("/ws", *ASKED, NONCE, "Sec-WebSocket-Version: 8", key)
    plain = head("/ws", NONCE, VERSION, "Connection: Upgrade", key)
    return [
        *all_of("broken handshake", named, MALFORMED),
        *all_of(
            "broken handshake",
            {"old": version, "two versions": shake("/ws", VERSION, key), "without upgrade": plain},
            {400, 426},
        ),
        *all_of("handshake elsewhere", {"evil.test": shake("/ws", key, host="Host: evil.test")}, {421}),
    ]
