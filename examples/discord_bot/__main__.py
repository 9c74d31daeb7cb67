"""`python -m examples.discord_bot`: the bot without Discord, with prompts on standard input and images in a folder."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

import comfy_sdk

from examples.discord_bot.bot import Bot, draw_with
from examples.discord_bot.orders import Order, OrderBook


class Folder:
    """Posts into a folder instead of Discord."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def progress(self, order: Order, text: str) -> None:
        """Print the progress of an order."""
        _say(order, text)

    async def picture(self, order: Order, name: str, content: bytes) -> None:
        """Write an image under its order's id, so that a repeated post overwrites it."""
        (self._path / f"{order.id}-{name}").write_bytes(content)
        _say(order, f"posted {name}")

    async def sorry(self, order: Order, text: str) -> None:
        """Print why there is no image."""
        _say(order, f"sorry: {text}")


def _say(order: Order, text: str) -> None:
    sys.stdout.write(json.dumps({"channel": order.channel, "order": order.id, "text": text}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line; the gateway's address and key come from COMFY_BASE_URL and COMFY_API_KEY."""
    parser = argparse.ArgumentParser(prog="python -m examples.discord_bot", description=__doc__)
    parser.add_argument("workflow", type=Path, help="a workflow in API form")
    parser.add_argument("folder", type=Path, help="folder for images and open orders")
    parser.add_argument("--prompt", default="6.text", metavar="NODE.INPUT", help="input that receives the prompt")
    parser.add_argument("--seed", default="3.seed", metavar="NODE.INPUT", help="input that receives the seed")
    options = parser.parse_args()
    asyncio.run(run(options))


async def run(options: argparse.Namespace) -> None:
    """Answer the open orders of an earlier run and every line of standard input, then end."""
    prompt, seed = (tuple(text.split(".", 1)) for text in (options.prompt, options.seed))
    draw = draw_with(json.loads(options.workflow.read_text(encoding="utf-8")), prompt=prompt, seed=seed)
    book = OrderBook(options.folder / "orders.json")
    async with comfy_sdk.AsyncComfy() as client:
        bot = Bot(client, book, Folder(options.folder), draw)
        bot.resume()
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            bot.ask("standard input", line)
        await bot.finished()


if __name__ == "__main__":
    main()
