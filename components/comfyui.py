"""ComfyUI and the gateway on a pod: installed by our own SSH client, again whenever what is wanted changes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import local

from components.component import Component
from provisioning import contract

PUSH = 'exec env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8 ../.venv/bin/python -m provisioning.push'
"""Runs in `stacks/`, where the engine starts its plugins. Relative, so that every checkout has the same state;
with an empty environment, so that neither the passphrase nor an API key reaches it."""

# Two hundred gigabytes at 20 MB/s take three hours; the client ends earlier when nothing moves.
PATIENCE = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="24h", update="24h"))


@dataclass(frozen=True)
class PodAccess:
    """How the installer reaches a pod."""

    pod_id: pulumi.Input[str]
    host: pulumi.Input[str]
    port: pulumi.Input[int]
    host_key: pulumi.Input[str]
    """Public; nothing else is accepted."""
    private_key: pulumi.Input[str]
    usd_per_hour: pulumi.Input[float]
    """For the gateway's usage rows."""


@dataclass(frozen=True)
class ComfyUIArgs:
    """Inputs of ComfyUI."""

    plan: contract.ProvisionPlan
    """What is to be there; its gateway.usd_per_hour is filled in from the pod."""
    torch: str
    """Version of PyTorch in the image."""
    unknown_hashes: str
    """`warn` or `refuse`: what the policies do about a model without a recorded hash."""
    bundle: str
    """Digest of the program that is uploaded."""
    access: PodAccess
    unreachable_seconds: int
    """How long the pod may be without SSH: a wrong image would otherwise bill for as long as the client hopes."""
    stalled_seconds: int
    """How long an installation may go without progress."""
    secrets: Mapping[str, pulumi.Input[str]]
    """By field name of contract.Secrets."""


class ComfyUI(Component):
    """ComfyUI, its nodes and models, and the gateway, healthy on a pod."""

    def __init__(self, name: str, args: ComfyUIArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, _visible(args), opts)
        push = f"{PUSH} --unreachable {args.unreachable_seconds} --timeout {args.stalled_seconds}"
        self.command = local.Command(
            self.child("install"),
            create=push,
            update=push,
            stdin=_standard_input(args),
            # A change of any of these runs the installer again, in place: `triggers` would call it a replacement.
            # The command itself sees none of them, its environment is empty.
            environment={"BUNDLE": args.bundle, "PLAN": plan_hash(args.plan), "POD": args.access.pod_id},
            logging=local.Logging.STDERR,
            opts=self.under(PATIENCE),
        )
        self.ref = f"{args.plan.comfyui.ref}@{args.plan.comfyui.commit}"
        self.isolation = pulumi.Output.unsecret(self.command.stdout.apply(isolation))
        self.register_outputs({"ref": self.ref})


def _standard_input(args: ComfyUIArgs) -> pulumi.Output[str]:
    known: pulumi.Output[dict[str, Any]] = pulumi.Output.all(access=vars(args.access), secrets=dict(args.secrets))
    text: pulumi.Output[str] = known.apply(
        lambda value: push_request(args.plan, value["access"], value["secrets"]).to_json()
    )
    return pulumi.Output.secret(text)


def isolation(said: str | None) -> str:
    """Return how ComfyUI is kept apart, from what the installer said last; a former one did not say it."""
    lines = (said or "").strip().splitlines()
    return str(json.loads(lines[-1]).get("isolation", "")) if lines else ""


def push_request(
    plan: contract.ProvisionPlan, access: Mapping[str, Any], secrets: Mapping[str, str]
) -> contract.PushRequest:
    """Return what the installer is told, now that pod and keys are known."""
    target = contract.SshTarget(access["host"], int(access["port"]), access["host_key"], access["private_key"])
    gateway = dataclasses.replace(plan.gateway, usd_per_hour=access["usd_per_hour"])
    return contract.PushRequest(target, dataclasses.replace(plan, gateway=gateway), contract.Secrets(**secrets))


def plan_hash(plan: contract.ProvisionPlan) -> str:
    """Return a digest that changes when the pod has to be provisioned again."""
    return hashlib.sha256(plan.to_json().encode()).hexdigest()


def _visible(args: ComfyUIArgs) -> dict[str, Any]:
    """Return what previews and policies may see: sources and models, no secrets, no requirement texts."""
    plan = args.plan
    return {
        "repository": plan.comfyui.repository,
        "ref": plan.comfyui.ref,
        "commit": plan.comfyui.commit,
        "torch": args.torch,
        "nodes": [{"name": n.name, "repository": n.repository, "commit": n.commit} for n in plan.nodes],
        "models": [{"name": m.name, "folder": m.folder, "url": m.url, "sha256": m.sha256} for m in plan.models],
        "unknown_hashes": args.unknown_hashes,
        "bundle": args.bundle,
    }
