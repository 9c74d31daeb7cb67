"""Conversion of the user's pip settings for uv: mirrors, folders of wheels and certificates."""

import ast
import subprocess
from collections.abc import Mapping
from pathlib import Path

_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "no-index": "UV_NO_INDEX",
}


def for_uv(python: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for uv: pip's settings from its files and variables, unless uv's are set."""
    listed = subprocess.run(
        [python, "-m", "pip", "config", "list"], env=dict(environ), capture_output=True, text=True, check=False
    )
    return translated(listed.stdout) | {"UV_SYSTEM_CERTS": "1", "UV_NO_PROGRESS": "1"} | dict(environ)


def translated(listing: str) -> dict[str, str]:
    """Return uv's variables for a `pip config list`; later lines win, as in pip."""
    settings = dict(_setting(line) for line in listing.splitlines() if "=" in line)
    taken = {_NAMES[name]: _joined(name, words) for name, words in settings.items() if name in _NAMES}
    return {name: value for name, value in taken.items() if value}


def _setting(line: str) -> tuple[str, list[str]]:
    """Return a setting's name without its section, and its values; pip prints values as Python literals."""
    key, _, literal = line.partition("=")
    return key.rpartition(".")[2].replace("_", "-"), str(ast.literal_eval(literal)).split()


def _joined(name: str, words: list[str]) -> str:
    """Return the values in uv's format; pip ignores a missing folder of wheels, and uv refuses it."""
    if name != "find-links":
        return " ".join(words)
    return ",".join(word for word in words if "://" in word or Path(word).is_dir())
