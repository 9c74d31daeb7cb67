"""The gateway as an ASGI app: a function of its inputs, nothing global."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import uuid
from collections.abc import Awaitable, Coroutine, Mapping
from random import getrandbits
from typing import Any

from provisioning.gateway.auth.authentication import is_signed
from provisioning.gateway.core.actor import Actor
from provisioning.gateway.core.http import dispatch, request_checks
from provisioning.gateway.core.http.exchange import Exchange, Receive, Scope, Send
from provisioning.gateway.core.http.operation import HEADER_ONLY, CredentialPolicy, Handler, Operation, RateClass
from provisioning.gateway.core.http.router import Match, Router
from provisioning.gateway.core.http.socket_route import SocketRoute
from provisioning.gateway.core.problems import Code, Problem
from provisioning.gateway.core.time_units import DAY_MS
from provisioning.gateway.events import cost_events, pod_events, setup_events
from provisioning.gateway.events.sockets import Socket
from provisioning.gateway.jobs.ledger import RequestRecord
from provisioning.gateway.keys import seeding
from provisioning.gateway.limits import refusal_throttle
from provisioning.gateway.pages import login
from provisioning.gateway.services import Services

USE_SECONDS = 10.0
"""How often it is written down when keys were last used."""

ANYWHERE: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
"""The place of a request that takes none."""

_log = logging.getLogger(__name__)
_requests = logging.getLogger("provisioning.gateway.requests")
"""One line for each request; it holds nothing of the client's but the method, since routes are patterns."""


