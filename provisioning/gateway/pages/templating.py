"""Jinja templates and style sheets of the pages: values are escaped, and no resources of other hosts are loaded."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "templates"

_TOKEN = re.compile(r"(&#34;(?:(?!&#34;).)*&#34;)(\s*:)?|(?<![\w.-])(-?\d+(?:\.\d+)?|true|false|null)\b")


def style_sheet(name: str) -> str:
    """Return a style sheet from the templates' folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


def headers(style: str, form_action: str) -> dict[str, str]:
    """Return a page's headers, whose policy allows only this style sheet and forms to `form_action`."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action {form_action}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return {"content-type": "text/html; charset=utf-8", "content-security-policy": policy}


@cache
def environment() -> Environment:
    """Return the environment of the templates; imports Jinja at the first use."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"prose": prose, "highlighted": highlighted, "mebibytes": mebibytes}
    return made


def render(template: str, style: str, **values: Any) -> bytes:  # noqa: ANN401 - a template's own
    """Render a template; `style` is trusted and inserted unescaped."""
    return environment().get_template(template).render(style=Markup(style), **values).encode()  # noqa: S704


def prose(text: str) -> Markup:
    """Return text as HTML, with text between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first


def highlighted(text: str) -> Markup:
    """Return JSON, or text that contains JSON, as HTML with syntax highlighting."""
    return Markup(_TOKEN.sub(_paint, str(escape(text))))  # noqa: S704 - escaped first


def _paint(match: re.Match[str]) -> str:
    word, colon, other = match.groups()
    if word is None:
        return f'<span class="n">{other}</span>'
    return f'<span class="k">{word}</span>{colon}' if colon else f'<span class="s">{word}</span>'


def mebibytes(size: int) -> str:
    """Return a size in MiB."""
    return f"{size / 1024 / 1024:g} MiB"
