from __future__ import annotations

import json
import logging
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from provisioning.gateway.accounts import key_format
from provisioning.gateway.core.database.database import Database
from provisioning.gateway.core.logs import JsonFormatter, is_wanted
from provisioning.gateway.core.problems import Code, Problem
from tests.unit.gateway.conftest import Gate


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "x", "msg": message, "args": args, "levelno": logging.INFO, "levelname": "INFO"}
    )
    vars(made).update(extra)
    return made


def test_a_line_is_one_json_object_with_its_extra_members() -> None:
    line = JsonFormatter().format(record("request %s", "now", route="/queue", status=200, none=None))
    told = json.loads(line)
    assert "\n" not in line
    assert (told["event"], told["route"], told["status"], "none" in told) == ("request now", "/queue", 200, False)


def test_secrets_are_masked_everywhere() -> None:
    token = key_format.mint()
    assert token not in JsonFormatter().format(record(f"key {token}", extra=f"Bearer {token}"))


def test_an_error_is_logged_with_place_and_class_without_its_message() -> None:
    try:
        try:
            int("canary")
        except ValueError as error:
            raise Problem(Code.STORE_UNAVAILABLE, "canary") from error
    except Problem:
        made = record("failed", exc_info=sys.exc_info())
    told = json.loads(JsonFormatter().format(made))["exception"]
    assert "canary" not in told.replace('int("canary")', "").replace('"canary") from error', "")
    assert "builtins.ValueError" in told
    assert "Problem: store_unavailable" in told
    assert "test_logs.py" in told


def test_an_unretrieved_task_error_is_logged_without_its_message() -> None:
    made = record("Task exception was never retrieved\nfuture: <Task exception=ValueError('canary')>", name="asyncio")
    assert json.loads(JsonFormatter().format(made))["event"] == "Task exception was never retrieved"


def test_a_database_error_quotes_no_values(database: Database) -> None:
    with pytest.raises(SQLAlchemyError) as failed:
        database.run_now(
            lambda connection: connection.execute(text("INSERT INTO nowhere VALUES (:a)"), {"a": "canary"}).rowcount
        )
    assert "canary" not in str(failed.value)


def test_uvicorns_lines_with_a_query_are_dropped() -> None:
    assert not is_wanted(record('%s - "WebSocket %s" [accepted]', "127.0.0.1", "/ws?token=secret"))
    assert is_wanted(record("Uvicorn running on %s", "http://127.0.0.1:1"))


async def test_a_request_is_logged_in_one_line_with_the_values_of_its_row(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "provisioning.gateway.requests"):
        await gate.alice.get("/queue?canary=1")
    [line] = [json.loads(JsonFormatter().format(each)) for each in caplog.records if each.name.endswith(".requests")]
    assert (line["event"], line["method"], line["route"], line["status"]) == ("request", "GET", "/queue", 200)
    assert "canary" not in str(line)
