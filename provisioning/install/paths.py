"""Paths of a plan's artefacts on this pod, and names of their archives on the volume."""

from __future__ import annotations

import hashlib
from pathlib import Path

from provisioning.contract import Secrets
from provisioning.install import nodes, sources, uv
from provisioning.install.context import InstallContext
from provisioning.install.venvs import Venv
from provisioning.models import store
from provisioning.models.http import DownloadTokens
from provisioning.services.service_spec import ComfyUIService, ServiceSpec, Tree, gateway_service

GATEWAY_LOCK = "provisioning/gateway/requirements.lock"


class InstallPaths:
    """Names and paths derived from plan, bundle and machine."""

    def __init__(self, context: InstallContext) -> None:
        self._context = context

    @property
    def comfyui_source(self) -> Path:
        """ComfyUI's checkout."""
        return self._context.layout.sources / "comfyui" / self._context.plan.comfyui.commit

    @property
    def comfyui_venv(self) -> Venv:
        """Environment with the packages of ComfyUI and its nodes, on top of the image's torch."""
        plan = self._context.plan
        return Venv("comfyui", (plan.comfyui.requirements, *(pin.requirements for pin in plan.nodes)), system_site=True)

    @property
    def gateway_venv(self) -> Venv:
        """Environment with the packages of the gateway and supervisord."""
        lock = (self._context.bundle / GATEWAY_LOCK).read_text(encoding="utf-8")
        return Venv("gateway", (lock,), system_site=False)

    @property
    def venvs(self) -> tuple[Venv, Venv]:
        """Both environments."""
        return self.comfyui_venv, self.gateway_venv

    @property
    def comfyui_trees(self) -> tuple[Tree, ...]:
        """The software trees that ComfyUI runs from."""
        layout = self._context.layout
        checkouts = [(sources.archive(pin), nodes.directory(layout, pin)) for pin in self._context.plan.nodes]
        checkouts.append((sources.archive(self._context.plan.comfyui), self.comfyui_source))
        venv = self.comfyui_venv.directory(layout)
        return tuple(Tree(name, self._below(path)) for name, path in (*checkouts, (venv.name, venv)))

    @property
    def kept(self) -> dict[str, Path]:
        """Every software tree with an archive on the volume, by the archive's name."""
        layout = self._context.layout
        own = (uv.directory(layout), self.gateway_venv.directory(layout))
        trees = {tree.archive: layout.local / tree.path for tree in self.comfyui_trees}
        return trees | {path.name: path for path in own} | {f"bundle-{self._context.bundle.name}": self._context.bundle}

    @property
    def service_spec(self) -> ServiceSpec:
        """The services' specification, which is complete once the models are stored."""
        context = self._context
        links = tuple(
            sorted((pin.name, self._below(nodes.directory(context.layout, pin))) for pin in context.plan.nodes)
        )
        comfyui = ComfyUIService(
            python=self._below(self.comfyui_venv.python(context.layout)),
            source=self._below(self.comfyui_source),
            arguments=context.plan.comfyui_args,
            revision=hashlib.sha256("\n".join(path for _, path in links).encode()).hexdigest()[:16],
            trees=self.comfyui_trees,
            nodes=links,
            models=self._models,
        )
        python = self._below(self.gateway_venv.python(context.layout))
        gateway = gateway_service(python, context.plan.gateway, context.secrets)
        return ServiceSpec(context.bundle.name, comfyui, gateway, context.plan.isolation, context.plan.volume_gb)

    @property
    def _models(self) -> tuple[tuple[str, str], ...]:
        layout = self._context.layout
        found = ((pin, store.stored(layout, pin)) for pin in self._context.plan.models if pin.url)
        places = ((store.link_path(layout, pin).relative_to(layout.model_folders), have) for pin, have in found)
        return tuple((str(place), have.sha256) for place, have in places if have)

    def _below(self, path: Path) -> str:
        return str(path.relative_to(self._context.layout.local))


def tokens(secrets: Secrets) -> DownloadTokens:
    """Return the access tokens by host."""
    known = {"huggingface.co": secrets.hugging_face_token, "civitai.com": secrets.civitai_token}
    return DownloadTokens({host: token for host, token in known.items() if token})
