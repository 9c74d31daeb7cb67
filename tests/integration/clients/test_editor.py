"""ComfyUI's own web editor, as Comfy-Org publishes it, behind the gateway and in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import comfyui_frontend_package  # type: ignore[import-untyped]
import httpx
import pytest
from playwright.sync_api import Browser, Page, Response, sync_playwright

from tests.integration.clients.site import PATIENCE_SECONDS, Site, opened, workflow

EDITOR = Path(comfyui_frontend_package.__file__).parent / "static"
CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
MILLISECONDS = PATIENCE_SECONDS * 1000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not here; Debian's package chromium has it")


@pytest.fixture(scope="module")
def editor_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened(tmp_path_factory.mktemp("editor"), flags=("--front-end-root", str(EDITOR))) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@dataclass
class Visit:
    """One page, and what went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", self._note)

    def _note(self, response: Response) -> None:
        if response.status >= 500:
            self.errors.append(f"{response.status} {response.url}")

    def open(self, site: Site) -> None:
        """Go to the editor, log in with a key where the way there leads by, and wait for the graph."""
        self.page.goto(f"{site.url}/comfy/", timeout=MILLISECONDS)
        self.page.get_by_label("key", exact=False).fill(site.admin, timeout=MILLISECONDS)
        self.page.get_by_role("button").first.click()
        self.page.wait_for_url("**/comfy/", timeout=MILLISECONDS)
        ready = "() => window.app && window.app.graph && document.querySelector('canvas')"
        self.page.wait_for_function(ready, timeout=MILLISECONDS)


def _is_picture(response: Response) -> bool:
    return "/comfy/api/view" in response.url and response.status == 200


@pytest.fixture
def visit(browser: Browser, editor_site: Site) -> Iterator[Visit]:
    # Wide enough for the whole graph: a node that is out of sight does not ask for its picture.
    context = browser.new_context(viewport={"width": 2800, "height": 1200})
    # The first visit's tour lies over the graph.
    with editor_site.client(editor_site.admin) as client:
        client.post("/settings/Comfy.TutorialCompleted", json=True)
    visited = Visit(context.new_page())
    visited.watch()
    yield visited
    context.close()


@pytest.mark.slow
def test_an_admin_draws_in_the_editor(visit: Visit, editor_site: Site, tmp_path: Path) -> None:
    page = visit.page
    visit.open(editor_site)
    page.evaluate("graph => window.app.loadApiJson(graph, 'drawing')", workflow(text="a pier at dusk", seed=21))
    # The node that saved the picture shows it: the browser asks for it under the name our events told.
    with page.expect_response(_is_picture, timeout=MILLISECONDS) as drawn:
        page.get_by_test_id("queue-button").first.click(timeout=MILLISECONDS)
    assert drawn.value.header_value("content-type") == "image/png"
    page.wait_for_timeout(500)
    shown = Path(os.environ.get("SCREENSHOTS", tmp_path)) / "editor.png"
    page.screenshot(path=shown)
    assert visit.errors == []
    assert page.evaluate("() => document.cookie") == "", "no script reads the session"
    with editor_site.client(editor_site.admin) as client:
        [job] = client.get("/api/v2/jobs").json()["jobs"]
        assert (job["status"], len(job["outputs"])) == ("succeeded", 1)
        usage = client.get("/api/gateway/usage").json()["rows"]
    assert sum(row["jobs"] for row in usage) == 1, "the editor's jobs are accounted for"


def test_the_editor_is_nobody_elses(editor_site: Site) -> None:
    paths = ("/comfy", "/comfy/", "/comfy/scripts/app.js", "/comfy/api/queue", "/comfy/api/userdata?dir=workflows")
    for path in paths:
        with editor_site.client(editor_site.alice) as client:
            assert client.get(path).status_code == 403, path
        assert httpx.get(editor_site.url + path, trust_env=False, timeout=60).status_code == 401, path


def test_only_what_the_editor_is_made_of_is_served(editor_site: Site) -> None:
    with editor_site.client(editor_site.admin) as client:
        assert client.get("/comfy").headers["location"] == "/comfy/"
        page = client.get("/comfy/")
        script = client.get("/comfy/scripts/app.js")
        for path in (
            "internal/logs",
            "api/internal/logs",
            "manager/reboot",
            "api/manager/reboot",
            "queue",
            "system_stats",
        ):
            assert client.get(f"/comfy/{path}").status_code == 404, path
        for path in ("assets/..%2f..%2fx.js", "assets/%2e%2e/x.js", "assets/a%5cb.js"):
            assert client.get(f"/comfy/{path}").status_code == 400, path
    policy = page.headers["content-security-policy"]
    assert "'unsafe-eval'" in policy
    assert "script-src 'self' blob: 'unsafe-eval' 'sha256-" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert script.headers["content-type"].partition(";")[0] in {"text/javascript", "application/javascript"}
    assert page.headers["cache-control"] == "no-store"
