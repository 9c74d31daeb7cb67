"""ComfyUI and the gateway on a pod, installed over SSH, and again whenever the plan changes."""

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
"""Command that runs in `stacks/`, where the engine starts its plugins. The path is relative, so that the state does not
depend on the checkout; the environment is empty, so that the command receives neither the passphrase nor an API key."""

# Two hundred gigabytes at 20 MB/s take three hours; the client ends earlier when there is no progress.
PATIENCE = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="24h", update="24h"))


@dataclass(frozen=True)
class PodAccess:
    """SSH access of the installer to a pod."""

    pod_id: pulumi.Input[str]
    host: pulumi.Input[str]
    port: pulumi.Input[int]
    host_key: pulumi.Input[str]
    """The pod's public host key; the client accepts no other."""
    private_key: pulumi.Input[str]
    usd_per_hour: pulumi.Input[float]
    """For the gateway's usage rows."""


@dataclass(frozen=True)
class ComfyUIArgs:
    """Inputs of ComfyUI."""

    plan: contract.ProvisionPlan
    """The installation plan; the pod's price replaces its gateway.usd_per_hour."""
    torch: str
    """Version of PyTorch in the image."""
    unknown_hashes: str
    """`warn` or `refuse`: how the policies treat a model without a recorded hash."""
    bundle: str
    """Digest of the uploaded bundle."""
    access: PodAccess
    unreachable_seconds: int
    """Seconds the pod may be without SSH, which bounds the cost of a wrong image."""
    stalled_seconds: int
    """Seconds an installation may make no progress."""
    secrets: Mapping[str, pulumi.Input[str]]
    """Secrets by field name of contract.Secrets."""


class ComfyUI(Component):
    """ComfyUI, its nodes and models, and the gateway, installed and healthy on a pod."""

    def __init__(self, name: str, args: ComfyUIArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, _visible(args), opts)
        push = f"{PUSH} --unreachable {args.unreachable_seconds} --timeout {args.stalled_seconds}"
        self.command = local.Command(
            self.child("install"),
            create=push,
            update=push,
            stdin=_standard_input(args),
            # A change of any of these runs the installer again in place; `triggers` would be a replacement.
            # The command does not receive them, because its environment is empty.
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
    """Return the isolation of ComfyUI from the installer's last result; empty with an older installer."""
    lines = (said or "").strip().splitlines()
    return str(json.loads(lines[-1]).get("isolation", "")) if lines else ""


def push_request(
    plan: contract.ProvisionPlan, access: Mapping[str, Any], secrets: Mapping[str, str]
) -> contract.PushRequest:
    """Return the installer's request, after pod and keys are known."""
    target = contract.SshTarget(access["host"], int(access["port"]), access["host_key"], access["private_key"])
    gateway = dataclasses.replace(plan.gateway, usd_per_hour=access["usd_per_hour"])
    return contract.PushRequest(target, dataclasses.replace(plan, gateway=gateway), contract.Secrets(**secrets))


def plan_hash(plan: contract.ProvisionPlan) -> str:
    """Return a digest that changes when the installer has to run again."""
    return hashlib.sha256(plan.to_json().encode()).hexdigest()


def _visible(args: ComfyUIArgs) -> dict[str, Any]:
    """Return the inputs for previews and policies: sources and models, without secrets and requirement texts."""
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
