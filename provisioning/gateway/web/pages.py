"""Plain HTML pages of our own: no scripts, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
from string import Template

from provisioning.gateway.web.exchange import Exchange

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 24rem; margin: 12vh auto; padding: 0 1rem }
h1 { font-size: 1.25rem } h2 { font-size: 1rem; margin: 2rem 0 .5rem }
label { display: block; margin: .75rem 0 .25rem }
input { box-sizing: border-box; width: 100%; padding: .5rem; font: inherit }
button { margin-top: 1rem; padding: .5rem 1.25rem; font: inherit }
.problem { border-left: .25rem solid #c33; padding-left: .75rem }
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = (
    ("content-type", "text/html; charset=utf-8"),
    (
        "content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'",
    ),
    # With no-referrer browsers would call the origin of our own forms "null".
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
)
"""Nothing but this very style sheet, and forms that go nowhere else."""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
$content
</main>
</body>
</html>
""")


def escaped(text: str) -> str:
    """Return text as it may stand in HTML, within quotes as well."""
    return html.escape(text, quote=True)


async def send(exchange: Exchange, status: int, title: str, content: str, headers: tuple[tuple[str, str], ...]) -> None:
    """Answer with a page; whatever in `content` came from outside must have been escaped."""
    page = _PAGE.substitute(title=escaped(title), style=STYLE, content=content)
    await exchange.send(status, page.encode(), [*HEADERS, *headers])


async def redirect(exchange: Exchange, where: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
    """Send the browser elsewhere on this host, by GET."""
    await exchange.send(303, b"", [("location", where), *headers])
