from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestServer
from sqlalchemy import URL, make_url
from starlette.types import Receive, Send

from provisioning.gateway.accounts import key_format, key_repository
from provisioning.gateway.accounts.records import KeyRecord
from provisioning.gateway.accounts.store import KeyStore
from provisioning.gateway.app import Gateway
from provisioning.gateway.core.database.database import Database, open_database
from provisioning.gateway.core.rate_limiter import Limiter
from provisioning.gateway.core.scopes import Scope
from provisioning.gateway.core.settings import GatewaySettings
from provisioning.gateway.factory import create_app
from provisioning.gateway.jobs.job_usage import JobQuotas
from provisioning.gateway.jobs.ledger import Ledger
from provisioning.gateway.server import nginx as server_nginx
from provisioning.gateway.server.nginx_config import SOCKET, Address, ClientLimits, render
from provisioning.gateway.server.serve import Server, server_config
from provisioning.gateway.upstream.client import DEFAULT_LIMITS, ComfyUIHttpClient, UpstreamLimits
from tests.emulator.public_ports import kept_port
from tests.unit.gateway import postgres
from tests.unit.gateway.conformance import CheckedTransport
from tests.unit.gateway.fake import FakeComfyUI
from tests.unit.gateway.receiver import Receiver, receiving
from tools.system_packages import where

UNKNOWN_KEY = key_format.PREFIX + "0" * 40 + key_format.checksum(key_format.PREFIX + "0" * 40)
"""Well formed, and never issued."""

HOST = "gateway.test"
PEPPER = "pepper-of-the-tests-0123456789"


@dataclass
class ManualClock:
    """A clock that moves when told."""

    now: float = 1_700_000_000.0

    def now_ms(self) -> int:
        return round(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Keyring:
    """One key of each kind; alice and bob are strangers."""

    alice: str = field(default_factory=key_format.mint)
    bob: str = field(default_factory=key_format.mint)
    admin: str = field(default_factory=key_format.mint)

    def seeds(self) -> list[dict[str, Any]]:
        scopes = {"alice": ["client"], "bob": ["client"], "admin": ["client", "admin"]}
        return [{"name": name, "key": getattr(self, name), "scopes": given} for name, given in scopes.items()]


class Keys(KeyStore):
    """The store with short cuts that no client has."""

    async def create(self, name: str, scopes: frozenset[Scope], owner: str | None = None) -> str:
        """Issue a key that nobody looked at."""
        token = key_format.mint()
        key_id, digest = key_format.key_id(token) or "", self.digest(token)
        record = KeyRecord(key_id, name, owner or key_id, scopes, digest, seeded=False, created_at=self.clock.now_ms())
        await self.change(lambda connection: key_repository.add(connection, record))
        return token

    async def revoke(self, key_id: str) -> None:
        """End a key."""
        await self.change(lambda connection: key_repository.revoke(connection, key_id, self.clock.now_ms()))


@dataclass
class Gate:
    """A gateway with everything around it."""

    app: Gateway
    settings: GatewaySettings
    comfy: FakeComfyUI
    clock: ManualClock
    keyring: Keyring
    database: Database
    store: Keys
    ledger: Ledger
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def client(self, token: str | None, **headers: str) -> httpx.AsyncClient:
        """Return an HTTP client that bears a key."""
        auth = {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.AsyncClient(
            transport=CheckedTransport(httpx.ASGITransport(app=hanging_up(self.app))),
            base_url=f"http://{HOST}",
            headers=auth | headers,
        )
        self.clients.append(client)
        return client

    @property
    def alice(self) -> httpx.AsyncClient:
        return self.client(self.keyring.alice)

    @property
    def bob(self) -> httpx.AsyncClient:
        return self.client(self.keyring.bob)

    @property
    def admin(self) -> httpx.AsyncClient:
        return self.client(self.keyring.admin)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.database.run_now(lambda connection: [tuple(row) for row in connection.exec_driver_sql(sql)])


def hanging_up(app: Gateway) -> Callable[..., Awaitable[None]]:
    """Return the app as seen by a client that hangs up once an endless stream has begun."""

    async def serve(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["path"] != "/api/gateway/events":
            await app(scope, receive, send)
            return
        begun, last = asyncio.Event(), {"more_body": False}

        async def hang_up() -> MutableMapping[str, Any]:
            await begun.wait()
            return {"type": "http.disconnect"}

        async def note(message: MutableMapping[str, Any]) -> None:
            last.update(more_body=message.get("more_body", False))
            await send(message)
            if last["more_body"]:
                begun.set()

        await app(scope, hang_up, note)
        if last["more_body"]:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return serve


def workflow(prefix: object = "ComfyUI", **load: str) -> dict[str, Any]:
    """Return a small workflow; `load` becomes a LoadImage node's inputs."""
    graph: dict[str, Any] = {
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}}
    }
    if load:
        graph["1"] = {"class_type": "LoadImage", "inputs": load}
    return graph


async def submit(client: httpx.AsyncClient, **body: object) -> str:
    """Submit a workflow and return the job's id."""
    answer = await client.post("/prompt", json={"prompt": workflow(), **body})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt_id"])


async def taken(gate: Gate, job: str) -> None:
    """Wait until ComfyUI has a job, and the gateway knows."""
    await until(lambda: any(item[1] == job for item in gate.comfy.pending + gate.comfy.running))
    live = gate.app.services.tracker.get(job)
    await until(lambda: live is None or not live.posting)


async def lose(gate: Gate, job: str) -> None:
    """Have ComfyUI forget a job, as when it is started anew."""
    await taken(gate, job)
    gate.comfy.pending.clear()
    gate.comfy.running.clear()
    await gate.app.services.tracker.reconcile()


async def finish(gate: Gate, job: str, error: dict[str, Any] | None = None) -> dict[str, Any]:
    """Have ComfyUI run a job to its end; returns the file it made, in ComfyUI's names."""
    await taken(gate, job)
    await gate.comfy.begin(job)
    file = await gate.comfy.end(job, error=error)
    await until(lambda: gate.app.services.tracker.get(job) is None)
    return file


async def until(condition: Callable[[], Any | Awaitable[Any]], seconds: float = 120) -> None:
    """Wait for something that comes over a loopback socket."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)


@pytest.fixture
async def comfy() -> AsyncIterator[tuple[FakeComfyUI, str]]:
    fake = FakeComfyUI()
    server = TestServer(fake.app(), host="127.0.0.1")
    await server.start_server()
    yield fake, f"http://127.0.0.1:{server.port}"
    for client in fake.sockets.values():
        await client.close()
    await server.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Server]:
    """Return a PostgreSQL that serves this session alone."""
    with postgres.serving() as server:
        yield server


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SQLite file in the newest form without rows: to migrate one costs as much as most tests."""
    path = tmp_path_factory.mktemp("empty") / "gateway.db"
    Database(path).close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, empty_file: Path, tmp_path: Path) -> Iterator[URL]:
    """Return where an empty database is, of each kind in turn."""
    if request.param == "postgresql":
        server: postgres.Server = request.getfixturevalue("postgresql")
        address = server.fresh()
        yield address
        server.drop(address)
    else:
        shutil.copy(empty_file, tmp_path / "gateway.db")
        yield make_url(f"sqlite:///{tmp_path / 'gateway.db'}")


