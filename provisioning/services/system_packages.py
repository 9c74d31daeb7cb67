"""Restores system packages from the volume after the container disk was lost."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from provisioning.errors import InstallError
from provisioning.host import packages
from provisioning.layout import Layout
from provisioning.vault import archives


def restore(layout: Layout, key: str, env: Mapping[str, str]) -> None:
    """Install missing packages from the volume's archive, without network access; raises InstallError, OSError."""
    missing = packages.missing()
    if not missing:
        return
    archive = packages.archive(layout)
    if not archives.exists(layout, archive):
        raise InstallError(f"{', '.join(missing)} is missing and the volume holds no package for this release")
    # The archive also holds what boot.sh has unpacked or downloaded into the cache.
    shutil.rmtree(packages.cache(layout), ignore_errors=True)
    archives.unpack(layout, key, archive, packages.cache(layout))
    packages.install_cached(layout, env)
