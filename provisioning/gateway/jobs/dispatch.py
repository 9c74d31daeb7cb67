"""Dispatching a job to ComfyUI; the database records at every moment whether ComfyUI may have the job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from provisioning.gateway.assets.repository import Asset, AssetStore
from provisioning.gateway.assets.staging import workflow_files
from provisioning.gateway.assets.staging.inputs import InputStaging
from provisioning.gateway.assets.store.paths import StoredCopy, store_path_of
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.jobs import workflow_rewrite
from provisioning.gateway.jobs.job import Job, JobState
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.jobs.tracker import Tracker
from provisioning.gateway.upstream.client import ComfyUIClient, Request
from provisioning.gateway.upstream.node_catalogue import CatalogueCache
from provisioning.gateway.upstream.stored_file import StoredFile

NOT_SENT = frozenset({Code.UPSTREAM_UNAVAILABLE, Code.STORE_UNAVAILABLE, Code.STORAGE_FULL, Code.TAKEN_OVER})
"""Problems after which the job was certainly not sent: no connection, or the dispatch was not recorded."""

MAY_BE_SENT = frozenset({Code.UPSTREAM_TIMEOUT, Code.UPSTREAM_ERROR})
"""Problems after which the job may be running: it is followed until its state is known."""


class Dispatch:
    """Rewrites workflows and sends jobs."""

    client_id = ""
    """The client id of the gateway's WebSocket to ComfyUI."""

    def __init__(
        self,
        tracker: Tracker,
        ledger: Ledger,
        assets: AssetStore,
        catalogue: CatalogueCache,
        staging: InputStaging,
    ) -> None:
        self._staging = staging
        self._tracker = tracker
        self._ledger = ledger
        self._assets = assets
        self._catalogue = catalogue

    async def rewrite(self, job: Job) -> workflow_rewrite.Graph:
        """Return a job's workflow in the form for ComfyUI; raises Problem when it names files of other owners."""
        graph: workflow_rewrite.Graph = job.graph
        return await self._rewrite(job, graph, await self._named(job, graph))

    async def _rewrite(
        self, job: Job, graph: workflow_rewrite.Graph, named: Mapping[str, Asset]
    ) -> workflow_rewrite.Graph:
        assets = {asset_id: _loaded_name(asset.file) for asset_id, asset in named.items()}
        catalogue = await self._catalogue.get()
        return workflow_rewrite.rewrite(
            graph, workflow_rewrite.RewriteRules(self._tracker.namespace(job), job.id, catalogue.file_inputs, assets)
        )

    async def _named(self, job: Job, workflow: workflow_rewrite.Graph) -> dict[str, Asset]:
        """Return the owner's assets that a workflow names, by id."""
        ids = workflow_rewrite.asset_ids(workflow)
        return await self._assets.of_ids(ids, None if job.admin else job.owner) if ids else {}

    async def send(self, job: Job, upstream: ComfyUIClient) -> None:
        """Send a waiting job; raises Problem, and the job keeps waiting, when ComfyUI or the database is away."""
        job.state, job.posting, job.attempts = JobState.DISPATCHING, True, job.attempts + 1
        try:
            await self._send(job, upstream)
        except Problem as problem:
            await self._failed(job, problem)
        finally:
            job.posting = False
            if job.state is not JobState.ACCEPTED:
                job.decided.set()

    async def _send(self, job: Job, upstream: ComfyUIClient) -> None:
        await self._ledger.dispatching(job)
        graph: workflow_rewrite.Graph = job.graph
        named = await self._named(job, graph)
        workflow = await self._rewrite(job, graph, named)
        payload = {"prompt": workflow, "prompt_id": job.id, "client_id": self.client_id}
        headers = {"Content-Type": "application/json"}
        request = Request("POST", "/prompt", headers=headers, body=orjson.dumps(payload))
        await self._place(job, workflow, named.values())
        # Staging the files may have taken long; another gateway may have taken over meanwhile.
        self._ledger.database.check()
        status, answer = await upstream.call(request)
        if status == 400 and await self._place(job, workflow, named.values(), again=True):
            # ComfyUI lost a staged file: it has just restarted, or a delayed deletion removed the file.
            status, answer = await upstream.call(request)
        answer = self._tracker.namespace(job).clean(answer) if isinstance(answer, dict) else {}
        if status != 200:
            raise _refusal(status, answer)
        if answer.get("prompt_id") != job.id:
            raise Problem(Code.UPSTREAM_ERROR)
        job.answer = answer
        # Not written down: after a restart both states mean that ComfyUI may have the job.
        if job.state is JobState.DISPATCHING:
            job.state = JobState.QUEUED

    async def _place(
        self, job: Job, workflow: workflow_rewrite.Graph, named: Iterable[Asset], *, again: bool = False
    ) -> bool:
        """Stage every file that a workflow names; returns whether a file was copied."""
        root = self._tracker.namespace(job).root
        files = [StoredCopy(asset.file, store_path_of(asset.file, asset.job_id)) for asset in named]
        files += workflow_files.kept(workflow, root)
        # Recorded first: from here on copy_cleanup keeps these files.
        self._staging.named[job.id] = frozenset(kept.file for kept in files)
        if again:
            for kept in files:
                self._staging.mark_missing(kept.file)
        elif not root:
            await self._staging.stage_last_numbered(workflow)
        try:
            return await self._staging.stage(files) > 0
        except Problem as problem:
            if problem.code is Code.UPSTREAM_ERROR:
                # ComfyUI rejects the file: its response to the workflow then is the job's answer.
                return False
            # The job was not sent: it can wait.
            raise Problem(Code.UPSTREAM_UNAVAILABLE) if problem.code is Code.UPSTREAM_TIMEOUT else problem from problem

    async def _failed(self, job: Job, problem: Problem) -> None:
        if problem.code in MAY_BE_SENT and not problem.members:
            job.refusal = problem
        elif problem.code in NOT_SENT and not job.awaited:
            job.attempts -= 1
            await self._tracker.requeue(job)
            raise problem
        else:
            job.refusal = problem
            await self._tracker.reject(job, problem.code.value)


def _loaded_name(file: StoredFile) -> str:
    name = "/".join(filter(None, (file.subfolder, file.filename)))
    return name if file.type == "input" else f"{name} [{file.type}]"


def _refusal(status: int, answer: dict[str, Any]) -> Problem:
    error, nodes = _error(answer.get("error")), answer.get("node_errors")
    code = Code.INVALID_WORKFLOW if status == 400 else Code.UPSTREAM_ERROR
    detail = f"{error.get('message', '')} {error.get('details', '')}".strip()
    members: dict[str, Any] = {"node_errors": nodes if isinstance(nodes, dict) else {}}
    if error:
        members["error"] = error | {"code": code.value}
    return Problem(code, (detail or None) if status == 400 else None, members=members)


def _error(given: object) -> dict[str, Any]:
    """Return an error in the form of ComfyUI's clients; empty when it has no message."""
    if not isinstance(given, dict) or not isinstance(given.get("message"), str):
        return {}
    texts = {name: given[name] if isinstance(given.get(name), str) else "" for name in ("type", "message", "details")}
    extra = given.get("extra_info")
    return given | texts | {"extra_info": extra if isinstance(extra, dict) else {}}
