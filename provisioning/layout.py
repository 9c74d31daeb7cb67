"""Paths on a pod; no other module joins them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioning import contract

# The kernel limits the path of a unix socket to 108 bytes including the terminating zero; supervisord first binds the
# path with a dot and its process id appended.
SOCKET_PATH_LIMIT = 107 - len(".4194304")


@dataclass(frozen=True)
class Layout:
    """Paths below a pod's root; the root is "/" on a pod and a directory in the emulator's process runtime."""

    root: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Layout:
        """Return the layout below POD_ROOT; without it, below the machine's root."""
        return cls(Path(env.get("POD_ROOT") or "/"))

    def _at(self, absolute: str) -> Path:
        return self.root / absolute.lstrip("/")

    @property
    def volume(self) -> Path:
        """The network volume, which alone survives a stop."""
        return self._at(contract.VOLUME_MOUNT)

    @property
    def on_volume(self) -> tuple[Path, ...]:
        """The installation's folders on the volume, and their parents there."""
        models = (self.model_store.parent, self.model_store, self.model_staging, self.model_records)
        return (self.home, *models, self.archives, self.gateway_log, self.files)

    @property
    def volume_parent(self) -> Path:
        """The folder on the container disk in which the volume is mounted."""
        return self._at(contract.VOLUME_PARENT)

    @property
    def local(self) -> Path:
        """Root of the installation on the container disk, lost at every stop."""
        return self._at(contract.LOCAL)

    @property
    def gateway_log(self) -> Path:
        """The log of the gateway's database on the volume, one folder for each epoch."""
        return self.home / "gateway-log"

    @property
    def files(self) -> Path:
        """The gateway's store of uploads and outputs on the volume."""
        return self.home / "files"

    @property
    def home(self) -> Path:
        """Root of the installation on the volume."""
        return self._at(contract.HOME)

    @property
    def run(self) -> Path:
        """Folder on the container disk for the environment, rendered configuration, locks and sockets."""
        return self._at(contract.RUN_DIR)

    @property
    def environ(self) -> Path:
        """The environment of the pod's start, NUL-separated, readable by root only."""
        return self.run / "environ"

    @property
    def bundles(self) -> Path:
        """One directory per uploaded bundle, named by its digest."""
        return self.local / "bundle"

    @property
    def start(self) -> Path:
        """The script that boot.sh runs after an installation."""
        return self.local / "boot" / "start"

    @property
    def jobs(self) -> Path:
        """Progress and result of installer runs, in one directory each."""
        return self.local / "jobs"

    @property
    def lease(self) -> Path:
        """The lease of the pod that is installing on this volume."""
        return self.home / "lease.json"

    @property
    def packages(self) -> Path:
        """System packages as .deb files; an archive on the volume makes a restart work without network access."""
        return self.local / "packages"

    @property
    def sources(self) -> Path:
        """Checked-out repositories, `<name>/<commit>`."""
        return self.local / "sources"

    @property
    def venvs(self) -> Path:
        """Python environments, named by the hash of their lock."""
        return self.local / "venvs"

    @property
    def base(self) -> Path:
        """ComfyUI's --base-directory."""
        return self.local / "base"

    @property
    def nodes(self) -> Path:
        """ComfyUI's custom nodes: links into `sources`, not writable by ComfyUI."""
        return self.base / "custom_nodes"

    @property
    def model_folders(self) -> Path:
        """ComfyUI's folders of models: links into `model_store`."""
        return self.base / "models"

    @property
    def model_store(self) -> Path:
        """One file per content, named by its SHA-256."""
        return self.home / "models" / "store"

    @property
    def model_copies(self) -> Path:
        """Copies of stored models on the container disk, where ComfyUI must not reach the volume at all."""
        return self.local / "models"

    @property
    def model_staging(self) -> Path:
        """Downloads that are not finished or not checked yet."""
        return self.home / "models" / "staging"

    @property
    def model_records(self) -> Path:
        """Hashes and sizes of downloads without a hash in the manifest."""
        return self.home / "models" / "records"

    @property
    def service_spec(self) -> Path:
        """The services' specification in plain text, written by the installer or decrypted at a start; root only."""
        return self.run / "services.json"

    @property
    def sealed(self) -> Path:
        """The record for the next start, on the volume: signed, with encrypted secrets."""
        return self.home / "services.sealed"

    @property
    def archives(self) -> Path:
        """Software on the volume, one signed archive for each tree."""
        return self.home / "archives"

    @property
    def isolation(self) -> Path:
        """File with the isolation of ComfyUI in this container."""
        return self.run / "isolation"

    @property
    def checked(self) -> Path:
        """Names of the archives that were written or verified since the container's start."""
        return self.run / "checked"

    @property
    def prepared(self) -> Path:
        """A file that exists once ComfyUI's files are in place since the container's start."""
        return self.run / "prepared"

    @property
    def gateway_data(self) -> Path:
        """The gateway's database directory; gateway user only."""
        return self.local / "gateway"

    @property
    def requests(self) -> Path:
        """Requests of the gateway to the privileged helper; gateway user only."""
        return self.local / "requests"

    @property
    def gateway_config(self) -> Path:
        """The gateway's configuration with its secrets, rendered at every start."""
        return self.run / "gateway.json"

    @property
    def supervisor_config(self) -> Path:
        """Rendered at every start."""
        return self.run / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        """Control socket of supervisord, accessible to its user only."""
        direct = self.run / "supervisor.sock"
        if len(os.fsencode(direct)) <= SOCKET_PATH_LIMIT:
            return direct
        name = hashlib.sha256(os.fsencode(direct)).hexdigest()[:12]
        return Path("/tmp") / f"comfyui-runpod-{os.getuid()}-{name}" / "s"  # noqa: S108  (a directory of our own)

    @property
    def logs(self) -> Path:
        """Logs of the services, rotated."""
        return self.local / "logs"


def port(private: int, env: Mapping[str, str]) -> int:
    """Return the port to listen on: pods of the process runtime share one loopback interface and get other numbers."""
    return int(env.get(f"POD_PORT_{private}") or private)
