"""`make key`: what is asked of the gateway, and what is printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from stacks.cli.__main__ import parser
from stacks.cli.commands import key
from stacks.cli.errors import CliError

ADMIN, CLIENT = "cgw_live_admin-canary", "cgw_live_client-canary"


class Handler(BaseHTTPRequestHandler):
    """Answers as a gateway with three keys, two to a page."""

    asked: list[tuple[str, str, Any]] = []  # noqa: RUF012 - a test's

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.asked.append((self.command, self.path, body))
        right = self.headers["authorization"] == f"Bearer {ADMIN}"
        status, answer = self._found() if right else (401, {"detail": "The key is mistyped."})
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _found(self) -> tuple[int, dict[str, Any]]:
        if self.command == "GET":
            item = dict.fromkeys(key.COLUMNS, self.path[-1]) | {"hint": "x"}
            return 200, {"items": [item], "next_cursor": None if "cursor" in self.path else "next"}
        if "absent" in self.path:
            return 404, {"detail": "Not found, or not visible to this key."}
        return 201, {"id": "4fPq9sZ1", "key": "cgw_live_new", "previous_until": "2027-01-01T00:00:00Z"}

    do_GET = do_POST = _answer  # noqa: N815 - the library's own names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        """Say nothing."""


class Outputs:
    """The engine, as far as outputs go."""

    def __init__(self, url: str, admin: str = ADMIN) -> None:
        self.values = {"apiKey": CLIENT, "adminKey": admin, "gatewayUrl": url}

    def query(self, *arguments: str) -> str:
        return f"{self.values[arguments[2]]}\n"


@pytest.fixture
def url() -> Iterator[str]:
    Handler.asked = []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(url: str, *arguments: str, admin: str = ADMIN) -> None:
    options: argparse.Namespace = parser().parse_args(["key", *arguments])
    key.run(Outputs(url, admin), options)  # type: ignore[arg-type]


def test_without_options_it_prints_the_client_key(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(url)
    assert (capsys.readouterr().out, Handler.asked) == (f"{CLIENT}\n", [])


def test_it_issues_a_key(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(url, "--name", "my bot", "--scopes", "read, jobs", "--owner", "ada", "--expires", "2030-01-31",
        "--limits", '{"max_queued": 5}')  # fmt: skip
    order = {
        "name": "my bot", "scopes": ["read", "jobs"], "owner": "ada", "expires_at": "2030-01-31T00:00:00+00:00",
        "limits": {"max_queued": 5},
    }  # fmt: skip
    assert Handler.asked == [("POST", "/api/gateway/keys", order)]
    assert capsys.readouterr().out == "cgw_live_new\n", "the key alone, for scripts"


def test_it_rotates_revokes_and_lists(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(url, "--rotate", "4fPq9sZ1")
    assert capsys.readouterr().out == "cgw_live_new\n"
    run(url, "--revoke", "4fPq9sZ1")
    capsys.readouterr()
    run(url, "--list")
    assert [path for _, path, _ in Handler.asked] == [
        "/api/gateway/keys/4fPq9sZ1/rotate",
        "/api/gateway/keys/4fPq9sZ1/revoke",
        "/api/gateway/keys?limit=200",
        "/api/gateway/keys?limit=200&cursor=next",
    ]
    assert [item["id"] for item in json.loads(capsys.readouterr().out)] == ["0", "t"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "x", "--revoke", "y"], "give only one of"),
        (["--scopes", "read"], "give its NAME"),
        (["--name", "x", "--expires", "soon"], "not an expiry time"),
        (["--limits", "{}"], "give its NAME"),
        (["--name", "x", "--limits", "max_queued=5"], "LIMITS: .*write JSON"),
        (["--revoke", "absent"], "not visible to this key"),
    ],
)
def test_refusals_are_reported(url: str, arguments: list[str], words: str) -> None:
    with pytest.raises(CliError, match=words):
        run(url, *arguments)


def test_no_error_holds_a_key(url: str) -> None:
    with pytest.raises(CliError, match="mistyped") as refused:
        run(url, "--list", admin="cgw_live_wrong-canary")
    with pytest.raises(CliError, match="did not answer") as away:
        run("http://127.0.0.1:1", "--list")
    assert "canary" not in f"{refused.value}{away.value}"
