"""One environment, from settings to outputs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pulumi

from components import cost
from components.budget import Budget, BudgetArgs, known_or
from components.environment import Environment, RuntimeSpec
from components.errors import NotOfferedError, PlacementError
from components.placement import GpuCandidate, GpuCatalogue, rank
from provisioning.contract import ProvisionPlan
from stacks import plan, report
from stacks.outputs import StackOutputs
from stacks.sections import TokensSection
from stacks.settings import Settings


@dataclass(frozen=True)
class CurrentState:
    """The environment before an update, for comparison in a preview."""

    running: float | None = None
    """The stack's current cost in USD per hour; None when unknown."""
    volume_center: str = ""
    """Data centre of the volume; empty when it does not exist yet or is unknown."""
    paused: bool = False
    """Whether the environment is to have no pod."""


UNKNOWN_STATE = CurrentState()


def build(
    settings: Settings,
    provision: ProvisionPlan,
    *,
    catalogue: GpuCatalogue,
    bundle: str,
    now: CurrentState = UNKNOWN_STATE,
) -> StackOutputs:
    """Declare an environment.

    Args:
        settings: The validated stack file.
        provision: The installation plan.
        catalogue: Prices, stock and data centres; looked up by the caller.
        bundle: Digest of the bundle that is uploaded to the pod.
        now: The environment before the update.

    Raises:
        DeclarationError: The settings cannot work; the message says what to change.
    """
    candidates = _candidates(settings, catalogue)
    if pulumi.runtime.is_dry_run() and now.paused:
        pulumi.log.info(report.paused(settings))
    elif pulumi.runtime.is_dry_run() and candidates:
        for line in report.lines(settings, candidates, catalogue, now.volume_center):
            pulumi.log.info(line)
    for line in report.warnings(settings, provision, catalogue, datetime.now(UTC).date()):
        pulumi.log.warn(line)
    environment = Environment(
        settings.environment,
        machine=plan.machine_spec(settings, tuple(candidate.gpu for candidate in candidates), paused=now.paused),
        software=_software(settings, provision, bundle),
    )
    prices = [candidate.usd_per_hour for candidate in candidates]
    _budget(settings, environment, max(prices, default=0.0))
    outputs = _outputs(settings, environment, next(iter(prices), 0.0), now.volume_center)
    if pulumi.runtime.is_dry_run() and now.running is not None:
        pulumi.Output.from_input(outputs.cost_per_hour).apply(
            lambda planned: pulumi.log.info(f"Cost: {cost.difference(planned, now.running or None)}")
        )
    return outputs


def _candidates(settings: Settings, catalogue: GpuCatalogue) -> tuple[GpuCandidate, ...]:
    """Return the candidates for a new pod; none when nothing is available, which does not affect a running pod."""
    try:
        return rank(plan.placement_request(settings), catalogue)
    except NotOfferedError as error:
        pulumi.log.warn(f"No new pod is available now; the running one is not affected. {settings.file}: {error}")
        return ()
    except PlacementError as error:
        raise PlacementError(f"{settings.file}: {error}") from None


def _software(settings: Settings, provision: ProvisionPlan, bundle: str) -> RuntimeSpec:
    return RuntimeSpec(
        plan=provision,
        torch=settings.pod.torch,
        unknown_hashes=settings.unknown_hashes.value,
        bundle=bundle,
        download_tokens=_tokens(settings.tokens),
    )


def _tokens(tokens: TokensSection) -> dict[str, pulumi.Output[str]]:
    return {
        "hugging_face_token": pulumi.Output.secret(tokens.hugging_face.get_secret_value()),
        "civitai_token": pulumi.Output.secret(tokens.civitai.get_secret_value()),
        "gateway_database": pulumi.Output.secret(tokens.gateway_database.get_secret_value()),
    }


def _budget(settings: Settings, environment: Environment, dearest_usd: float) -> None:
    total = _cost(settings, environment, dearest_usd).apply(lambda known: round(known.running, 4))
    args = BudgetArgs(settings.environment, settings.budget.max_per_hour, total)
    Budget(f"{settings.environment}-budget", args, pulumi.ResourceOptions(parent=environment))


def _cost(settings: Settings, environment: Environment, pod_usd_per_hour: float) -> pulumi.Output[cost.Cost]:
    """Return the cost with the existing pod's price, else with the expected price; when paused, of the volume alone."""
    size = known_or(environment.volume.size_gb, plan.volume_gb(settings))
    if environment.pod is None:
        return size.apply(lambda known: plan.price(settings, None, known))
    parts = pulumi.Output.all(known_or(environment.pod.cost_per_hr, pod_usd_per_hour), size)
    return parts.apply(lambda known: plan.price(settings, known[0], known[1]))


def _outputs(settings: Settings, environment: Environment, likely_usd: float, volume_center: str) -> StackOutputs:
    costs = _cost(settings, environment, likely_usd)
    return StackOutputs(
        gateway_url=environment.gateway.url,
        api_key=pulumi.Output.secret(environment.gateway.client_key),
        admin_key=pulumi.Output.secret(environment.gateway.admin_key),
        volume_id=environment.volume.volume_id,
        paused=environment.pod is None,
        cost_per_hour=costs.apply(lambda known: round(known.running, 4)),
        cost_projection=costs.apply(lambda known: known.projection()),
        cost_breakdown=costs.apply(breakdown),
        **_of_pod(settings, environment, volume_center),
    )


def _of_pod(settings: Settings, environment: Environment, volume_center: str) -> dict[str, Any]:
    """Return the outputs of the pod; a paused environment has only the data centre."""
    pod, comfyui = environment.pod, environment.comfyui
    if pod is None or comfyui is None:
        names = ("pod_id", "gpu", "ssh_command", "comfyui_ref", "isolation")
        return {**dict.fromkeys(names, ""), "data_center": volume_center}
    login = pulumi.Output.all(pod.ssh_host, pod.ssh_port).apply(
        lambda where: f"make ssh ENV={settings.environment}  # root@{where[0]} -p {int(where[1])}"
    )
    running = {"pod_id": pod.pod_id, "gpu": pod.gpu, "data_center": pod.data_center, "ssh_command": login}
    return {**running, "comfyui_ref": comfyui.ref, "isolation": comfyui.isolation}


def breakdown(known: cost.Cost) -> dict[str, float | str]:
    """Return the parts of a cost with the source of the storage prices; the pod's price is RunPod's."""
    return {**known.breakdown(), "storagePrices": f"{cost.STORAGE.source}, {cost.STORAGE.as_of}"}
