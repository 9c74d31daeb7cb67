"""The bot: submit each order with its own Idempotency-Key, follow the job, post the image.

It uses Comfy-Org's client only. After any failure of the network, the gateway or the bot itself, the order is still in
the order book and is continued from there.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections.abc import Callable
from typing import Any, Protocol

import comfy_sdk
import httpx

from examples.discord_bot.orders import Order, OrderBook

LONGEST_PAUSE = 30.0
"""Longest interval between attempts while the gateway is unavailable, in seconds; the first is one second."""

PROGRESS_STEP = 0.1
"""Progress is posted in steps of 10 %: Discord allows about five edits of a message in five seconds."""

Graph = dict[str, Any]
Draw = Callable[[Order], Graph]
"""Returns the workflow of an order."""


class Post(Protocol):
    """Posts answers; after a restart a call may be repeated with the same `order.id`."""

    async def progress(self, order: Order, text: str) -> None:
        """Post the order's progress; on Discord, edit the message that acknowledged it."""

    async def picture(self, order: Order, name: str, content: bytes) -> None:
        """Post the image; on Discord, send with `nonce=order.id` and `enforce_nonce`, which drops a duplicate."""

    async def sorry(self, order: Order, text: str) -> None:
        """Post that the order failed."""


class Bot:
    """Accepts orders and answers each once."""

    def __init__(self, client: comfy_sdk.AsyncComfy, book: OrderBook, post: Post, draw: Draw) -> None:
        self._client = client
        self._book = book
        self._post = post
        self._draw = draw
        self._tasks: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Continue the open orders of an earlier run."""
        for order in self._book.open():
            self._start(order)

    def ask(self, channel: str, prompt: str) -> Order:
        """Accept an order; it is saved when this returns."""
        order = Order(channel, prompt, secrets.randbelow(2**31))
        self._book.put(order)
        self._start(order)
        return order

    async def finished(self) -> None:
        """Wait until all accepted orders are answered."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _start(self, order: Order) -> None:
        task = asyncio.create_task(self._carry(order))
        # The event loop keeps only weak references to tasks.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, order: Order) -> None:
        pause = 1.0
        while True:
            try:
                await self._answer(order)
            except httpx.HTTPError:
                # The gateway is restarting, or the network is down.
                await asyncio.sleep(pause)
            except comfy_sdk.ComfyError as error:
                if not _may_pass(error):
                    await self._post.sorry(order, str(error))
                    break
                await self._post.progress(order, "the queue is full; your order will be retried")
                # An earlier retry would be refused again and count towards the limit.
                await asyncio.sleep(error.retry_after or pause)
            else:
                break
            pause = min(LONGEST_PAUSE, pause * 2)
        self._book.done(order)

    async def _answer(self, order: Order) -> None:
        job = await self._job(order)
        await self._follow(order, job)
        await job.result()
        for output in job.outputs:
            await self._post.picture(order, output.name, await output.to_bytes())

    async def _job(self, order: Order) -> comfy_sdk.AsyncJob:
        known = next((kept for kept in self._book.open() if kept.id == order.id), order)
        if known.job is not None:
            return await self._client.jobs.get(known.job)
        # The client itself waits up to a minute after a 429 with Retry-After.
        workflow = self._client.workflows.from_json(self._draw(order))
        job = await self._client.submit(workflow, idempotency_key=order.id)
        self._book.started(order, job.id)
        return job

    async def _follow(self, order: Order, job: comfy_sdk.AsyncJob) -> None:
        reported = -1.0
        async for event in job.events():
            if isinstance(event, comfy_sdk.StatusChange) and event.queue_position is not None:
                await self._post.progress(order, f"waiting, number {event.queue_position}")
            elif isinstance(event, comfy_sdk.Progress) and event.value >= reported + PROGRESS_STEP:
                reported = event.value
                await self._post.progress(order, f"drawing, {reported:.0%}")


def _may_pass(error: comfy_sdk.ComfyError) -> bool:
    """Return whether a retry may succeed: a limit was reached, or the gateway is not ready."""
    return error.http_status == 429 or (error.http_status or 0) >= 500


def draw_with(template: Graph, *, prompt: tuple[str, str], seed: tuple[str, str]) -> Draw:
    """Return a function that puts an order's prompt and seed into a workflow; each place is a (node, input)."""

    def draw(order: Order) -> Graph:
        graph = copy.deepcopy(template)
        graph[prompt[0]]["inputs"][prompt[1]] = order.prompt
        graph[seed[0]]["inputs"][seed[1]] = order.seed
        return graph

    return draw
