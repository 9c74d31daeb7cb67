"""`make placement`: print the ranked GPUs and data centres, and save them for `make up PLACEMENT=file`."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml

from components.errors import DeclarationError
from components.placement import GpuCatalogue, Offer
from components.runpod.api import Client
from components.runpod.api.models import GpuType
from stacks import plan
from stacks.cli.account import account_items
from stacks.cli.checkout import Checkout
from stacks.cli.commands import emulator
from stacks.cli.errors import CliError
from stacks.cli.pulumi import environment, stack, stack_settings
from stacks.cli.reports import placement_plan


def run(checkout: Checkout, file: str) -> None:
    """Rank the available GPUs, print the plan, and save it when a file is named.

    Raises:
        CliError: the API does not answer, the settings are wrong, or no GPU satisfies them.
    """
    engine = environment.prepared(checkout, os.environ)
    emulator.start(checkout)
    key, url = account_items.client_settings(engine)
    try:
        wanted = plan.placement_request(stack_settings.read(engine))
        if center := stack.volume_center(stack.deployment(engine)):
            print(f"the volume is in {center}, so the pod will be placed there")
            wanted = dataclasses.replace(wanted, data_centers=(center,))
        with account_items.open_client(key, url) as client:
            found = placement_plan.build_plan(checkout.env, wanted, catalogue(client, wanted.count))
    except DeclarationError as error:
        raise CliError(str(error)) from error
    print("\n".join(placement_plan.lines(found)))
    if file:
        try:
            Path(file).write_text(json.dumps(found.to_json(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise CliError(f"{file} cannot be written: {error.strerror}") from error
        print(f"saved in {file}; `make up ENV={checkout.env} PLACEMENT={file}` uses it")


def catalogue(client: Client, count: int) -> GpuCatalogue:
    """Return RunPod's current offers in Secure Cloud, the only cloud with network volumes."""
    centers = client.list_data_centers()
    return GpuCatalogue(
        offers=tuple(_offer(gpu) for gpu in client.list_gpu_types(count=count, cloud="SECURE")),
        data_centers=frozenset(center.id for center in centers if center.network_volume_types),
        source="RunPod's API",
        as_of=datetime.now(UTC).date(),
    )


@contextmanager
def settings_file(checkout: Checkout, file: str) -> Iterator[tuple[str, ...]]:
    """Yield engine arguments that apply a saved plan to the stack file; none without a plan.

    The stack file itself is not changed; secrets stay encrypted in the temporary copy.
    """
    if not file:
        yield ()
        return
    try:
        saved = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be read as a placement plan: {error}") from error
    content = placement_plan.override(checkout.stack_yaml(), saved, checkout.env)
    gpus = ", ".join(content["config"]["comfyui-runpod:gpu"]["candidates"])
    print(f"placement from {file} instead of {checkout.stack_file.name}: {gpus}", flush=True)
    with tempfile.TemporaryDirectory(prefix="comfyui-runpod-placement-") as folder:
        copy = Path(folder) / checkout.stack_file.name
        copy.write_text(yaml.safe_dump(content), encoding="utf-8")
        yield ("--config-file", str(copy))


def _offer(gpu: GpuType) -> Offer:
    # A cloud that does not offer the GPU may still have a stale price, and 0 means none.
    usd = (gpu.price.secure or None) if gpu.secure else None
    return Offer(gpu.id, gpu.memory, usd, {entry.id: entry.availability for entry in gpu.data_centers})
