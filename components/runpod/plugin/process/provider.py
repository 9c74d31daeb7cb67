"""The provider: dispatches each engine request to its resource handler, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from pulumi.provider.experimental import provider as sdk

from components.runpod.api.client import Client
from components.runpod.api.transport import ClientHooks
from components.runpod.intents import Intents
from components.runpod.plugin.base import settings as config
from components.runpod.plugin.base.account_check import AccountCheck
from components.runpod.plugin.base.property_codec import Values, decode, encode
from components.runpod.plugin.base.resource import (
    CancelToken,
    Changes,
    ProviderOperation,
    Reporter,
    ResourceHandler,
    token_of,
)
from components.runpod.plugin.base.settings import ProviderSettings
from components.runpod.plugin.invokes.functions import invoke
from components.runpod.plugin.process.dependencies import NO_CHOICES, REAL_TIME, Clocks, OperatorChoices
from components.runpod.plugin.process.engine_log import CURRENT_URN
from components.runpod.plugin.resources.registry import HANDLERS
from components.runpod.state_file import SavedState

Result = TypeVar("Result")
_SCHEMA = Path(__file__).parents[2] / "schema.json"


class RunPodProvider(sdk.Provider):
    """The provider and its state for the lifetime of the plugin process."""

    def __init__(
        self,
        reporter: Reporter,
        intents: Intents,
        before_send: Callable[[], None],
        checkpoint: SavedState,
        clocks: Clocks = REAL_TIME,
        choices: OperatorChoices = NO_CHOICES,
    ) -> None:
        self.stop = CancelToken()
        self._reporter = reporter
        self._intents = intents
        self._checkpoint = checkpoint
        self._clocks = clocks
        self._stack_files = choices.stack_files
        self._account = AccountCheck(believes=choices.missing_is_gone)
        self._before_send = before_send
        self._settings = ProviderSettings()
        self._client: Client | None = None
        self._ids: dict[str, frozenset[str]] = {}
        self._born: set[str] = set()
        self._ended: set[str] = set()
        # Waiting for one pod must not block the others; the default pool depends on the number of CPUs.
        self._threads = ThreadPoolExecutor(max_workers=32, thread_name_prefix="runpod")

    async def get_schema(self, request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:  # noqa: ARG002
        """Return the package schema."""
        return sdk.GetSchemaResponse(await self._run("", partial(_SCHEMA.read_text, encoding="utf-8")))

    async def check_config(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        """Check the configuration; the key becomes a secret."""
        news = decode(request.new_inputs)
        failures = [sdk.CheckFailure(name, reason) for name, reason in config.failures(news.values)]
        return sdk.CheckResponse(encode(news.values, news.secrets | {"apiKey"}), failures)

    async def diff_config(self, request: sdk.DiffRequest) -> sdk.DiffResponse:  # noqa: ARG002
        """Leave the comparison to the engine, so that a new key is an update of the provider and replaces nothing.

        Saying `changes=True` here reaches the engine as "no change", and the old key would stay in use.
        """
        return sdk.DiffResponse(changes=None)

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        """Apply the configuration."""
        self._settings = ProviderSettings.parse(decode(request.args).values)
        return sdk.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def invoke(self, request: sdk.InvokeRequest) -> sdk.InvokeResponse:
        """Call a function."""
        work = partial(invoke, self._operation(""), request.tok, decode(request.args).values)
        return sdk.InvokeResponse(encode(await self._run("", work), ()))

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        """Check a resource's inputs."""
        kind, olds, news = _kind(request.urn), decode(request.old_inputs), decode(request.new_inputs)
        work = partial(kind.check, self._operation(request.urn), olds.values, news.values)
        inputs, failures = await self._run(request.urn, work)
        wrong = [sdk.CheckFailure(name, reason) for name, reason in failures]
        return sdk.CheckResponse(encode(inputs, news.secrets | kind.secrets), wrong)

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        """Compare state and inputs."""
        await self._known(request.urn, request.resource_id)
        state, inputs = decode(request.old_state).values, decode(request.new_inputs).values
        for name in request.ignore_changes:
            inputs[name] = state.get(name)
        kind = _kind(request.urn)
        decide = partial(kind.decide, self._operation(request.urn), request.resource_id, state, inputs)
        return _diff_response(kind, await self._run(request.urn, decide))

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        """Create a resource, or return the known outputs in a preview."""
        kind, news = _kind(request.urn), decode(request.properties)
        secrets = kind.secrets | news.secrets
        if request.preview:
            return sdk.CreateResponse("", encode(kind.preview_create(news.values), secrets))
        work = partial(self._make, kind, self._operation(request.urn, request.timeout), news.values)
        resource_id, outputs = await self._run(request.urn, work)
        self._born.add(resource_id)
        return sdk.CreateResponse(resource_id, encode(outputs, secrets))

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        """Read a resource from RunPod."""
        await self._known(request.urn, request.resource_id)
        kind, state, inputs = _kind(request.urn), decode(request.properties), decode(request.inputs)
        secrets = kind.secrets | inputs.secrets
        work = partial(kind.read, self._operation(request.urn), request.resource_id, state.values, inputs.values)
        found = await self._run(request.urn, work)
        if found is None:
            return sdk.ReadResponse()
        return sdk.ReadResponse(request.resource_id, encode(found.outputs, secrets), encode(found.inputs, secrets))

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        """Update a resource in place, or return the known outputs in a preview."""
        await self._known(request.urn, request.resource_id)
        kind, state, news = _kind(request.urn), decode(request.olds), decode(request.news)
        secrets = kind.secrets | news.secrets
        if request.preview:
            return sdk.UpdateResponse(encode(kind.preview_update(state.values, news.values), secrets))
        operation = self._operation(request.urn, request.timeout)
        outputs = await self._run(
            request.urn, partial(kind.update, operation, request.resource_id, state.values, news.values)
        )
        return sdk.UpdateResponse(encode(outputs, secrets))

    async def delete(self, request: sdk.DeleteRequest) -> None:
        """Delete a resource."""
        if request.resource_id in self._born:
            # A targeted replacement adopted the resource that it was to replace, so both are the same.
            self._reporter.warning(f"{request.resource_id} was adopted by this update, so it is kept")
            return
        work = partial(
            _kind(request.urn).delete,
            self._operation(request.urn, request.timeout),
            request.resource_id,
            decode(request.properties).values,
        )
        await self._run(request.urn, work)
        self._ended.add(request.resource_id)

    async def _known(self, urn: str, resource_id: str) -> None:
        """Record that the engine's state contains this resource."""
        self._ids[urn] = self._ids.get(urn, frozenset()) | {resource_id}
        await self._run(urn, partial(self._intents.seen_in_state, resource_id))

    def _make(self, kind: ResourceHandler, operation: ProviderOperation, inputs: Values) -> tuple[str, Values]:
        """Create with the ids in the state, if the state can be read."""
        saved = self._checkpoint.ids(operation.urn)
        if saved is not None:
            operation = replace(operation, ids_in_state=operation.ids_in_state | saved, state_was_read=True)
        return kind.create(operation, inputs)

    def _operation(self, urn: str, timeout: float = 0.0) -> ProviderOperation:
        return ProviderOperation(
            urn=urn,
            settings=self._settings,
            client=self._connected,
            reporter=self._reporter,
            intents=self._intents,
            sleep=self.stop.sleep,
            clock=self._clocks.since_start,
            wall=self._clocks.wall,
            pending=self._checkpoint.pending(urn) if urn else {},
            saved_ids=partial(self._saved_ids, urn),
            stack_files=self._stack_files,
            account=self._account,
            ids_of_stack=partial(self._ids_of_stack, urn),
            ids_in_state=self._ids.get(urn, frozenset()),
            timeout=timeout,
        )

    def _ids_of_stack(self, urn: str) -> frozenset[str]:
        """Return the ids in the current state or, if it cannot be read, those in the engine's requests."""
        saved = self._checkpoint.every_id(urn)
        return self._asked() if saved is None else saved

    def _saved_ids(self, urn: str) -> frozenset[str] | None:
        """Return the ids in the state: from its file, or else as reported at the start and since."""
        saved, reported = self._checkpoint.every_id(urn), self._checkpoint.reported.ids
        return saved if saved is not None or reported is None else reported | self._asked()

    def _asked(self) -> frozenset[str]:
        return frozenset(self._born).union(*self._ids.values()) - self._ended

    def _connected(self) -> Client:
        if self._client is None:
            hooks = ClientHooks(
                self.stop.sleep, self._clocks.since_start, before_send=self._may_send, waiting=self._reporter.status
            )
            self._client = Client(self._settings.key(), self._settings.api_url, hooks)
        return self._client

    def _may_send(self) -> None:
        self._before_send()
        self.stop.check()

    async def _run(self, urn: str, work: Callable[[], Result]) -> Result:
        context = copy_context()
        context.run(CURRENT_URN.set, urn)
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, work)


def _kind(urn: str) -> ResourceHandler:
    return HANDLERS[token_of(urn)]


def _diff_response(kind: ResourceHandler, changes: Changes) -> sdk.DiffResponse:
    replace, update = sdk.PropertyDiffKind.UPDATE_REPLACE, sdk.PropertyDiffKind.UPDATE
    kinds = dict.fromkeys(changes.updates, update) | dict.fromkeys(changes.replaces, replace)
    return sdk.DiffResponse(
        changes=bool(changes),
        replaces=list(changes.replaces),
        diffs=list(kinds),
        detailed_diff={name: sdk.PropertyDiff(how, input_diff=name in kind.defaults) for name, how in kinds.items()},
    )
