"""Every example of the served reference, pasted into a shell as it stands."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provisioning.gateway.docs.parameters import ASSET_ID, HASH, JOB_ID
from tests.integration.clients.site import Site, opened, until
from tests.unit.gateway.fake import PNG

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")

COMMANDS = re.compile(r"<pre[^>]*><code>(curl.*?)</code></pre>", re.DOTALL)
NAMED = re.compile(r'curl (?:-N )?(?:-X (?P<method>\w+) )?"\$GATEWAY(?P<path>[^"?]*)')

STREAM_SECONDS, ANSWER_SECONDS = 5, 120

KEY_ID, HOOK_ID, DELIVERY_ID = "4fPq9sZ1", "whe_0f3b6a1c9d2e4f5a6b7c8d9e", "whd_0f3b6a1c9d2e4f5a6b7c8d9e"

OTHERWISE = {
    "GET /ws": 426,
    "GET /api/gateway/ws": 426,
    "POST /logout": 409,
    "POST /api/v2/assets/from-path": 422,
    # What the stand-in does not have, and ComfyUI has.
    "GET /view_metadata/checkpoints": 404,
    f"GET /global_subgraphs/{JOB_ID}": 404,
    "GET /workflow_templates/checkpoints/portrait.json": 404,
    "GET /v2/userdata": 404,
    # Nobody has saved a workflow in the editor.
    "GET /userdata": 404,
    "GET /experiment/models": 404,
    "GET /experiment/models/checkpoints": 404,
}
"""What the example says where its request does not succeed."""

SAVE = "POST /userdata/portrait.json"
PERSONAL = ("POST /api/gateway/refresh", "POST /api/gateway/me/password", "POST /api/gateway/logout")
"""For people who logged in; a key has no login."""


@dataclass
class Shell:
    """Somebody who pastes commands."""

    folder: Path
    site: Site
    token: str
    known: dict[str, str] = field(default_factory=dict)
    """What the ids of the examples are called here."""

    def run(self, command: str) -> tuple[int, str]:
        """Run a command, with the ids of this gateway for those of the examples; returns status and body."""
        for example, own in self.known.items():
            command = command.replace(example, own)
        seconds = STREAM_SECONDS if command.startswith("curl -N ") else ANSWER_SECONDS
        command = command.replace("curl ", f"{CURL} -sS --max-time {seconds} -w '\n%{{http_code}}' ", 1)
        environ = {"PATH": os.environ["PATH"], "GATEWAY": self.site.url, "KEY": self.token}
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=self.folder, env=environ, capture_output=True, timeout=240, check=False
        )
        # 28: a stream that goes on until the time is over.
        assert done.returncode in {0, 28 if seconds == STREAM_SECONDS else 0}, done.stderr
        body, _, status = done.stdout.decode("utf-8", "replace").rpartition("\n")
        return int(status), body

    def made(self, command: str) -> dict[str, Any]:
        """Run a command that makes something; returns what it made."""
        status, body = self.run(command)
        assert status in {200, 201}, body
        answer: dict[str, Any] = json.loads(body)
        return answer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # The examples' webhook is called by a name that is looked up nowhere here.
    with opened(tmp_path_factory.mktemp("site"), webhook_allow_private=True) as opened_site:
        yield opened_site


@pytest.fixture
def shell(site: Site, tmp_path: Path) -> Shell:
    (tmp_path / "photo.png").write_bytes(PNG)
    return Shell(tmp_path, site, site.admin)


def examples(site: Site) -> dict[str, str]:
    """Return the command of every route, as the page shows it."""
    with site.client(site.admin) as client:
        page = client.get("/docs/reference").text
    commands = [html.unescape(re.sub(r"<[^>]+>", "", found)) for found in COMMANDS.findall(page)]
    return {name(command): command for command in commands}


def name(command: str) -> str:
    match = NAMED.match(command)
    assert match is not None, command
    implied = "POST" if " -d " in command or " -F " in command or "--data" in command else "GET"
    return f"{match['method'] or implied} {match['path']}"


@pytest.mark.slow
def test_every_example_works_when_pasted(shell: Shell) -> None:
    commands = examples(shell.site)
    make(shell, commands)
    later = [*(each for each in commands if each.startswith("DELETE") or each.endswith("/revoke")), *PERSONAL]
    for each in commands:
        if each not in later:
            check(shell, each, commands[each])
        if "/userdata/" in each:
            # One of these moves the file away that the next is about.
            shell.run(commands[SAVE])
    for each in later[: -len(PERSONAL)]:
        check(shell, each, commands[each])
    for each in PERSONAL:
        password = "a long enough one" if each != PERSONAL[-1] else "another long one"
        login = commands["POST /api/gateway/login"].replace("a long enough one", password)
        check(Shell(shell.folder, shell.site, shell.made(login)["access_token"]), each, commands[each])


def make(shell: Shell, commands: dict[str, str]) -> None:
    """Make what the other examples are about."""
    assert shell.run(commands[SAVE])[0] == 200
    job = shell.made(commands["POST /api/v2/jobs"])["id"]
    asset = shell.made(commands["POST /api/v2/assets"])
    batch = shell.made(commands["POST /api/gateway/batches"])["id"]
    hook = shell.made(commands["POST /api/gateway/webhooks"])["id"]
    key = shell.made(commands["POST /api/gateway/keys"])["id"]
    with shell.site.client(shell.site.admin) as client:
        user = {"name": "ada", "role": "operator", "password": "a long enough one"}
        assert client.post("/api/gateway/users", json=user).status_code == 201
        assert client.post(f"/api/gateway/webhooks/{hook}/test").is_success
        delivery = client.get("/api/gateway/webhook-deliveries").json()["deliveries"][0]["id"]
        until(lambda: client.get(f"/api/v2/jobs/{job}").json()["status"] == "succeeded", "the job's end")
    shell.known |= {
        f"batches/{JOB_ID}": f"batches/{batch}", JOB_ID: job, ASSET_ID: asset["id"], HASH: asset["hash"],
        KEY_ID: key, HOOK_ID: hook, DELIVERY_ID: delivery,
    }  # fmt: skip


def check(shell: Shell, name: str, command: str) -> None:
    status, body = shell.run(command)
    assert status == OTHERWISE.get(name) or (200 <= status < 400 and name not in OTHERWISE), (name, status, body[:500])
