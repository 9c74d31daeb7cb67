"""The bot: submits each order under its own Idempotency-Key, follows it, posts the picture.

It uses Comfy-Org's own client, so nothing here knows the gateway. Whatever fails in between (the network, the gateway,
the bot itself) ends in the same place: the order is still in the book, and is carried on from there.
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
"""Seconds between attempts while the gateway is away; the first comes after one."""

PROGRESS_STEP = 0.1
"""Progress is told in tenths: Discord allows about five edits of a message in five seconds."""

Graph = dict[str, Any]
Draw = Callable[[Order], Graph]
"""Makes the workflow of an order."""


class Post(Protocol):
    """How answers reach people; each call may come again after a restart, and `order.id` says that it is the same."""

    async def progress(self, order: Order, text: str) -> None:
        """Say how far the order is; Discord: edit the message that acknowledged it."""

    async def picture(self, order: Order, name: str, content: bytes) -> None:
        """Post the picture; Discord: send with `nonce=order.id` and `enforce_nonce`, which drops a second one."""

    async def sorry(self, order: Order, text: str) -> None:
        """Say that there will be no picture."""


class Bot:
    """Takes orders and answers every one of them, once."""

    def __init__(self, client: comfy_sdk.AsyncComfy, book: OrderBook, post: Post, draw: Draw) -> None:
        self._client = client
        self._book = book
        self._post = post
        self._draw = draw
        self._tasks: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Carry on with what a former run left."""
        for order in self._book.open():
            self._start(order)

    def ask(self, channel: str, prompt: str) -> Order:
        """Take an order; it is written down when this returns."""
        order = Order(channel, prompt, secrets.randbelow(2**31))
        self._book.put(order)
        self._start(order)
        return order

    async def finished(self) -> None:
        """Wait until every order that was taken is answered."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _start(self, order: Order) -> None:
        task = asyncio.create_task(self._carry(order))
        # The set keeps the task alive: the event loop itself would not.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, order: Order) -> None:
        pause = 1.0
        while True:
            try:
                await self._answer(order)
            except httpx.HTTPError:
                # The gateway is restarting, or the network is away.
                await asyncio.sleep(pause)
            except comfy_sdk.ComfyError as error:
                if not _may_pass(error):
                    await self._post.sorry(order, str(error))
                    break
                await self._post.progress(order, "the queue is full; you are not forgotten")
                # Exactly as long as the gateway says: sooner is refused again, and counts.
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
        # The client itself waits up to a minute where the answer is 429 with Retry-After.
        workflow = self._client.workflows.from_json(self._draw(order))
        job = await self._client.submit(workflow, idempotency_key=order.id)
        self._book.started(order, job.id)
        return job

    async def _follow(self, order: Order, job: comfy_sdk.AsyncJob) -> None:
        told = -1.0
        async for event in job.events():
            if isinstance(event, comfy_sdk.StatusChange) and event.queue_position is not None:
                await self._post.progress(order, f"waiting, number {event.queue_position}")
            elif isinstance(event, comfy_sdk.Progress) and event.value >= told + PROGRESS_STEP:
                told = event.value
                await self._post.progress(order, f"drawing, {told:.0%}")


def _may_pass(error: comfy_sdk.ComfyError) -> bool:
    """Return whether the same request may succeed later: too much at once, or the gateway not ready."""
    return error.http_status == 429 or (error.http_status or 0) >= 500


def draw_with(template: Graph, *, prompt: tuple[str, str], seed: tuple[str, str]) -> Draw:
    """Return what puts an order's prompt and seed into a workflow; each place is a (node, input)."""

    def draw(order: Order) -> Graph:
        graph = copy.deepcopy(template)
        graph[prompt[0]]["inputs"][prompt[1]] = order.prompt
        graph[seed[0]]["inputs"][seed[1]] = order.seed
        return graph

    return draw
