"""Logs: one JSON object per line on standard output, with every secret masked."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType

import orjson

from provisioning.gateway.core.problems import Problem

_SECRET = re.compile(r"(?P<name>cgw_live_|cgs_|cgt_|\bsignature=)[\w.-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
"""Keys, cookies, tickets, signatures and tokens."""
MAX_CAUSES = 8
"""Largest number of causes logged for one error."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, including the members of `extra`; secrets are masked everywhere."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _SECRET.sub(r"\g<name>***", orjson.dumps(line, default=str).decode())

    def formatException(  # noqa: N802 - the name that logging calls
        self, ei: tuple[type[BaseException] | None, BaseException | None, TracebackType | None]
    ) -> str:
        """Return traceback and class of an error and of its causes, newest first.

        The message is left out: messages quote what a client or ComfyUI sent, prompts and names included.
        """
        error = ei[1]
        parts: list[str] = []
        while error is not None and len(parts) < MAX_CAUSES:
            parts.append("".join(traceback.format_tb(error.__traceback__)) + _kind(error))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n".join(parts)


def _event(record: logging.LogRecord) -> str:
    text = record.getMessage()
    # The further lines show a task and the message of its error.
    return text.partition("\n")[0] if record.name == "asyncio" else text


def _kind(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    said = error.code.value if isinstance(error, Problem) else getattr(error, "strerror", None)
    return f"{name}: {said}" if said else name


def configure(level: int = logging.INFO) -> None:
    """Send every log of the process through JsonFormatter."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # At every start Alembic logs what it could do; the gateway logs what it did.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Uvicorn's access log holds paths and queries; the gateway's own log holds routes only.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").addFilter(is_wanted)


def is_wanted(record: logging.LogRecord) -> bool:
    """Return whether to keep a line of uvicorn's log: not lines with a WebSocket's query, nor a false alarm.

    Uvicorn reports a handshake that was refused with a custom response as one that was never completed.
    """
    return not str(record.msg).startswith(('%s - "WebSocket', "ASGI callable returned without completing handshake"))
