"""The gateway's database to a stream and back, by the gateway's own command."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from functools import partial
from pathlib import Path

import pytest

from provisioning.contract import GatewayPlan
from provisioning.gateway.core.database import sql_helpers
from provisioning.gateway.core.database.database import Database, open_database
from provisioning.gateway.core.settings import load
from provisioning.layout import Layout
from provisioning.services import database, start, supervisor
from provisioning.services.database import DatabaseTool
from provisioning.services.service_spec import ComfyUIService, GatewayService, ServiceSpec

ROOT = Path(__file__).parents[4]


@pytest.fixture
def tool(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> DatabaseTool:
    service = GatewayService("python", GatewayPlan({}, 0.5), "p" * 32, "", "")
    wanted = ServiceSpec("digest", ComfyUIService("python", "source", (), "r1"), service)
    python = layout.local / "python"
    layout.local.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    layout.bundles.mkdir(parents=True)
    (layout.bundles / "digest").symlink_to(ROOT)
    start.make_directories(layout)
    # The keys of the plan are not of the gateway's form, and nothing here needs one.
    text = f'{{"upstream": "http://127.0.0.1:1", "port": 1, "pepper": "{"p" * 32}", "database": "{file_of(layout)}"}}'
    layout.gateway_config.write_text(text)
    monkeypatch.setattr(supervisor, "control", lambda *_arguments: (0, ""))
    return DatabaseTool(layout, wanted)


def file_of(layout: Layout) -> Path:
    return layout.gateway_data / "gateway.db"


def mark(path: Path, value: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('mark', ?)", (value,))
    connection.commit()
    connection.close()


def marked(path: Path) -> str:
    connection = sqlite3.connect(path)
    (value,) = connection.execute("SELECT value FROM meta WHERE name = 'mark'").fetchone()
    connection.close()
    return str(value)


def test_there_and_back(tool: DatabaseTool, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(file_of(layout)).close()
    mark(file_of(layout), "then")
    stream = io.BytesIO()
    assert tool.backup(stream) == 0
    mark(file_of(layout), "now")
    asked: list[tuple[str, ...]] = []

    def control(_python: Path, _layout: Layout, *words: str) -> tuple[int, str]:
        asked.append(words)
        return 0, ""

    monkeypatch.setattr(supervisor, "control", control)
    assert tool.restore(io.BytesIO(stream.getvalue())) == 0
    assert marked(file_of(layout)) == "then"
    assert asked == [("stop", "gateway"), ("start", "gateway")]
    assert not list(layout.gateway_data.glob("passing-*"))


def test_there_and_back_where_the_log_is_on_the_volume(tool: DatabaseTool, layout: Layout) -> None:
    """The container disk is empty in between, as on a pod that was made anew."""
    given = json.loads(layout.gateway_config.read_text())
    layout.gateway_config.write_text(json.dumps(given | {"log": str(layout.gateway_log)}))
    stream = io.BytesIO()
    for number, word in enumerate(("then", "now")):
        database = open_database(load(layout.gateway_config))
        database.run_now(partial(sql_helpers.set_meta, name="mark", value=word))
        database.close()
        file_of(layout).unlink()
        if number == 0:
            assert tool.backup(stream) == 0
    assert tool.restore(io.BytesIO(stream.getvalue())) == 0
    file_of(layout).unlink()
    database = open_database(load(layout.gateway_config))
    assert database.run_now(partial(sql_helpers.get_meta, name="mark")) == "then"
    database.close()


def test_what_is_no_backup_changes_nothing_and_the_gateway_is_back(tool: DatabaseTool, layout: Layout) -> None:
    Database(file_of(layout)).close()
    mark(file_of(layout), "mine")
    assert tool.restore(io.BytesIO(b"no backup")) == 2
    assert marked(file_of(layout)) == "mine"


def test_a_gateway_that_does_not_stop_is_left_alone(
    tool: DatabaseTool, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "control", lambda *_arguments: (7, "no"))
    assert tool.restore(io.BytesIO(b"")) == 7
    assert not file_of(layout).exists()


def test_wrong_arguments_print_the_usage(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_ROOT", str(layout.root))
    monkeypatch.setattr(sys, "argv", ["database", "backup"])
    assert database.main() == 2
