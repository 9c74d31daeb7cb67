"""Which engines work with this project, and why."""

import re

# The official release that is downloaded; the SDK in requirements.lock is of the same line.
RELEASE = "3.217.1"
# The newest of the line that Go modules alone can build, with the last language host that is a Go module.
SOURCE = "3.217.0"
LANGUAGE_HOST = "3.79.0"

_OLDEST = (3, 217, 0)
_FIRST_TOO_NEW = (3, 224, 0)


def refusal(version: str) -> str | None:
    """Why an engine of this version cannot be used, or None when it can. `version` is what `pulumi version` prints."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version.strip())
    if not found:
        return f"it does not say its version (it printed {version.strip()[:60]!r})"
    number = tuple(int(part) for part in found.groups())
    if number < _OLDEST:
        return f"it is {version.strip()} and the locked SDK needs 3.217 or newer"
    if number >= _FIRST_TOO_NEW:
        return f"it is {version.strip()}: from 3.224 on Python policy packs start in another way, not tried here"
    return None
