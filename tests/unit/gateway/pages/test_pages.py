"""The web pages: they require a key, work without scripts, and escape all values."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

import pytest
from pydantic.alias_generators import to_camel

from provisioning.contract.gateway_options import Options
from provisioning.gateway.core.limit_settings import LimitSettings
from provisioning.gateway.core.problems import CATALOGUE
from provisioning.gateway.core.scopes import Role
from provisioning.gateway.pages.routes import wants_page
from provisioning.gateway.pages.site import PAGES, STYLE
from provisioning.gateway.pages.templating import highlighted, prose
from provisioning.gateway.routes import OPERATIONS
from tests.unit.gateway.conftest import HOST, Gate

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ROW = re.compile(r'<tr id="(?P<name>\w+)"><td><code>(?P=name)</code></td>(?P<rest>.*?)</tr>', re.DOTALL)
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collects a page's links, and checks that all elements are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = {name: value or "" for name, value in attrs}
        self.attributes |= given.keys()
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self._open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.mark.parametrize("path", [*(path for path, _ in PAGES), "/errors/rate_limited"])
async def test_a_page_requires_a_key_and_loads_nothing_from_other_hosts(gate: Gate, path: str) -> None:
    assert (await gate.client(None).get(path)).status_code == 401
    asked = await gate.client(None).get(path, headers={"accept": BROWSER, "sec-fetch-mode": "navigate"})
    assert (asked.status_code, asked.headers["location"].partition("?")[0]) == (303, "/login")
    answer = await gate.alice.get(path, headers={"accept": BROWSER})
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "script" not in policy
    assert f"<style>{STYLE}</style>" in answer.text
    page = Reader(answer.text)
    assert not page.tags & {"script", "img", "iframe", "link", "form"}
    assert not {name for name in page.attributes if name.startswith("on")} | ({"style"} & page.attributes)
    assert len(page.ids) == len(set(page.ids))


async def test_every_link_has_a_target(gate: Gate) -> None:
    found: dict[str, Reader] = {}
    wanted = [path for path, _ in PAGES]
    while wanted:
        path = wanted.pop()
        answer = await gate.alice.get(path, headers={"accept": BROWSER})
        assert answer.status_code == 200, path
        if path == "/openapi.json":
            continue
        found[path] = Reader(answer.text)
        inside = {link.partition("#")[0] for link in found[path].links if link.startswith("/")}
        wanted += [link for link in inside if link not in found and link not in wanted]
    for path, page in found.items():
        for link in page.links:
            target, _, place = link.partition("#")
            if not link.startswith("http") and place:
                assert place in found[target or path].ids, (path, link)
    assert {f"/errors/{code.value}" for code in CATALOGUE} <= found.keys()


async def test_every_route_is_shown_with_an_example(gate: Gate) -> None:
    page = (await gate.alice.get("/docs/reference")).text
    assert page.count("<details") == len(OPERATIONS) == page.count("$GATEWAY/")
    for route in OPERATIONS:
        assert f"<code>{route.path}</code>" in page


async def test_the_guide_shows_this_gateways_limits(gate: Gate) -> None:
    page = (await gate.alice.get("/docs")).text
    assert f"export GATEWAY=https://{HOST}" in page
    assert f"<dd>{gate.settings.rate_limit_per_minute}</dd>" in page
    assert gate.keyring.alice not in page


async def test_every_option_has_a_row(gate: Gate) -> None:
    page = (await gate.alice.get("/docs/options")).text
    rows = {row["name"]: html.unescape(re.sub(r"<[^>]*>", "", row["rest"])) for row in ROW.finditer(page)}
    assert list(rows) == [to_camel(name) for name in Options.model_fields]
    for name, field in Options.model_fields.items():
        assert field.description, f"{name} has no documentation"
    assert rows["maxQueuedPerKey"] == (
        "Unfinished jobs per key; 0 means as many as its owner may have. Integer from 0.0 "
    )
    assert "never more than maxQueuedPerOwner" in rows["maxBatch"], "options have their names in the stack file"
    assert "Amounts by unit (jobs, gpu_seconds, images, bytes, usd) and period (day, month)" in rows["quotas"]
    assert rows["sessionHours"].endswith("Number above 0 to 720.12.0 ")
    assert rows["webhookPorts"].endswith("443 8443 ")
    assert rows["deniedNodes"].count("*terminal*") == 1


async def test_the_guide_explains_users_roles_and_limits(gate: Gate) -> None:
    page = (await gate.alice.get("/docs")).text
    for role in Role:
        assert f"<tr><td><code>{role}</code></td>" in page
    for name in LimitSettings.model_fields:
        assert f"<tr><td><code>{name}</code></td>" in page
    for told in ('href="/login"', "/api/gateway/refresh", "webhook_url", "make key", 'href="/docs/options"'):
        assert told in page, told


async def test_every_error_is_explained_as_json_and_as_a_page(gate: Gate) -> None:
    for code, entry in CATALOGUE.items():
        for accept in ("*/*", "application/json, text/html"):
            told = await gate.alice.get(f"/errors/{code}", headers={"accept": accept})
            assert told.json() == {"code": code, "status": entry.status, "title": entry.title, "detail": entry.detail}
        shown = await gate.alice.get(f"/errors/{code}", headers={"accept": BROWSER})
        assert (shown.headers["vary"], entry.title in re.sub(r"&#39;", "'", shown.text)) == ("accept", True)
    assert (await gate.alice.get("/errors/nonsense", headers={"accept": BROWSER})).status_code == 404


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html", True),
        (BROWSER, True),
        ("application/problem+json, text/html", False),
        ("TEXT/HTML;q=0.9", True),
    ],
)
def test_pages_are_sent_to_clients_that_prefer_html(accept: str, page: bool) -> None:
    assert wants_page(accept) is page


def test_text_is_escaped() -> None:
    assert prose("<b> `a<b`") == "&lt;b&gt; <code>a&lt;b</code>"
    assert highlighted('{"a": "<b>", "c": -1.5}') == (
        '{<span class="k">&#34;a&#34;</span>: <span class="s">&#34;&lt;b&gt;&#34;</span>, '
        '<span class="k">&#34;c&#34;</span>: <span class="n">-1.5</span>}'
    )


async def test_the_login_form_escapes_its_target(gate: Gate) -> None:
    page = (await gate.client(None).get("/login", params={"next": "/comfy/?a='b'&c"})).text
    assert 'value="/comfy/?a=&#39;b&#39;&amp;c"' in page
    assert "script" not in Reader(page).tags
