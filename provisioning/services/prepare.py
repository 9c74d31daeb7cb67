"""Restore ComfyUI's files after the container disk was lost: sources, packages, nodes, models.

supervisord runs it in parallel with the gateway; ComfyUI's launcher waits for the file `prepared`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from provisioning import contract
from provisioning.errors import InstallError
from provisioning.host import environ as pod_environ
from provisioning.host.files import link, write
from provisioning.layout import Layout
from provisioning.services.isolation import Isolation, decide, missing_bytes, model_directory
from provisioning.services.service_spec import ServiceSpec, read
from provisioning.vault import archives

PAUSE_SECONDS = 15.0
COPY_BYTES = 1 << 20


def prepare(layout: Layout, spec: ServiceSpec, key: str, isolation: Isolation, say: Callable[[str], None]) -> None:
    """Restore missing files; an interrupted run is continued by the next one.

    Raises:
        InstallError: This stack did not write an archive.
        OSError: The volume or the container disk fails.
    """
    for tree in spec.comfyui.trees:
        if not (layout.local / tree.path).exists():
            say(f"unpacking {tree.archive}")
            archives.unpack(layout, key, tree.archive, layout.local / tree.path)
    _link_exactly(layout.nodes, {name: layout.local / path for name, path in spec.comfyui.nodes})
    _place_models(layout, spec, isolation, say)
    write(layout.prepared, "")


def decided(layout: Layout, spec: ServiceSpec) -> Isolation:
    """Return the isolation of ComfyUI on this host; raises InstallError when none is available."""
    copies = missing_bytes(layout, [sha256 for _, sha256 in spec.comfyui.models])
    return decide(spec.isolation, layout, copies)


def _place_models(layout: Layout, spec: ServiceSpec, isolation: Isolation, say: Callable[[str], None]) -> None:
    directory = model_directory(layout, isolation)
    if isolation is Isolation.FOLDER:
        _copy_models(layout, {sha256 for _, sha256 in spec.comfyui.models}, say)
    wanted = {layout.model_folders / place: directory / sha256 for place, sha256 in spec.comfyui.models}
    for path, target in wanted.items():
        link(path, target)
    for path in layout.model_folders.glob("*/*"):
        if path.is_symlink() and path not in wanted:
            path.unlink()


def _copy_models(layout: Layout, names: set[str], say: Callable[[str], None]) -> None:
    layout.model_copies.mkdir(parents=True, exist_ok=True)
    for old in layout.model_copies.iterdir():
        if old.name not in names:
            old.unlink()
    for name in sorted(names):
        target = layout.model_copies / name
        if not target.exists():
            say(f"copying model {name[:12]} to the container disk")
            staged = target.with_name(f".{name}.staged")
            _copy(layout.model_store / name, staged)
            staged.chmod(0o444)
            staged.replace(target)


def _copy(source: Path, target: Path) -> None:
    """Copy a file from the volume without following a link, which could point to files that ComfyUI must not read."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy, COPY_BYTES)


def _link_exactly(directory: Path, wanted: dict[str, Path]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, target in wanted.items():
        link(directory / name, target)
    for entry in directory.iterdir():
        if entry.name not in wanted:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _say(text: str) -> None:
    sys.stdout.write(f"prepare: {text}\n")
    sys.stdout.flush()


def main(sleep: Callable[[float], None] = time.sleep) -> int:
    """Run once; return 1 after a failure, so that supervisord tries again."""
    os.umask(0o022)
    layout = Layout.from_env(os.environ)
    key = pod_environ.read(layout).get(contract.VOLUME_KEY_VARIABLE, "")
    spec = read(layout)
    if spec is None:
        _say("nothing is installed yet")
        return 1
    try:
        isolation = decided(layout, spec)
        prepare(layout, spec, key, isolation, _say)
    except (InstallError, OSError) as error:
        _say(f"ComfyUI cannot start: {error}; it will be tried again, and `make up` repairs missing files")
        # The failed attempt may have read gigabytes from the volume.
        sleep(PAUSE_SECONDS)
        return 1
    _say("ComfyUI's files are in place")
    return 0


if __name__ == "__main__":
    sys.exit(main())
