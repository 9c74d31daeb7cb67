"""RunPod's API v2 as methods. One client belongs to one key and may be used from several threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import JsonValue, ValidationError

from components.runpod.api.errors import NotRunPodError
from components.runpod.api.models import Answer, BillingRecord, DataCenter, GpuType, NetworkVolume, Pod
from components.runpod.api.transport import Call, Pace, Transport

DEFAULT_URL = "https://api.runpod.io"

Model = TypeVar("Model", bound=Answer)


class Client:
    """Synchronous client; every method raises an error of `components.runpod.api.errors`."""

    def __init__(self, api_key: str, api_url: str = DEFAULT_URL, pace: Pace | None = None) -> None:
        """Make a client.

        Args:
            api_key: RunPod API key; it is sent and never shown.
            api_url: Base address without `/v2`.
            pace: Sleep, clock and bounds; real time unless given.
        """
        self.api_url = api_url.rstrip("/")
        self._transport = Transport(api_key, self.api_url, pace or Pace())

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._transport.close()

    def list_pods(self) -> list[Pod]:
        """Return every pod of the account, cluster members left out."""
        return self._list("/v2/pods", "pods", Pod)

    def get_pod(self, pod_id: str) -> Pod:
        """Return one pod; raises NotFoundError only when RunPod itself says that this id does not exist."""
        return self._one(Call("GET", f"/v2/pods/{pod_id}"), Pod)

    def create_pod(self, body: Mapping[str, Any]) -> Pod:
        """Create a pod; raises LostAnswerError when it may or may not exist now."""
        return self._one(Call("POST", "/v2/pods", body=body, repeatable=False), Pod)

    def update_pod(self, pod_id: str, body: Mapping[str, Any]) -> Pod:
        """Change the given members; `env` replaces the whole environment."""
        return self._one(Call("PATCH", f"/v2/pods/{pod_id}", body=body), Pod)

    def act_on_pod(self, pod_id: str, action: str) -> Pod:
        """Start, stop or restart a pod; raises ConflictError when its status does not allow that."""
        return self._one(Call("POST", f"/v2/pods/{pod_id}/action", body={"action": action}), Pod)

    def delete_pod(self, pod_id: str) -> None:
        """Ask for a pod's end; look afterwards whether it came."""
        self._transport.send(Call("DELETE", f"/v2/pods/{pod_id}"))

    def list_network_volumes(self) -> list[NetworkVolume]:
        """Return every network volume of the account."""
        return self._list("/v2/network-volumes", "networkVolumes", NetworkVolume)

    def get_network_volume(self, volume_id: str) -> NetworkVolume:
        """Return one volume; raises NotFoundError only when RunPod itself says that this id does not exist."""
        return self._one(Call("GET", f"/v2/network-volumes/{volume_id}"), NetworkVolume)

    def create_network_volume(self, body: Mapping[str, Any]) -> NetworkVolume:
        """Create a volume; raises LostAnswerError when it may or may not exist now."""
        return self._one(Call("POST", "/v2/network-volumes", body=body, repeatable=False), NetworkVolume)

    def update_network_volume(self, volume_id: str, body: Mapping[str, Any]) -> NetworkVolume:
        """Change name or size; the size only grows."""
        return self._one(Call("PATCH", f"/v2/network-volumes/{volume_id}", body=body), NetworkVolume)

    def delete_network_volume(self, volume_id: str) -> None:
        """Ask for a volume's end; look afterwards whether it came."""
        self._transport.send(Call("DELETE", f"/v2/network-volumes/{volume_id}"))

    def list_gpu_types(self, *, count: int = 1, cloud: str = "") -> list[GpuType]:
        """Return the GPU catalogue with stock for pods of `count` GPUs; `cloud` narrows it to SECURE or COMMUNITY."""
        query = {"include": "AVAILABILITY", "product": "POD", "count": str(count)}
        if cloud:
            query["cloud"] = cloud
        return self._list("/v2/catalog/gpus", "gpus", GpuType, query)

    def list_data_centers(self) -> list[DataCenter]:
        """Return the data centres with their storage tiers and GPU stock."""
        return self._list("/v2/catalog/datacenters", "dataCenters", DataCenter, {"include": "GPU_AVAILABILITY"})

    def bill_of_pod(self, pod_id: str, since: str) -> list[BillingRecord]:
        """Return what RunPod has billed for a pod since a moment (RFC 3339), by day; empty when nothing came yet."""
        query = {"podId": pod_id, "startTime": since}
        return self._list("/v2/billing/pods", "records", BillingRecord, query)

    def bill_of_network_volume(self, volume_id: str, since: str) -> list[BillingRecord]:
        """Return what RunPod has billed for a volume since a moment (RFC 3339), by day; empty when nothing came yet."""
        query = {"networkVolumeId": volume_id, "startTime": since}
        return self._list("/v2/billing/network-volumes", "records", BillingRecord, query)

    def _one(self, call: Call, model: type[Model]) -> Model:
        return _parsed(call, self._transport.send(call), model)

    def _list(self, path: str, member: str, model: type[Model], query: Mapping[str, str] | None = None) -> list[Model]:
        call = Call("GET", path, query=query or {})
        answer = self._transport.send(call)
        entries = answer.get(member) if isinstance(answer, dict) else None
        if not isinstance(entries, list):
            raise NotRunPodError(str(call), f"the answer has no list {member!r}")
        return [_parsed(call, entry, model) for entry in entries]


def _parsed(call: Call, answer: JsonValue, model: type[Model]) -> Model:
    try:
        return model.model_validate(answer)
    except ValidationError as fault:
        # The input is left out of the text: a pod's environment holds secrets.
        where = ", ".join(".".join(map(str, error["loc"])) or "answer" for error in fault.errors(include_input=False))
        raise NotRunPodError(str(call), f"the answer has an unexpected form at {where}") from None
