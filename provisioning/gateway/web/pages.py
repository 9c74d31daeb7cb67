"""Plain HTML pages of our own: no scripts, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
from string import Template

from provisioning.gateway.web.exchange import Exchange

STYLE = """
:root { color-scheme: light dark; --bg: #fbfbfd; --panel: #fff; --ink: #1c2030; --soft: #5b6274; --line: #d5d9e4;
  --accent: #4f46e5; --on: #fff; --bad: #b91c1c }
@media (prefers-color-scheme: dark) { :root { --bg: #0f1117; --panel: #161922; --ink: #e6e8f0; --soft: #9aa2b6;
  --line: #343a4a; --accent: #a5b4fc; --on: #10121a; --bad: #fca5a5 } }
* { box-sizing: border-box }
body { margin: 0; padding: 12vh 1rem 2rem; background: var(--bg); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif }
main { max-width: 25rem; margin: 0 auto; padding: 2rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: 14px; box-shadow: 0 1px 3px rgb(0 0 0 / .06) }
h1 { font-size: 1.35rem; letter-spacing: -.01em; margin: 0 0 1.25rem }
h2 { display: flex; align-items: center; gap: .75rem; font-size: .8rem; font-weight: 600; color: var(--soft);
  margin: 1.5rem 0 .25rem }
h2::before, h2::after { content: ""; flex: 1; border-top: 1px solid var(--line) }
a { color: var(--accent) }
label { display: block; margin: .9rem 0 .3rem; font-size: .9rem; font-weight: 600 }
input { width: 100%; padding: .55rem .75rem; font: inherit; color: inherit; background: var(--bg);
  border: 1px solid var(--line); border-radius: 8px }
button { width: 100%; margin-top: 1.5rem; padding: .6rem 1.25rem; font: inherit; font-weight: 600; color: var(--on);
  background: var(--accent); border: 0; border-radius: 8px; cursor: pointer }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.problem { border-left: .25rem solid var(--bad); padding-left: .75rem; color: var(--bad) }
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
