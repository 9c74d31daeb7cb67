"""The first stage of a start with an empty container disk, after boot.sh has verified and unpacked this bundle.

It unpacks the gateway's packages, decrypts the sealed record with them, and writes the script that boot.sh runs next.
"""

from __future__ import annotations

import os
import sys

from provisioning import contract
from provisioning.errors import InstallError
from provisioning.host import environ as pod_environ
from provisioning.layout import Layout
from provisioning.services import sealed_record, service_spec
from provisioning.services.start import write_script
from provisioning.vault import archives


def restore(layout: Layout, key: str) -> None:
    """Restore the container disk as far as boot/start needs it.

    Raises:
        InstallError: This stack did not write a file on the volume.
        OSError: The volume or the container disk fails.
    """
    found = sealed_record.read(layout, key)
    python = layout.local / found.python
    if not python.exists():
        archives.unpack(layout, key, found.archive, python.parents[1])
    service_spec.store(layout, sealed_record.decrypt(layout, key, found))
    archives.mark_used(layout, [f"bundle-{found.bundle}"])
    write_script(layout, found.bundle)


def main() -> int:
    """Restore; return 1 after a failure."""
    os.umask(0o022)
    layout = Layout.from_env(os.environ)
    try:
        restore(layout, pod_environ.read(layout).get(contract.VOLUME_KEY_VARIABLE, ""))
    except (InstallError, OSError) as error:
        sys.stdout.write(f"restore: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
