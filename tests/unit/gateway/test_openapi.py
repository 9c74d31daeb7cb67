"""The served OpenAPI document: whole, valid, and with an example of everything."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from provisioning.gateway.access.scopes import Scope
from provisioning.gateway.openapi.document import key_of
from provisioning.gateway.openapi.tables import OPERATIONS
from provisioning.gateway.problems import CATALOGUE
from provisioning.gateway.route import OPEN, Route
from provisioning.gateway.routes import ROUTES
from tests.unit.gateway.conformance import DOCUMENT, resolved
from tests.unit.gateway.conftest import Gate

SINGLE = [
    (path, method, item[method]) for path, item in DOCUMENT["paths"].items() for method in item if method != "servers"
]


def test_every_route_is_described_and_nothing_else() -> None:
    routes = {key_of(route) for route in ROUTES}
    missing, left = routes - OPERATIONS.keys(), OPERATIONS.keys() - routes
    assert not missing, f"put an Operation for {sorted(missing)} into a table of provisioning/gateway/openapi/tables"
    assert not left, f"take {sorted(left)} out of provisioning/gateway/openapi/tables: there is no such route"
    assert len(SINGLE) == len(ROUTES)


def test_the_document_is_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


async def test_it_is_served_to_keys_alone(gate: Gate) -> None:
    assert (await gate.client(None).get("/openapi.json")).status_code == 401
    assert (await gate.alice.get("/openapi.json")).json() == DOCUMENT


@pytest.mark.parametrize("route", ROUTES, ids=key_of)
def test_security_is_what_the_route_asks_for(route: Route) -> None:
    told = DOCUMENT["paths"][route.path][route.method.lower()]["security"]
    assert (told == []) == (route.access in OPEN)
    scopes = [route.access.value] if isinstance(route.access, Scope) else []
    assert all(list(scheme.values()) == [scopes] for scheme in told)


@pytest.mark.parametrize(("path", "method", "operation"), SINGLE, ids=[f"{each[1]} {each[0]}" for each in SINGLE])
def test_everything_has_an_example_that_fits(path: str, method: str, operation: dict[str, Any]) -> None:
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
