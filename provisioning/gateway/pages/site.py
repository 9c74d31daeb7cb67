"""The documentation pages, rendered from templates; all values are escaped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from provisioning.gateway.core.limit_settings import LimitSettings
from provisioning.gateway.core.problems import CATALOGUE, RETRY_SECONDS, Code, Problem, fault
from provisioning.gateway.core.scopes import ROLES
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.docs.openapi_view import OperationView, ReferenceView
from provisioning.gateway.docs.option_view import options
from provisioning.gateway.docs.problem_responses import EXAMPLE_ID
from provisioning.gateway.docs.reference import Reference
from provisioning.gateway.pages import templating

STYLE = templating.style_sheet("style.css")

PAGES = (
    ("/docs", "Guide"),
    ("/docs/reference", "Reference"),
    ("/docs/errors", "Errors"),
    ("/docs/options", "Options"),
)

HEADERS = templating.headers(STYLE, "'none'")

TRANSIENT = frozenset({*RETRY_SECONDS, Code.RATE_LIMITED, Code.QUOTA_EXCEEDED})
"""Errors after which the same request may succeed later."""


@dataclass(frozen=True)
class ErrorView:
    """An error in the form of the pages."""

    code: str
    status: int
    title: str
    detail: str
    retryable: bool
    """Whether the same request may succeed later."""


def error_view(code: Code) -> ErrorView:
    """Return the page data of an error."""
    entry = CATALOGUE[code]
    return ErrorView(code.value, entry.status, entry.title, entry.detail, code in TRANSIENT)


class Site:
    """Renders the pages of one gateway."""

    def __init__(self, reference: Reference, settings: GatewaySettings) -> None:
        self._reference = reference
        self._settings = settings

    @cached_property
    def _view(self) -> ReferenceView:
        return ReferenceView(self._reference.document)

    def guide(self, base: str) -> bytes:
        """Return the guide; `base`: scheme and host of the request."""
        entries = {f"{entry.method} {entry.path}": entry for entry in self._view.entries}

        def sample(name: str) -> str:
            return entries[name].curl

        members = fault("/priority", "not an integer")
        problem = Problem(Code.INVALID_FIELD, "priority: must be an integer.", members=members)
        return self._page(
            "guide.html",
            here="/docs",
            base=base,
            limits=self._settings,
            roles=[(role, sorted(scopes)) for role, scopes in ROLES.items()],
            allowance=LimitSettings.model_fields,
            sample=sample,
            problem=json.dumps(problem.body(EXAMPLE_ID), indent=2),
        )

    def reference(self, base: str) -> bytes:
        """Return the page of all operations."""
        return self._page(
            "reference.html",
            here="/docs/reference",
            base=base,
            groups=self._view.groups,
            common=self._view.common,
        )

    def errors(self) -> bytes:
        """Return the error catalogue."""
        entries = sorted((error_view(code) for code in CATALOGUE), key=lambda entry: (entry.status, entry.code))
        return self._page("errors.html", here="/docs/errors", entries=entries, example=_example(Code.RATE_LIMITED))

    def options(self) -> bytes:
        """Return the page of the operator's options."""
        return self._page("options.html", here="/docs/options", options=options())

    def error(self, code: Code) -> bytes:
        """Return the page of an error."""
        users = [entry for entry in self._view.entries if _answers(entry, code)]
        common = code.value in {own for _, own in self._view.common}
        return self._page(
            "error.html", here="", entry=error_view(code), example=_example(code), users=users, common=common
        )

    def _page(self, name: str, **values: Any) -> bytes:  # noqa: ANN401 - a template's own
        return templating.render(name, STYLE, pages=PAGES, **values)


def _answers(entry: OperationView, code: Code) -> bool:
    return code.value in {own for _, own in entry.errors}


def _example(code: Code) -> str:
    members = {"violated-policies": ["perkey"]} if code is Code.RATE_LIMITED else {}
    seconds = 12.0 if code is Code.RATE_LIMITED else None
    return json.dumps(Problem(code, retry_after=seconds, members=members).body(EXAMPLE_ID), indent=2)
