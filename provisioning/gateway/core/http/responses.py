"""Answers that Starlette has no class for."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from provisioning.gateway.core.problems import Problem


class JsonResponse(JSONResponse):
    """An answer that orjson writes."""

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - any JSON
        """Return the body."""
        return orjson.dumps(content)


def document_response(document: BaseModel, status: int) -> Response:
    """Return an answer that pydantic writes."""
    return Response(document.model_dump_json(by_alias=True), status, media_type="application/json")


def problem_response(problem: Problem, path: str, request_id: str) -> Response:
    """Return an error in the form of the API that the path belongs to."""
    is_v2 = path.startswith("/api/v2/")
    body = problem.v2_body(request_id) if is_v2 else problem.body(request_id)
    return JsonResponse(body, problem.entry.status, headers=dict(problem.headers()))
