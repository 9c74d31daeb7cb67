"""The process that serves one network volume: `python -m tests.emulator.runtimes.volume_server <volume> <home>`.

It mounts the volume in a mount namespace of its own, where a pod fetches the mount (`namespace_mounts`); the machine
outside sees none. It says `mounted` on its standard output, needs nobody from then on, and is ended by a kill: what
was written to it is with the kernel already. Two names of one file may differ for a second: the kernel keeps
attributes for each.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import mfusepy

from tests.emulator.runtimes import namespace_kernel as kernel
from tests.emulator.runtimes.volume_account import Account
from tests.emulator.runtimes.volume_behaviour import Home
from tests.emulator.runtimes.volume_faults import VolumeFaults
from tests.emulator.runtimes.volume_files import Files, FilesWithoutLocks

SOURCE = "mfs#euro-3.runpod.net:9421"
"""What the mount table names as the volume's device."""
MOUNTED = b"mounted\n"

_EINVAL = 22


class Server(mfusepy.FUSE):  # type: ignore[misc]  # the package has no types
    """Two answers that mfusepy gives otherwise: a file that has no name any more is cut by its handle, and a rename
    that must not replace, or is to swap two files, is refused as by the real one, not done in another way.
    """

    def truncate_fuse_3(self, path: bytes | None, length: int, handle: object) -> int:
        """Cut a file by its handle where there is one."""
        return int(self.ftruncate(path, length, handle) or 0)

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        """Rename without flags."""
        return -_EINVAL if flags else int(self.rename_fuse_2(old, new) or 0)


def main() -> int:
    """Serve until killed."""
    volume, home = Path(sys.argv[-2]), Home(Path(sys.argv[-1]))
    logging.basicConfig(format="%(asctime)s %(message)s")
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    os.umask(0)  # the kernel has applied the caller's
    behaviour = home.behaviour().read()
    faults = VolumeFaults(home)
    kind = Files if behaviour.locks == "kept" else FilesWithoutLocks
    files = kind(volume, faults, Account(volume, lambda: faults.quota_bytes), _say_mounted)
    options = {"default_permissions": True} if behaviour.modes == "obeyed" else {}
    options |= {"allow_other": True, "foreground": True, "hard_remove": True, "use_ino": True, "auto_cache": True}
    Server(files, str(home.files), fsname=SOURCE, **options)
    return 0


def _say_mounted() -> None:
    os.write(1, MOUNTED)


if __name__ == "__main__":
    sys.exit(main())
