"""The gateway's configuration, rendered at every start, because a migration changes the pod's id and host name."""

from __future__ import annotations

import json
from collections.abc import Mapping

from provisioning import contract
from provisioning.layout import Layout, port
from provisioning.services import isolation
from provisioning.services.service_spec import GatewayService, ServiceSpec


def hosts(service: GatewayService, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the gateway's host names: that of RunPod's proxy, and those in the options."""
    own = contract.gateway_host(environ.get("RUNPOD_POD_ID", ""))
    return (own, *service.plan.options.get("hosts", ()))


def render(spec: ServiceSpec, layout: Layout, environ: Mapping[str, str]) -> str:
    """Return the configuration as JSON; it contains the pepper and the first keys."""
    service = spec.gateway
    config = {
        **service.plan.options,
        "host": "0.0.0.0",  # noqa: S104  (RunPod's proxy connects to it from outside)
        "port": port(contract.GATEWAY_PORT, environ),
        "upstream": f"http://127.0.0.1:{port(contract.COMFYUI_PORT, environ)}",
        "database": service.database or str(layout.gateway_data / "gateway.db"),
        "log": str(layout.gateway_log),
        # The database of older installations, on the volume.
        "former_database": str(layout.home / "gateway" / "gateway.db"),
        "files": str(layout.files),
        "isolation": isolation.current(layout).value,
        "volume_bytes": spec.volume_gb * 10**9,
        "requests": str(layout.requests),
        "hosts": list(hosts(service, environ)),
        "pod_id": environ.get("RUNPOD_POD_ID", ""),
        "usd_per_hour": service.plan.usd_per_hour,
        "boot_file": str(layout.environ),
        "setup_dir": str(layout.jobs),
        "pepper": service.pepper,
        "seed_keys": [
            {"name": "client", "key": service.client_key, "scopes": ["client"]},
            {"name": "admin", "key": service.admin_key, "scopes": ["client", "admin"]},
        ],
    }
    return json.dumps(config, sort_keys=True, indent=1)
