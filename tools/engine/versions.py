"""Supported engine versions."""

import re

# The official release to download; the SDK in requirements.lock has the same minor version.
RELEASE = "3.217.1"
# The newest version that can be built from Go modules, with the last language host that is a Go module.
SOURCE = "3.217.0"
LANGUAGE_HOST = "3.79.0"

_OLDEST = (3, 217, 0)
_FIRST_TOO_NEW = (3, 224, 0)


def refusal(version: str) -> str | None:
    """Return why an engine of this version cannot be used, or None; `version` is the output of `pulumi version`."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version.strip())
    if not found:
        return f"its version is unknown (it printed {version.strip()[:60]!r})"
    number = tuple(int(part) for part in found.groups())
    if number < _OLDEST:
        return f"it is {version.strip()} and the locked SDK needs 3.217 or newer"
    if number >= _FIRST_TOO_NEW:
        return f"it is {version.strip()}: from 3.224 on Python policy packs start differently, which is not supported"
    return None
