"""Where a plan's artefacts lie on this pod's volume."""

from __future__ import annotations

import hashlib
from pathlib import Path

from provisioning.contract import Secrets
from provisioning.install import nodes
from provisioning.install.site import Site
from provisioning.install.venvs import Venv
from provisioning.models.http import Tokens
from provisioning.services.desired import ComfyUIService, Desired, gateway_service

GATEWAY_LOCK = "provisioning/gateway/requirements.lock"


class Targets:
    """Names and paths that follow from plan, bundle and machine."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def comfyui_source(self) -> Path:
        """ComfyUI's checkout."""
        return self._site.layout.sources / "comfyui" / self._site.plan.comfyui.commit

    @property
    def comfyui_venv(self) -> Venv:
        """Packages of ComfyUI and its nodes; the image's torch is seen through it."""
        plan = self._site.plan
        return Venv("comfyui", (plan.comfyui.requirements, *(pin.requirements for pin in plan.nodes)), system_site=True)

    @property
    def gateway_venv(self) -> Venv:
        """Packages of the gateway and supervisord."""
        lock = (self._site.bundle / GATEWAY_LOCK).read_text(encoding="utf-8")
        return Venv("gateway", (lock,), system_site=False)

    @property
    def venvs(self) -> tuple[Venv, Venv]:
        """Both environments."""
        return self.comfyui_venv, self.gateway_venv

    @property
    def desired(self) -> Desired:
        """What the services are to be."""
        site, home = self._site, self._site.layout.home
        pins = sorted(str(nodes.directory(site.layout, pin).relative_to(home)) for pin in site.plan.nodes)
        comfyui = ComfyUIService(
            python=str(self.comfyui_venv.python(site.layout).relative_to(home)),
            source=str(self.comfyui_source.relative_to(home)),
            arguments=site.plan.comfyui_args,
            revision=hashlib.sha256("\n".join(pins).encode()).hexdigest()[:16],
        )
        python = str(self.gateway_venv.python(site.layout).relative_to(home))
        return Desired(site.bundle.name, comfyui, gateway_service(python, site.plan.gateway, site.secrets))


def tokens(secrets: Secrets) -> Tokens:
    """Return the access tokens by the host each is for."""
    known = {"huggingface.co": secrets.hugging_face_token, "civitai.com": secrets.civitai_token}
    return Tokens({host: token for host, token in known.items() if token})
