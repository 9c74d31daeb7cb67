"""Finished jobs, from the gateway's own record: ComfyUI forgets them when it restarts, and mixes everybody's."""

from __future__ import annotations

from provisioning.gateway.access.audit import Act
from provisioning.gateway.handlers.acting import MAX_NAMED, note
from provisioning.gateway.handlers.queues import id_list
from provisioning.gateway.jobs.records import HISTORY_LIMIT
from provisioning.gateway.problems import Code, Problem, fault
from provisioning.gateway.services import Services, visible_owner
from provisioning.gateway.web.exchange import Exchange

DEFAULT_ITEMS = 64


async def show(services: Services, exchange: Exchange) -> None:
    """Answer with the caller's newest finished jobs, in ComfyUI's form."""
    limit = _number(exchange, "max_items", DEFAULT_ITEMS, HISTORY_LIMIT)
    offset = _number(exchange, "offset", 0, 1_000_000)
    owner = visible_owner(exchange.who)
    await exchange.send_json(await services.ledger.history(owner, limit=limit, offset=offset))


def _number(exchange: Exchange, name: str, default: int, most: int) -> int:
    text = exchange.query.get(name, str(default))
    # ComfyUI's own frontend says -1 for "from the start".
    text = str(default) if text == "-1" else text
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Problem(Code.INVALID_REQUEST, f"{name}: a whole number.", members=fault(name, "not a whole number"))
    return min(int(text), most)


async def show_one(services: Services, exchange: Exchange) -> None:
    """Answer with one finished job; like ComfyUI, with {} for one that is not finished, or not the caller's."""
    job_id, owner = exchange.params["id"], visible_owner(exchange.who)
    job = services.tracker.get(job_id)
    if job is not None and owner in {None, job.owner}:
        await services.tracker.refresh(job)
    entry = await services.ledger.history_of(job_id, owner)
    await exchange.send_json({} if entry is None else {job_id: entry})


async def change(services: Services, exchange: Exchange) -> None:
    """Forget finished jobs: those named in `delete`, or all with `clear`; only ever the caller's own."""
    body = await exchange.json(services.settings.max_body_bytes)
    chosen = None if body.get("clear") is True else id_list(body)
    owner = visible_owner(exchange.who)
    if owner is None and (chosen is None or chosen):
        ids = {} if chosen is None else {"jobs": sorted(chosen)[:MAX_NAMED]}
        await note(services, exchange, Act.HISTORY_CLEARED, "everybody" if chosen is None else "jobs", **ids)
    await services.ledger.hide(owner, chosen)
    await exchange.send_json({})