@pytest.fixture
def database(address: URL) -> Iterator[Database]:
    """Return a database, of each kind in turn."""
    database = Database(address)
    yield database
    database.close()


@pytest.fixture
def overrides() -> dict[str, Any]:
    """Return settings that a test module or test may override."""
    return {}


@pytest.fixture
def internal() -> dict[str, Any]:
    """Return the internal limits that a test overrides."""
    return {}


@pytest.fixture
def upstream_limits() -> UpstreamLimits:
    """Return the limits of requests to ComfyUI; a test may override them."""
    return DEFAULT_LIMITS


@pytest.fixture
async def gate(
    comfy: tuple[FakeComfyUI, str],
    tmp_path: Path,
    empty_file: Path,
    overrides: dict[str, Any],
    internal: dict[str, Any],
    upstream_limits: UpstreamLimits,
) -> AsyncIterator[Gate]:
    keyring, clock = Keyring(), ManualClock()
    shutil.copy(empty_file, tmp_path / "gateway.db")
    base: dict[str, Any] = {
        "upstream": comfy[1],
        "database": tmp_path / "gateway.db",
        "hosts": [HOST],
        "rate_limit_per_minute": 100_000,
        "failed_logins_per_minute": 100_000,
        "usd_per_hour": 3.6,
        "pepper": PEPPER,
        "seed_keys": keyring.seeds(),
        "poll_seconds": 60,
        "internal": internal,
    }
    settings = GatewaySettings.model_validate(base | overrides)
    async with opened(settings, clock, upstream_limits) as (app, database, store, ledger):
        gate = Gate(app, settings, comfy[0], clock, keyring, database, store, ledger)
        await until(lambda: app.services.comfyui_listener.connected)
        yield gate
        for client in gate.clients:
            await client.aclose()


@contextlib.asynccontextmanager
async def opened(
    settings: GatewaySettings, clock: ManualClock, upstream_limits: UpstreamLimits = DEFAULT_LIMITS
) -> AsyncIterator[tuple[Gateway, Database, Keys, Ledger]]:
    """Start a gateway and stop it."""
    database = open_database(settings)
    store = Keys(database, PEPPER, clock)
    ledger = Ledger(database, settings.usd_per_hour, JobQuotas.of(settings, settings.usd_per_hour), clock)
    upstream = ComfyUIHttpClient(settings.upstream, upstream_limits)
    app = create_app(settings, keys=store, limiter=Limiter(clock), ledger=ledger, upstream=upstream, clock=clock)
    try:
        await app.start()
        yield app, database, store, ledger
    finally:
        await app.stop()
        database.close()


@pytest.fixture
def limits() -> ClientLimits:
    """Return what a client may take of nginx; a test may override it."""
    return ClientLimits()


SYSTEM_NGINX = where("nginx")
NGINX_BUILDS = (
    pytest.param(server_nginx.binary(), id="locked"),
    pytest.param(
        Path(SYSTEM_NGINX or ""), id="system", marks=pytest.mark.skipif(SYSTEM_NGINX is None, reason="no nginx-light")
    ),
)


@pytest.fixture
def nginx() -> Path:
    """Return the nginx that stands in front of the gateway."""
    return server_nginx.binary()


@pytest.fixture
async def port(gate: Gate, limits: ClientLimits, nginx: Path) -> AsyncIterator[int]:
    """Serve the gateway behind nginx and return nginx's port."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as name:
        folder, address = Path(name), Address("127.0.0.1", kept_port())
        config = server_config(gate.settings, gate.app, folder / SOCKET)
        config.lifespan = "off"
        server = Server(config, gate.app)
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        with server_nginx.running(nginx, render(address, folder, limits), folder, lambda: None) as front:
            await until(lambda: front.poll() is not None or listens(address))
            assert front.poll() is None, "nginx did not start"
            yield address.port
        server.should_exit = True
        server.force_exit = True
        await serving


async def listens(address: Address) -> bool:
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found
