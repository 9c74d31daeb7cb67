"""The OpenAPI document: complete, valid, and with examples."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from provisioning.gateway.core.http.operation import Operation
from provisioning.gateway.core.problems import CATALOGUE
from provisioning.gateway.routes import OPERATIONS
from tests.unit.gateway.conformance import DOCUMENT, resolved
from tests.unit.gateway.conftest import Gate

SINGLE = [
    (path, method, item[method]) for path, item in DOCUMENT["paths"].items() for method in item if method != "servers"
]


def test_every_operation_is_declared_once() -> None:
    keys = [operation.key for operation in OPERATIONS]
    assert len(SINGLE) == len(keys) == len(set(keys))


def test_the_document_is_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


async def test_the_document_requires_a_key(gate: Gate) -> None:
    assert (await gate.client(None).get("/openapi.json")).status_code == 401
    assert (await gate.alice.get("/openapi.json")).json() == DOCUMENT


@pytest.mark.parametrize("declared", OPERATIONS, ids=[operation.key for operation in OPERATIONS])
def test_security_matches_the_declared_access(declared: Operation) -> None:
    schemes = DOCUMENT["paths"][declared.path][declared.method.lower()]["security"]
    assert bool(schemes) == declared.needs_key
    scopes = [declared.scope.value] if declared.scope else []
    assert all(list(scheme.values()) == [scopes] for scheme in schemes)


@pytest.mark.parametrize(("path", "method", "operation"), SINGLE, ids=[f"{each[1]} {each[0]}" for each in SINGLE])
def test_examples_match_their_schemas(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["x-codeSamples"][0]["source"].startswith("curl")
    for parameter in operation.get("parameters", []):
        fits(parameter["example"], parameter["schema"])
    for content in operation.get("requestBody", {}).get("content", {}).values():
        fits(content["example"], content["schema"])
    for status, answer in operation["responses"].items():
        for media, content in resolved(answer).get("content", {}).items():
            assert media == "*/*" or "example" in content or "examples" in content, (path, method, status)
            examples = [resolved(found)["value"] for found in content.get("examples", {}).values()]
            for example in [*([content["example"]] if "example" in content else []), *examples]:
                fits(example, content.get("schema", {}))


def fits(example: object, schema: dict[str, Any]) -> None:
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(example)


def test_every_error_of_the_catalogue_has_an_example() -> None:
    assert {code.value for code in CATALOGUE} <= DOCUMENT["components"]["examples"].keys()
