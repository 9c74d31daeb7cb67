"""Going on after an error in work with ComfyUI."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from provisioning.gateway.core.problems import Problem

_log = logging.getLogger(__name__)


async def guarded(work: Awaitable[None]) -> bool:
    """Await `work`; whatever goes wrong with one message or one look must not end the loop. False if any did."""
    try:
        await work
    except Problem as problem:
        _log.warning("ComfyUI could not be asked", extra={"code": problem.code.value})
    except Exception:  # noqa: BLE001 - ComfyUI is not trusted to say only what we expect
        _log.exception("ComfyUI's message or answer was not understood")
    else:
        return True
    return False
