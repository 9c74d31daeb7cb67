from __future__ import annotations

import json
import logging

from provisioning.gateway.access import keys
from provisioning.gateway.logs import JsonFormatter, is_wanted


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "x", "msg": message, "args": args, "levelno": logging.INFO, "levelname": "INFO"}
    )
    vars(made).update(extra)
    return made


def test_a_line_is_one_json_object_with_what_was_passed() -> None:
    line = JsonFormatter().format(record("request %s", "now", route="/queue", status=200, none=None))
    told = json.loads(line)
    assert "\n" not in line
    assert (told["event"], told["route"], told["status"], "none" in told) == ("request now", "/queue", 200, False)


def test_keys_are_masked_wherever_they_stand() -> None:
    token = keys.mint()
    assert token not in JsonFormatter().format(record(f"key {token}", extra=f"Bearer {token}"))


def test_uvicorns_lines_with_a_query_are_dropped() -> None:
    assert not is_wanted(record('%s - "WebSocket %s" [accepted]', "127.0.0.1", "/ws?token=secret"))
    assert is_wanted(record("Uvicorn running on %s", "http://127.0.0.1:1"))
