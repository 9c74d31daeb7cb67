from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pulumi
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key
from pulumi.runtime.stack import wait_for_rpcs

OUTPUTS: dict[str, dict[str, Any]] = {
    "runpod:index:StackGuard": {"instanceId": "guard0"},
    "runpod:index:NetworkVolume": {"networkVolumeId": "vol0", "dataCenterId": "EU-RO-1"},
    "runpod:index:SshKeyPair": {"publicKey": "ssh-ed25519 AAAA", "privateKey": "PRIVATE"},
    "command:local:Command": {"stdout": '{"isolation": "landlock"}'},
    "runpod:index:RandomSecret": {"value": "cgw_live_x"},
    "runpod:index:Pod": {
        "podId": "pod0",
        "gpu": "NVIDIA RTX A5000",
        "dataCenter": "EU-RO-1",
        "costPerHr": 0.27,
        "sshHost": "10.0.0.1",
        "sshPort": 40022.0,
        "urls": {"8189": "https://pod0-8189.proxy.runpod.net"},
    },
}


T = TypeVar("T")


class Recorder(pulumi.runtime.Mocks):
    """Answers as the provider would and remembers what was asked for."""

    def __init__(self) -> None:
        self.seen: dict[str, pulumi.runtime.MockResourceArgs] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.seen[args.name] = args
        return f"{args.name}-id", {**args.inputs, **OUTPUTS.get(args.typ, {})}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        return {}, []

    def inputs(self, name: str) -> dict[str, Any]:
        return dict(self.seen[name].inputs)

    def secret(self, name: str, key: str) -> Any:  # noqa: ANN401 - any property value
        """Return an input that was sent as a secret; KeyError when it was sent in clear."""
        value = self.inputs(name)[key]
        return value["value"] if value[_special_sig_key] == _special_secret_sig else value[""]

    def of_type(self, token: str) -> list[dict[str, Any]]:
        return [dict(args.inputs) for args in self.seen.values() if args.typ == token]


def settle(program: Callable[[], pulumi.Output[T]], *, preview: bool = False) -> tuple[Recorder, T | None]:
    """Run a program against a recorder until all it asked for is answered; its value is None when unknown."""
    recorder, loops = Recorder(), []

    def give_thread_a_loop() -> None:
        """The SDK's mocks want an event loop on each thread, and would make one that nobody closes."""
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    async def main(executor: ThreadPoolExecutor) -> T | None:
        asyncio.get_running_loop().set_default_executor(executor)
        pulumi.runtime.set_mocks(recorder, project="comfyui-runpod", stack="dev", preview=preview)
        try:
            return await program().future()
        finally:
            # What a failed program has begun would otherwise be awaited by the next one, on a loop that is gone.
            await wait_for_rpcs()

    # Threads of our own, because the test runner keeps an event loop on its one.
    with ThreadPoolExecutor(4, initializer=give_thread_a_loop) as workers, ThreadPoolExecutor(1) as thread:
        future = thread.submit(lambda: asyncio.run(main(workers)))
    for loop in loops:
        loop.close()
    return recorder, future.result()
