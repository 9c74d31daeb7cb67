"""The process: reads the command line, starts the worker thread, and serves until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from aiohttp import web

from .arguments import Options, read
from .server import Server

_LOG = logging.getLogger("standin")


async def serve(options: Options) -> None:
    """Serve on every address of `options` until SIGTERM or SIGINT; exits with 1 when a port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(Server(options).app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    for address in options.listen.split(","):
        try:
            await web.TCPSite(runner, address, options.port).start()
        except OSError as error:
            _LOG.error("Port %s cannot be used on address %s: %s", options.port, address, error)
            raise SystemExit(1) from error
        host = f"[{address}]" if ":" in address else address
        _LOG.info("To see the GUI go to: http://%s:%s", host, options.port)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Run the stand-in as `python main.py` does."""
    options = read(sys.argv[1:], os.environ)
    stream = sys.stdout if options.log_stdout else sys.stderr
    logging.basicConfig(level=options.log_level, format="%(message)s", stream=stream)
    _LOG.warning("This is the ComfyUI stand-in: it draws patterns, it does not generate images.")
    asyncio.run(serve(options))
    # A hung node leaves its thread behind; waiting for it would keep the process from ever ending.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
