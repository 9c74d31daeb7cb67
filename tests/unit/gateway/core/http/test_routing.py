"""Which operation answers at a path."""

from __future__ import annotations

import re

import pytest

from provisioning.gateway.core.http.operation import Operation
from provisioning.gateway.core.http.routing import Match, OperationTable
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.editor.routes import editor_operations
from provisioning.gateway.routes import OPERATIONS

SERVED = (*OPERATIONS, *editor_operations(OPERATIONS))
TABLE = OperationTable(SERVED)


@pytest.mark.parametrize("operation", SERVED, ids=lambda operation: operation.key)
def test_every_operation_answers_at_its_own_paths(operation: Operation) -> None:
    """Also where the editor's files, which have a parameter for each folder, could be meant."""
    for path in operation.paths:
        found = TABLE.find(operation.method, re.sub(r"\{(\w+)\}", r"the-\1", path))
        assert isinstance(found, Match)
        assert found.operation is operation
        assert found.params == {name: f"the-{name}" for name in re.findall(r"\{(\w+)\}", path)}


def test_a_path_without_parameters_comes_before_one_with_them() -> None:
    found = TABLE.find("POST", "/api/jobs/cancel")
    assert isinstance(found, Match)
    assert found.operation.path == "/api/jobs/cancel"


def test_head_is_answered_by_get() -> None:
    found = TABLE.find("HEAD", "/queue")
    assert isinstance(found, Match)
    assert found.operation.key == "GET /queue"


def test_another_method_is_told_all_that_are_allowed() -> None:
    found = TABLE.find("PUT", "/queue")
    assert isinstance(found, Problem)
    assert (found.code, found.extra_headers) == (Code.METHOD_NOT_ALLOWED, (("allow", "GET, POST"),))


@pytest.mark.parametrize("path", ["/", "/nothing", "/queue/", "/api/v2/jobs/a/b/c", "/livez/x"])
def test_other_paths_are_not_there(path: str) -> None:
    found = TABLE.find("POST", path)
    assert isinstance(found, Problem)
    assert found.code is Code.NOT_FOUND
