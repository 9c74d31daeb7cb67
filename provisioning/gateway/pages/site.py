"""The pages, rendered from templates; everything that is shown is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from provisioning.gateway.access.allowance import Allowance
from provisioning.gateway.access.scopes import ROLES
from provisioning.gateway.openapi.reference import Reference
from provisioning.gateway.openapi.refusals import EXAMPLE_ID
from provisioning.gateway.pages.reading import Entry, Reading
from provisioning.gateway.pages.settings import options
from provisioning.gateway.problems import CATALOGUE, RETRY_SECONDS, Code, Problem, fault
from provisioning.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "templates"
STYLE = (FOLDER / "style.css").read_text(encoding="utf-8")

PAGES = (
    ("/docs", "Guide"),
    ("/docs/reference", "Reference"),
    ("/docs/errors", "Errors"),
    ("/docs/options", "Options"),
)

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = (
    ("content-type", "text/html; charset=utf-8"),
    (
        "content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'",
    ),
)
"""Nothing but this very style sheet: no script, no image, nothing from elsewhere."""

WAITED_FOR = frozenset({*RETRY_SECONDS, Code.RATE_LIMITED, Code.QUOTA_EXCEEDED})
"""Errors that pass by themselves."""

_TOKEN = re.compile(r"(&#34;(?:(?!&#34;).)*&#34;)(\s*:)?|(?<![\w.-])(-?\d+(?:\.\d+)?|true|false|null)\b")


@dataclass(frozen=True)
class Explained:
    """One error as the pages show it."""

    code: str
    status: int
    title: str
    detail: str
    again: bool
    """Whether the same request may succeed later."""


def explained(code: Code) -> Explained:
    """Return what there is to say of an error."""
    entry = CATALOGUE[code]
    return Explained(code.value, entry.status, entry.title, entry.detail, code in WAITED_FOR)


class Site:
    """Renders the pages of one gateway."""

    def __init__(self, reference: Reference, settings: GatewaySettings) -> None:
        self._reference = reference
        self._settings = settings

    @cached_property
    def _reading(self) -> Reading:
        return Reading(self._reference.document)

    @cached_property
    def _environment(self) -> Environment:
        # For whoever reads pages; the gateway starts without it.
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

        made = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.filters |= {"prose": prose, "painted": painted, "mebibytes": mebibytes}
        # The style sheet is ours, and its hash is what the browser is told to expect.
        made.globals |= {"style": Markup(STYLE), "pages": PAGES}  # noqa: S704
        return made

    def guide(self, base: str) -> bytes:
        """Return the guide; `base`: scheme and host that the caller used."""
        entries = {f"{entry.method} {entry.path}": entry for entry in self._reading.entries}

        def sample(name: str) -> str:
            return entries[name].curl

        members = fault("/priority", "not such a number")
        problem = Problem(Code.INVALID_FIELD, "priority: a whole number.", members=members)
        return self._page(
            "guide.html",
            here="/docs",
            base=base,
            limits=self._settings,
            roles=[(role, sorted(scopes)) for role, scopes in ROLES.items()],
            allowance=Allowance.model_fields,
            sample=sample,
            problem=json.dumps(problem.body(EXAMPLE_ID), indent=2),
        )

    def reference(self, base: str) -> bytes:
        """Return the page of every route."""
        return self._page(
            "reference.html",
            here="/docs/reference",
            base=base,
            groups=self._reading.groups,
            common=self._reading.common,
        )

    def errors(self) -> bytes:
        """Return the error catalogue."""
        entries = sorted((explained(code) for code in CATALOGUE), key=lambda entry: (entry.status, entry.code))
        return self._page("errors.html", here="/docs/errors", entries=entries, example=_example(Code.RATE_LIMITED))

    def options(self) -> bytes:
        """Return the page of what an operator may set."""
        return self._page("options.html", here="/docs/options", options=options())

    def error(self, code: Code) -> bytes:
        """Return the page of one error."""
        users = [entry for entry in self._reading.entries if _answers(entry, code)]
        common = code.value in {own for _, own in self._reading.common}
        return self._page(
            "error.html", here="", entry=explained(code), example=_example(code), users=users, common=common
        )

    def _page(self, name: str, **values: Any) -> bytes:  # noqa: ANN401 - a template's own
        return self._environment.get_template(name).render(**values).encode()


def _answers(entry: Entry, code: Code) -> bool:
    return code.value in {own for _, own in entry.errors}


def _example(code: Code) -> str:
    members = {"violated-policies": ["perkey"]} if code is Code.RATE_LIMITED else {}
    seconds = 12.0 if code is Code.RATE_LIMITED else None
    return json.dumps(Problem(code, retry_after=seconds, members=members).body(EXAMPLE_ID), indent=2)


def prose(text: str) -> Markup:
    """Return text as HTML, what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first


def painted(text: str) -> Markup:
    """Return JSON, or text with JSON in it, as HTML with its words in colours."""
    return Markup(_TOKEN.sub(_paint, str(escape(text))))  # noqa: S704 - escaped first


def _paint(match: re.Match[str]) -> str:
    word, colon, other = match.groups()
    if word is None:
        return f'<span class="n">{other}</span>'
    return f'<span class="k">{word}</span>{colon}' if colon else f'<span class="s">{word}</span>'


def mebibytes(size: int) -> str:
    """Return a size in words."""
    return f"{size / 1024 / 1024:g} MiB"