class Gateway:
    """Answers requests; `start` and `stop` are what a server calls through the lifespan protocol."""

    def __init__(
        self, services: Services, router: Router, handlers: Mapping[str, Handler], sockets: Mapping[str, SocketRoute]
    ) -> None:
        """Take the handlers by the key of their operation, and the WebSockets by their path."""
        internal = services.settings.internal
        self.services = services
        self._router = router
        self._handlers = handlers
        self._sockets = sockets
        self._refusals = refusal_throttle.RefusalThrottle(
            internal.refusals_per_second, internal.refusal_burst, internal.refusal_delay_seconds
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection, request or lifespan."""
        if scope["type"] == "http":
            return self._http(scope, receive, send)
        if scope["type"] == "websocket":
            return self._socket(scope, receive, send)
        return self._lifespan(receive, send)

    async def start(self) -> None:
        """Seed the keys, take up unfinished jobs and connect to ComfyUI, whether it is up yet or not."""
        services = self.services
        await seeding.seed(services.keys, services.settings.seed_keys)
        # The same after a restart, so that running jobs still report.
        client_id = services.dispatch.client_id = await services.ledger.remember("client_id", uuid.uuid4().hex)
        await services.upstream.start()
        await services.tracker.load()
        services.scheduler.breaker.restore(await services.ledger.history_stats.last_broken())
        event_stream = services.event_stream
        pause = services.settings.poll_seconds
        telling = (services.job_events.tell_positions(), *self._notifications())
        jobs = (event_stream.listen(client_id), services.reconciler.run(pause), services.scheduler.run(pause))
        chores = (self._prune(), self._note_uses(), services.accounting.run(), services.streams.watch())
        works = (
            *jobs,
            *chores,
            *telling,
            self._send_webhooks(),
            services.disk_space.run(),
            services.copy_cleanup.run(),
        )
        self._tasks = [asyncio.create_task(work) for work in works]
        self._watching = asyncio.create_task(services.handover.run(self._retire))

    def _notifications(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return the background work that publishes the ends of jobs, the pod's status, costs and setup progress."""
        services, settings = self.services, self.services.settings
        return (
            services.completions.run(),
            pod_events.watch(services.pod_status, services.broadcast),
            cost_events.watch(services.costs, services.channels, services.broadcast, settings.cost_update_seconds),
            setup_events.watch(settings.setup_dir, services.broadcast),
        )

    async def _prune(self) -> None:
        services = self.services
        while True:
            with contextlib.suppress(Problem):
                before = services.clock.now_ms() - services.settings.retention_days * DAY_MS
                # The files first: it is their rows that say where they are.
                await services.expiry.run(before)
                await services.webhooks.prune()
                await services.ledger.prune(before)
            await asyncio.sleep(services.settings.internal.prune_seconds)

    async def _note_uses(self) -> None:
        while True:
            await asyncio.sleep(USE_SECONDS)
            with contextlib.suppress(Problem):
                await self.services.keys.flush()

    async def _send_webhooks(self) -> None:
        await self.services.webhooks.worker.run(self.services.payloads.render)

    def drain(self) -> None:
        """Take no new jobs and end every stream; other answers go on, and jobs go on in ComfyUI."""
        services = self.services
        services.lifecycle.draining = services.scheduler.draining = True
        services.broadcast.tell_pod(services.pod_status.document())
        services.streams.end_all()

    async def stop(self) -> None:
        """End the work in the background and write down what is left."""
        self.drain()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._retire()
        self.services.handover.note_running_jobs()
        self.services.passwords.close()
        if self.services.files is not None:
            self.services.files.close()
        await self.services.upstream.close()

    async def _retire(self) -> None:
        """End the work in the background and write down what is left of it."""
        self.services.streams.end_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.services.ledger.flush()
        with contextlib.suppress(Problem):
            await self.services.keys.flush()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        for work, name in ((self.start, "startup"), (self.stop, "shutdown")):
            await receive()
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - the server is told, and ends
                _log.exception("lifespan failed", extra={"phase": name})
                await send({"type": f"lifespan.{name}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{name}.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self.services
        received_at, began = services.clock.now_ms(), services.clock.monotonic()
        exchange = self._exchange(scope, receive, send)
        try:
            await self._answer(exchange)
        finally:
            self._record(exchange, received_at, services.clock.monotonic() - began)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(self.services.settings.deadline_seconds) as exchange.deadline:
                await self._handle(exchange)
        except Problem as problem:
            await self._fail(exchange, problem)
        except TimeoutError:
            await self._fail(exchange, Problem(Code.DEADLINE_EXCEEDED))
        except Exception:  # noqa: BLE001 - whatever it was, the client learns nothing of it
            _log.exception("request failed", extra={"request_id": exchange.request_id})
            await self._fail(exchange, Problem(Code.INTERNAL_ERROR))

    async def _fail(self, exchange: Exchange, problem: Problem) -> None:
        if exchange.started:
            # Too late for another answer: the connection is cut, so that nobody takes a part for the whole.
            raise ConnectionAbortedError(problem.code.value) from problem
        exchange.deadline = None
        if exchange.is_page and problem.entry.status == 401:
            await login.redirect(exchange, login.address(exchange.scope["path"]))
            return
        if problem.entry.status in refusal_throttle.STATUSES:
            await asyncio.sleep(self._refusals.delay(asyncio.get_running_loop().time()))
        await exchange.send_problem(problem)

    async def _handle(self, exchange: Exchange) -> None:
        scope, settings = exchange.scope, self.services.settings
        path = request_checks.plain_path(scope)
        match, place = self._router.find(exchange.method, path), ANYWHERE
        operation = match.operation if isinstance(match, Match) else None
        request_checks.check_host(scope, settings, public=operation is not None and operation.is_public)
        if operation is None or not operation.is_public:
            self.services.handover.check()
        if operation is None or operation.needs_key:
            exchange.is_page = operation is not None and operation.web and _is_navigation(exchange)
            credentials = operation.credentials if operation else HEADER_ONLY
            exchange.actor = await self._authenticate(scope, path, credentials)
            place = self.services.limits.admit(exchange, operation.rate if operation else RateClass.PLAIN)
            if operation is not None and operation.signed and is_signed(scope):
                # Signing is for handing a picture on; whoever may have it may show it in a page of their own.
                exchange.extra_headers.append(("cross-origin-resource-policy", "cross-origin"))
        if isinstance(match, Problem):
            raise match
        with ANYWHERE if match.operation.lasting else place:
            await self._serve(exchange, match)

    async def _authenticate(self, scope: Scope, path: str, credentials: CredentialPolicy) -> Actor:
        try:
            return await self.services.authenticator.authenticate(scope, path, credentials)
        except Problem as problem:
            self.services.limits.failed(scope, problem)
            raise

    async def _serve(self, exchange: Exchange, match: Match) -> None:
        scope, settings, operation = exchange.scope, self.services.settings, match.operation
        exchange.route, exchange.params = operation.path, match.params
        request_checks.check_origin(scope, settings, safe=exchange.method in request_checks.SAFE_METHODS)
        if exchange.method not in request_checks.SAFE_METHODS:
            self.services.ledger.database.check()
        if operation.scope is not None:
            request_checks.check_scope(exchange.who, operation.scope)
        exchange.query = request_checks.read_query(scope)
        if operation.rate is RateClass.UPLOAD:
            await self._upload(exchange, operation)
        else:
            await self._call(exchange, operation)

    def _call(self, exchange: Exchange, operation: Operation) -> Awaitable[None]:
        return dispatch.call(operation, self._handlers[operation.key], exchange)

    async def _upload(self, exchange: Exchange, operation: Operation) -> None:
        declared = exchange.header("content-length") or ""
        size = int(declared) if declared.isdigit() and len(declared) < 20 else self.services.settings.max_upload_bytes
        async with self.services.accounting.upload(exchange.who, size) as stored:
            await self._call(exchange, operation)
            stored.size = exchange.bytes_in

    def _record(self, exchange: Exchange, received_at: int, seconds: float) -> None:
        key_id = exchange.actor.key_id if exchange.actor else ""
        row = RequestRecord(
            exchange.request_id, key_id, exchange.job_id, exchange.method, exchange.route, exchange.status, received_at,
            round(seconds * 1000), exchange.bytes_in, exchange.bytes_out,
        )  # fmt: skip
        self.services.metrics.answered(row.method, row.route, row.status, seconds)
        if exchange.problem is not None:
            self.services.metrics.refused(exchange.problem)
        if key_id:
            self.services.ledger.record(row)
        _requests.info("request", extra=row._asdict())

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self.services
        received_at, began = services.clock.now_ms(), services.clock.monotonic()
        await receive()
        exchange = self._exchange(scope, receive, _refusing(send))
        try:
            route = await self._admit_socket(exchange)
            socket = Socket(services.limiter, services.settings, exchange, receive, send)
            check = functools.partial(services.authenticator.recheck, exchange.who)
            await route.handler(exchange, socket, check)
            exchange.status = 101
        except Problem as problem:
            await exchange.send_problem(problem)
        finally:
            self._record(exchange, received_at, services.clock.monotonic() - began)

    async def _admit_socket(self, exchange: Exchange) -> SocketRoute:
        """Check a WebSocket as a request that changes something."""
        scope, services = exchange.scope, self.services
        path = request_checks.plain_path(scope)
        route = self._sockets.get(path)
        request_checks.check_host(scope, services.settings, public=False)
        exchange.actor = await self._authenticate(scope, path, route.operation.credentials if route else HEADER_ONLY)
        services.limits.admit(exchange, RateClass.PLAIN)
        if route is None:
            raise Problem(Code.NOT_FOUND)
        exchange.route = route.operation.path
        request_checks.check_scope(exchange.who, route.operation.scope)
        request_checks.check_origin(scope, services.settings, safe=False)
        services.lifecycle.check_accepting()
        exchange.query = request_checks.read_query(scope)
        return route

    def _exchange(self, scope: Scope, receive: Receive, send: Send) -> Exchange:
        # A name and no secret: nothing is opened by it.
        request_id = f"req_{getrandbits(128):032x}"
        return Exchange(scope, receive, send, request_id=request_id, idle_seconds=self.services.settings.idle_seconds)


def _is_navigation(exchange: Exchange) -> bool:
    """Return whether a browser wants to show the answer to a person."""
    return exchange.method == "GET" and "text/html" in (exchange.header("accept") or "")


def _refusing(send: Send) -> Send:
    async def refuse(message: Scope) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return refuse
