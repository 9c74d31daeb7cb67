"""The engine in small: it keeps a state, asks the real provider what the real engine would, and can die anywhere.

Thousands of runs of the real one would take days. This one does the steps of `pulumi up`, `refresh` and `destroy` in
the engine's order and saves its state after each in the file backend's form, which the provider reads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

from pulumi.provider.experimental import provider as sdk

from components.runpod.api.client import Client
from components.runpod.api.errors import CallError, RunPodError
from components.runpod.api.transport import ClientHooks
from components.runpod.intents import Intents
from components.runpod.plugin.base.property_codec import Values, decode, encode
from components.runpod.plugin.base.resource import NotReadyError, token_of
from components.runpod.plugin.lifecycle.deletion import DeletionTiming
from components.runpod.plugin.process.dependencies import Clocks
from components.runpod.plugin.process.provider import RunPodProvider
from components.runpod.plugin.resources.registry import HANDLERS
from components.runpod.state_file import NOTHING_REPORTED, ReportedState, SavedState
from stacks.cli.account import account_items, deletion, ownership
from stacks.cli.account.ownership import ResourceSelection
from stacks.cli.pulumi.stack_index import StackIndex, index_state
from tests.integration.proof.declared import GUARD, KEY, LATE_EFFECT, POD, PROJECT, STACK, VOLUME, Entry, Program
from tests.integration.proof.process import Death, KilledError, Screen, VirtualStop
from tests.integration.proof.runpod import RunPod


class Engine:
    """One stack of one checkout."""

    def __init__(self, folder: Path, runpod: RunPod, *, reads_state: bool = True) -> None:
        self._runpod = runpod
        self._backend = folder / "pulumi"
        self._reads_state = reads_state
        self.intents = Intents(folder / "intents", runpod.emu.clock.now)
        self.state: list[Entry] = []
        self.reporter = Screen()
        self._death = Death()
        self._calls = 0
        self._provider: RunPodProvider | None = None
        self._born: list[str] = []
        self.begun: dict[str, float] = {}
        """Creations that the state calls unfinished, which no end of a killed run takes out."""
        self.tells = False
        """The backend is of another kind, and the commands tell the provider what its state holds."""

    def elsewhere(self, folder: Path) -> Engine:
        """Return the same stack on another machine: the state is shared, the records are not."""
        other = Engine(folder, self._runpod, reads_state=False)
        other.state, other._born, other.begun, other.tells = self.state, self._born, self.begun, True
        return other

    # --- commands: each returns whether it succeeded -------------------------------------------------------------

    def up(
        self, program: Program, death: Death | None = None, *, refresh: bool = False, target_replace: bool = False
    ) -> bool:
        return self._command(self._up(program, refresh=refresh, target_replace=target_replace), death)

    def refresh(self, death: Death | None = None) -> bool:
        return self._command(self._refresh(), death)

    def destroy(self, death: Death | None = None) -> bool:
        return self._command(self._destroy(), death)

    def sweep(self) -> bool:
        """Do what `make sweep YES=1` does, by its own rules."""
        self.reporter.said.clear()
        client = Client(KEY, self._runpod.url, self._hooks())
        timing = DeletionTiming(clock=self._runpod.emu.clock.now, sleep=self._runpod.pass_time)
        try:
            items = account_items.list_items(client, {})
            targets = [
                j for j in ownership.classify_all(items, self._known()) if ownership.may_delete(j, ResourceSelection())
            ]
            self.reporter.said += [owned.line for owned in ownership.classify_all(items, self._known())]
            return not deletion.delete_all(client, [owned.item for owned in targets], timing)
        except CallError as error:
            self.reporter.said.append(str(error))
            return False
        finally:
            client.close()

    def ids(self) -> set[str]:
        return {entry.id for entry in self.state if entry.urn != GUARD}

    def _known(self) -> StackIndex:
        return StackIndex((index_state(STACK, self._document()["checkpoint"]["latest"], past=self._past()),))

    def _past(self) -> set[str]:
        return set(self._born)

    # --- the engine's steps ---------------------------------------------------------------------------------------

    def _command(self, steps: Awaitable[None], death: Death | None) -> bool:
        """Run in a new provider process; a death ends it as it is."""
        self._death, self._calls = death or Death(), 0
        self.reporter.said.clear()
        asyncio.run(self._alive(steps))
        return not any(line.startswith("error: ") for line in self.reporter.said)

    async def _alive(self, steps: Awaitable[None]) -> None:
        messages = ReportedState(frozenset(self.ids()), dict(self.begun)) if self.tells else NOTHING_REPORTED
        checkpoint = SavedState(self._backend if self._reads_state else None, messages)
        clocks = Clocks(self._runpod.emu.clock.now, self._runpod.emu.clock.now)
        provider = RunPodProvider(self.reporter, self.intents, self._before_send, checkpoint, clocks)
        provider.stop = VirtualStop(self._runpod)
        self._provider = provider
        settings = {"apiKey": KEY, "apiUrl": self._runpod.url, "lateEffectSeconds": str(LATE_EFFECT)}
        await provider.configure(
            sdk.ConfigureRequest({}, encode(settings, ()), accept_secrets=True, accept_resources=True)
        )
        try:
            await steps
        except RunPodError as error:
            self.reporter.said.append(f"error: {error}")
        except KilledError:
            self.reporter.said.append("error: killed")
        finally:
            provider._threads.shutdown()
            if provider._client:
                provider._client.close()

    def _before_send(self) -> None:
        if self._calls == self._death.calls:
            raise KilledError
        self._calls += 1

    def _may_die_at(self, step: str) -> None:
        if self._death.step == step:
            raise KilledError

    @property
    def _asked(self) -> RunPodProvider:
        assert self._provider
        return self._provider

    async def _up(self, program: Program, *, refresh: bool, target_replace: bool) -> None:
        for waiting in [entry for entry in self.state if entry.doomed]:
            await self._delete(waiting)
        if refresh:
            await self._refresh()
        outputs: dict[str, Values] = {}
        doomed: list[Entry] = []
        for urn in (GUARD, VOLUME, POD):
            inputs = program.inputs(urn, outputs)
            doomed += await self._step(urn, inputs, before=program.before, forced=target_replace and urn == POD)
            entry = self._entry(urn)
            assert entry
            outputs[urn] = entry.outputs
            await self._acknowledge(entry)
        for replaced in reversed(doomed):
            await self._delete(replaced)

    async def _step(self, urn: str, declared: Values, *, before: bool, forced: bool) -> list[Entry]:
        """Bring one resource to what is declared; return what is to be deleted at the end."""
        old = self._entry(urn)
        olds = old.inputs if old and not forced else {}
        answer = await self._asked.check(sdk.CheckRequest(urn, encode(olds, ()), encode(declared, ()), b""))
        if answer.failures:
            raise RunPodError("; ".join(failure.reason for failure in answer.failures))
        inputs = decode(answer.inputs or {}).values
        if old is None:
            await self._create(urn, inputs)
            return []
        if not forced:
            asked = sdk.DiffRequest(urn, old.id, encode(old.outputs, ()), encode(inputs, ()), [])
            diff = await self._asked.diff(asked)
            if not diff.replaces:
                if diff.changes or old.unfit:
                    await self._update(old, inputs)
                return []
        if before:
            await self._delete(old)
            await self._create(urn, inputs)
            return []
        await self._create(urn, inputs, replacing=old)
        return [old]

    async def _create(self, urn: str, inputs: Values, replacing: Entry | None = None) -> None:
        self.begun[urn] = self._runpod.emu.clock.now()
        try:
            made = await self._asked.create(sdk.CreateRequest(urn, encode(inputs, ()), 0.0, preview=False))
        except RunPodError as error:
            del self.begun[urn]
            if not isinstance(error, NotReadyError):
                raise
            self._save(Entry(urn, error.resource_id, inputs, error.outputs, unfit=True), replacing)
            raise
        assert made.resource_id
        if urn == GUARD:
            self._born.append(made.resource_id)
        self._may_die_at("unsaved")
        self._save(Entry(urn, made.resource_id, inputs, decode(made.properties or {}).values), replacing)
        self._may_die_at("unacknowledged")

    def _save(self, made: Entry, replacing: Entry | None) -> None:
        self.begun.pop(made.urn, None)
        if replacing:
            replacing.doomed = True
        self.state.append(made)
        self._write()

    async def _update(self, entry: Entry, inputs: Values) -> None:
        request = sdk.UpdateRequest(
            entry.urn, entry.id, encode(entry.outputs, ()), encode(inputs, ()), 0.0, [], preview=False
        )
        try:
            answer = await self._asked.update(request)
        except NotReadyError as error:
            entry.inputs, entry.outputs, entry.unfit = inputs, error.outputs, True
            self._write()
            raise
        entry.inputs, entry.outputs, entry.unfit = inputs, decode(answer.properties or {}).values, False
        self._write()

    async def _delete(self, entry: Entry) -> None:
        await self._asked.delete(sdk.DeleteRequest(entry.urn, entry.id, encode(entry.outputs, ()), 0.0))
        self.state.remove(entry)
        self._write()

    async def _refresh(self) -> None:
        for entry in list(self.state):
            properties, inputs = encode(entry.outputs, ()), encode(entry.inputs, ())
            found = await self._asked.read(sdk.ReadRequest(entry.urn, entry.id, properties, inputs))
            if found.resource_id:
                entry.outputs, entry.inputs = decode(found.properties or {}).values, decode(found.inputs or {}).values
            else:
                self.state.remove(entry)
            self._write()

    async def _destroy(self) -> None:
        for entry in sorted(self.state, key=lambda entry: (POD, VOLUME, GUARD).index(entry.urn)):
            await self._delete(entry)

    async def _acknowledge(self, entry: Entry) -> None:
        if entry.urn != GUARD:
            arguments = encode({"resourceId": entry.id}, ())
            await self._asked.invoke(sdk.InvokeRequest("runpod:index:acknowledge", arguments))

    def _entry(self, urn: str) -> Entry | None:
        return next((entry for entry in self.state if entry.urn == urn and not entry.doomed), None)

    def _hooks(self) -> ClientHooks:
        return ClientHooks(self._runpod.pass_time, self._runpod.emu.clock.now)

    def _write(self) -> None:
        file = self._backend / ".pulumi" / "stacks" / PROJECT / f"{STACK}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self._document()))

    def _document(self) -> dict[str, Any]:
        return {"checkpoint": {"latest": {"resources": list(self._resources())}}}

    def _resources(self) -> Iterator[dict[str, Any]]:
        for entry in self.state:
            kept = HANDLERS[token_of(entry.urn)].outputs
            shown = {name: value for name, value in entry.outputs.items() if name in kept}
            yield {"urn": entry.urn, "id": entry.id, "type": token_of(entry.urn), "outputs": shown}
