"""The files of the editor's page: older editors have hundreds of libraries and an import map."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.unit.gateway.conftest import Gate

IMPORTS = b'{"imports": {"vue": "./assets/lib/vue/dist/vue.js"}}'
LIBRARY = "/assets/lib/@primevue/forms/resolvers/zod/index.mjs"


async def test_the_policy_allows_the_pages_import_map(gate: Gate) -> None:
    page = b'<script type="importmap">' + IMPORTS + b"</script><script>start()</script>"
    gate.comfy.nonsense = {"/": ("text/html", page)}
    policy = (await gate.admin.get("/comfy/")).headers["content-security-policy"]
    for script in (IMPORTS, b"start()"):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" in policy


@pytest.mark.parametrize("overrides", [{"rate_limit_per_minute": 10}])
async def test_editor_files_do_not_count_as_requests(gate: Gate) -> None:
    gate.comfy.nonsense = {"/assets": ("text/javascript", b"export {}")}
    for _ in range(50):
        answer = await gate.admin.get(f"/comfy{LIBRARY}")
        assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache", "its name has no content hash"
    assert "files" in answer.headers["ratelimit-policy"]
    assert (await gate.admin.get("/queue")).status_code == 200
