"""The routes of /api/jobs: list, show and cancel jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from .jobs import STATUSES, Job, all_jobs, cancel, check_id, one_job
from .requests import bad_request, server_of

ROUTES = web.RouteTableDef()


@ROUTES.get("/api/jobs")
async def get_jobs(request: web.Request) -> web.Response:
    """List jobs, filtered, sorted and in pages."""
    query = request.query
    try:
        statuses, sort_key, reverse = _filter(query), _sort_key(query), _is_descending(query)
        limit, offset = _limit(query), max(0, _number(query, "offset") or 0)
    except ValueError as error:
        return bad_request(str(error))
    jobs = [job for job in all_jobs(server_of(request).queue) if job["status"] in statuses]
    if workflow_id := query.get("workflow_id"):
        jobs = [job for job in jobs if job.get("workflow_id") == workflow_id]
    jobs.sort(key=sort_key, reverse=reverse)
    page = jobs[offset:][:limit]
    more = offset + len(page) < len(jobs)
    pages = {"offset": offset, "limit": limit, "total": len(jobs), "has_more": more}
    return web.json_response({"jobs": page, "pagination": pages})


@ROUTES.get("/api/jobs/{job_id}")
async def get_job(request: web.Request) -> web.Response:
    """Tell one job with its workflow."""
    job = one_job(server_of(request).queue, request.match_info["job_id"])
    if job is None:
        return web.json_response({"error": "Job not found"}, status=404)
    return web.json_response(job)


@ROUTES.post("/api/jobs/{job_id}/cancel")
async def cancel_job(request: web.Request) -> web.Response:
    """End one job wherever it is; does nothing, in peace, where there is none."""
    return web.json_response({"cancelled": cancel(server_of(request).queue, request.match_info["job_id"])})


@ROUTES.post("/api/jobs/cancel")
async def cancel_jobs(request: web.Request) -> web.Response:
    """End several jobs; refuses all when one id is malformed."""
    try:
        body = await request.json()
    except json.JSONDecodeError:
        return bad_request("Request body must be valid JSON")
    ids = body.get("job_ids") if isinstance(body, dict) else None
    if not isinstance(ids, list):
        return bad_request("job_ids must be a list")
    malformed = [one if isinstance(one, str) else repr(one) for one in ids if not _is_id(one)]
    if malformed:
        return bad_request("job_ids contains invalid id(s)", invalid_ids=malformed)
    # Each of them is ended; any() on a generator would stop at the first.
    ended = [cancel(server_of(request).queue, one) for one in ids]
    return web.json_response({"cancelled": any(ended)})


def _filter(query: Mapping[str, str]) -> list[str]:
    wanted = [status.strip().lower() for status in query.get("status", "").split(",") if status.strip()]
    unknown = [status for status in wanted if status not in STATUSES]
    if unknown:
        raise ValueError(f"Invalid status value(s): {', '.join(unknown)}. Valid values: {', '.join(STATUSES)}")
    return wanted or list(STATUSES)


def _sort_key(query: Mapping[str, str]) -> Callable[[Job], Any]:
    name = query.get("sort_by", "created_at").lower()
    if name not in {"created_at", "execution_duration"}:
        raise ValueError("sort_by must be 'created_at' or 'execution_duration'")
    if name == "created_at":
        return lambda job: job.get("create_time", 0)
    return lambda job: job["execution_end_time"] - job["execution_start_time"] if "execution_end_time" in job else 0


def _is_descending(query: Mapping[str, str]) -> bool:
    order = query.get("sort_order", "desc").lower()
    if order not in {"asc", "desc"}:
        raise ValueError("sort_order must be 'asc' or 'desc'")
    return order == "desc"


def _limit(query: Mapping[str, str]) -> int | None:
    limit = _number(query, "limit")
    if limit is not None and limit <= 0:
        raise ValueError("limit must be a positive integer")
    return limit


def _number(query: Mapping[str, str], name: str) -> int | None:
    try:
        return int(query[name]) if name in query else None
    except ValueError as error:
        raise ValueError(f"{name} must be an integer") from error


def _is_id(value: object) -> bool:
    try:
        check_id(value)
    except ValueError:
        return False
    return True
