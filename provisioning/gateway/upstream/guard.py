"""Error handling for loops that work with ComfyUI."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from provisioning.gateway.core.problems import Problem

_log = logging.getLogger(__name__)


async def guarded(work: Awaitable[None]) -> bool:
    """Await `work` and log any error, so that one message or poll cannot end the loop; returns whether it succeeded."""
    try:
        await work
    except Problem as problem:
        _log.warning("a request to ComfyUI failed", extra={"code": problem.code.value})
    except Exception:  # noqa: BLE001 - ComfyUI's messages may have any form
        _log.exception("a message or response of ComfyUI could not be processed")
    else:
        return True
    return False
