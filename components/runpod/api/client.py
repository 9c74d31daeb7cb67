"""RunPod's API v2 as methods. One client belongs to one key and may be used from several threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from components.runpod.api.collection import Collection, parsed
from components.runpod.api.models import (
    BillingRecord,
    CpuType,
    DataCenter,
    GpuType,
    NetworkVolume,
    Pod,
    SshKeys,
)
from components.runpod.api.models_serverless import Endpoint, EndpointWorker, RegistryCredential, Template
from components.runpod.api.transport import Call, ClientHooks, Transport

DEFAULT_URL = "https://api.runpod.io"
BILLED = ("", "pods", "serverless", "endpoints", "network-volumes", "clusters")
"""Kinds of resources with a bill of their own; "" is the whole account."""


class Client:
    """Synchronous client; every method raises an error of `components.runpod.api.errors`."""

    def __init__(self, api_key: str, api_url: str = DEFAULT_URL, hooks: ClientHooks | None = None) -> None:
        """Make a client.

        Args:
            api_key: RunPod API key; it never appears in messages.
            api_url: Base address without `/v2`.
            hooks: Sleep, clock and bounds; real time unless given.
        """
        self.api_url = api_url.rstrip("/")
        self._transport = Transport(api_key, self.api_url, hooks or ClientHooks())
        self._pods = Collection(self._transport, "/v2/pods", "pods", Pod)
        self.network_volumes = Collection(self._transport, "/v2/network-volumes", "networkVolumes", NetworkVolume)
        self.templates = Collection(self._transport, "/v2/templates", "templates", Template)
        self.registries = Collection(self._transport, "/v2/registries", "registries", RegistryCredential)
        self.endpoints = Collection(self._transport, "/v2/serverless", "endpoints", Endpoint)
        self.ssh_keys_lock = threading.Lock()
        """Held between reading and writing the account's list of SSH keys."""

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._transport.close()

    def list_pods(self) -> list[Pod]:
        """Return every pod of the account except cluster members."""
        return self._pods.all()

    def get_pod(self, pod_id: str) -> Pod:
        """Return one pod; raises NotFoundError only when RunPod itself says that this id does not exist."""
        return self._pods.get(pod_id)

    def create_pod(self, body: Mapping[str, Any]) -> Pod:
        """Create a pod; raises LostAnswerError when it may or may not exist now."""
        return self._pods.create(body)

    def update_pod(self, pod_id: str, body: Mapping[str, Any]) -> Pod:
        """Change the given members; `env` replaces the whole environment."""
        return self._pods.update(pod_id, body)

    def act_on_pod(self, pod_id: str, action: str) -> Pod:
        """Start, stop or restart a pod; raises ConflictError when its status does not allow that."""
        call = Call("POST", f"/v2/pods/{pod_id}/action", body={"action": action})
        return parsed(call, self._transport.send(call), Pod)

    def delete_pod(self, pod_id: str) -> None:
        """Request a pod's deletion; the caller verifies it afterwards."""
        self._pods.delete(pod_id)

    def list_network_volumes(self) -> list[NetworkVolume]:
        """Return every network volume of the account."""
        return self.network_volumes.all()

    def get_network_volume(self, volume_id: str) -> NetworkVolume:
        """Return one volume; raises NotFoundError only when RunPod itself says that this id does not exist."""
        return self.network_volumes.get(volume_id)

    def delete_network_volume(self, volume_id: str) -> None:
        """Request a volume's deletion; the caller verifies it afterwards."""
        self.network_volumes.delete(volume_id)

    def list_workers(self, endpoint_id: str) -> list[EndpointWorker]:
        """Return the running, starting and idle workers of an endpoint; each is billed while it is listed."""
        return Collection(self._transport, f"/v2/serverless/{endpoint_id}/workers", "workers", EndpointWorker).all()

    def list_ssh_keys(self) -> list[str]:
        """Return the account's SSH public keys, one authorized_keys line each."""
        call = Call("GET", "/v2/account/ssh-keys")
        return list(parsed(call, self._transport.send(call), SshKeys).keys)

    def replace_ssh_keys(self, keys: list[str]) -> None:
        """Replace the whole list. There is no retry, because it would undo concurrent changes."""
        self._transport.send(Call("PUT", "/v2/account/ssh-keys", body={"keys": keys}, repeatable=False))

    def list_gpu_types(self, *, count: int = 1, cloud: str = "") -> list[GpuType]:
        """Return the GPU catalogue with stock for pods of `count` GPUs; `cloud` narrows it to SECURE or COMMUNITY."""
        query = {"include": "AVAILABILITY", "product": "POD", "count": str(count)}
        if cloud:
            query["cloud"] = cloud
        return Collection(self._transport, "/v2/catalog/gpus", "gpus", GpuType).all(query)

    def list_cpu_types(self, *, vcpu_count: int = 2, product: str = "POD") -> list[CpuType]:
        """Return the CPU flavours with stock for `product` (POD or SERVERLESS) of `vcpu_count` vCPUs."""
        query = {"include": "AVAILABILITY", "product": product, "vcpuCount": str(vcpu_count)}
        return Collection(self._transport, "/v2/catalog/cpus", "cpus", CpuType).all(query)

    def list_data_centers(self) -> list[DataCenter]:
        """Return the data centres with their storage tiers and GPU stock."""
        query = {"include": "GPU_AVAILABILITY"}
        return Collection(self._transport, "/v2/catalog/datacenters", "dataCenters", DataCenter).all(query)

    def bill(self, of: str = "", query: Mapping[str, str] | None = None) -> list[BillingRecord]:
        """Return the bill: one record per time bucket and, for a kind, per resource. Records are some hours late.

        Args:
            of: One of BILLED.
            query: `startTime` and `endTime` (RFC 3339) or `lastN`, `bucketSize`, and the id of one resource.
        """
        path = f"/v2/billing/{of}".rstrip("/")
        return Collection(self._transport, path, "records", BillingRecord).all(query)

    def bill_of_pod(self, pod_id: str, since: str) -> list[BillingRecord]:
        """Return RunPod's bill of a pod since a time (RFC 3339), by day; empty when there are no records yet."""
        return self.bill("pods", {"podId": pod_id, "startTime": since})

    def bill_of_network_volume(self, volume_id: str, since: str) -> list[BillingRecord]:
        """Return RunPod's bill of a volume since a time (RFC 3339), by day; empty when there are no records yet."""
        return self.bill("network-volumes", {"networkVolumeId": volume_id, "startTime": since})

    def bill_of_endpoint(self, endpoint_id: str, since: str) -> list[BillingRecord]:
        """Return RunPod's bill of an endpoint since a time (RFC 3339), by day; empty when there are no records yet."""
        return self.bill("serverless", {"serverlessId": endpoint_id, "startTime": since})
