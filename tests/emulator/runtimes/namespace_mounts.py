"""Mounts of a pod, made in its own mount namespace: none of them ever shows on the machine."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.emulator.runtimes import namespace_disk as disk
from tests.emulator.runtimes import namespace_kernel as kernel

_NO_DEVICES = kernel.MS_NODEV
_GUARDED = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}

# The settings of the kernel are the machine's: root in a pod may read them at most, as in any container.
_READ_ONLY = ("proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger")
_COVERED_FILES = ("proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list", "proc/sched_debug")
_COVERED_DIRECTORIES = ("proc/acpi", "proc/asound", "proc/scsi", "sys/firmware")


@dataclass(frozen=True)
class Places:
    """Where the parts of a container disk lie on the machine while it is mounted; nothing else knows them."""

    home: Path

    @property
    def image(self) -> Path:
        """The file that holds the disk."""
        return self.home / "disk.img"

    @property
    def disk(self) -> Path:
        """Mount point of the disk: upper and work directories of the overlays."""
        return self.home / "disk"

    @property
    def root(self) -> Path:
        """Mount point of what becomes the pod's root."""
        return self.home / "root"


def mount_disk(places: Places, gigabytes: int) -> None:
    """Give the pod an empty disk of its size: a sparse file on a loop device, or memory where there is no loop device.

    A file system of its own serves three ends: `df` and a full disk are what they are on a pod, upper and lower layer
    never overlap, and it works where the state folder itself lies on an overlay.
    """
    places.disk.mkdir(exist_ok=True)
    places.root.mkdir(exist_ok=True)
    with places.image.open("wb") as image:
        image.truncate(gigabytes << 30)
    made = ["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "nodiscard", str(places.image)]
    subprocess.run(made, check=True, capture_output=True)
    mounted = ["mount", "-o", "loop,nodev", str(places.image), str(places.disk)]
    if subprocess.run(mounted, check=False, capture_output=True).returncode != 0:
        places.image.unlink()
        kernel.mount("tmpfs", str(places.disk), "tmpfs", _NO_DEVICES, f"size={gigabytes}g,mode=755")


def mount_root(places: Places, what: disk.Upper) -> None:
    """Mount the machine's root below the pod's disk, and each file system of the machine's that is part of it."""
    mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    points = ["", *(path for path in disk.submounts(mountinfo, what.hidden) if Path("/", path).is_dir())]
    layers = {point: places.disk / f"upper{number}" for number, point in enumerate(points)}
    for point, layer in layers.items():
        layer.mkdir()
        layer.chmod(Path("/", point).stat().st_mode & 0o7777)
        layer.with_name(layer.name.replace("upper", "work")).mkdir()
    disk.write(what, Path("/"), layers)
    os.chdir(places.disk)  # relative paths: the options of an overlay cannot hold every character of a path
    for point, layer in layers.items():
        options = f"lowerdir=/{point},upperdir={layer.name},workdir={layer.name.replace('upper', 'work')}"
        kernel.mount("overlay", str(places.root / point), "overlay", _NO_DEVICES, options)


def mount_volume(root: Path, volume: Path, mount_path: str, megabytes: int = 0) -> None:
    """Bind the network volume where the pod expects it; with a size, in its place a file system that can be full."""
    target = root / mount_path.lstrip("/")
    target.mkdir(parents=True, exist_ok=True)
    if megabytes:
        # In memory, so it ends with the container: for faults, not for what is to be kept.
        return kernel.mount("tmpfs", str(target), "tmpfs", _NO_DEVICES, f"size={megabytes}m,mode=755")
    kernel.mount(str(volume), str(target), flags=kernel.MS_BIND)
    kernel.mount("", str(target), flags=kernel.MS_BIND | kernel.MS_REMOUNT | _NO_DEVICES)
    return None


def mount_served_volume(root: Path, server: int, source: str, mount_path: str) -> None:
    """Fetch a network volume from the mount namespace of its server and mount it where the pod expects it."""
    target = root / mount_path.lstrip("/")
    target.mkdir(parents=True, exist_ok=True)
    ours, theirs = (os.open(f"/proc/{process}/ns/mnt", os.O_RDONLY) for process in ("self", server))
    try:
        kernel.enter_namespace(theirs, kernel.CLONE_NEWNS)
        try:
            volume = kernel.copy_mount(source)
        finally:
            kernel.enter_namespace(ours, kernel.CLONE_NEWNS)
    finally:
        os.close(ours)
        os.close(theirs)
    kernel.place_mount(volume, str(target))
    os.close(volume)


def mount_system(root: Path) -> None:
    """Mount what every container has: /proc of its own processes, /sys to read, and a small /dev."""
    kernel.mount("proc", str(root / "proc"), "proc", _GUARDED)
    kernel.mount("sysfs", str(root / "sys"), "sysfs", _GUARDED | kernel.MS_RDONLY)
    _mount_devices(root / "dev")
    for path in _READ_ONLY:
        _make_read_only(root / path)
    for path in _COVERED_FILES:
        if (root / path).exists():
            kernel.mount(str(root / "dev/null"), str(root / path), flags=kernel.MS_BIND)
    for path in _COVERED_DIRECTORIES:
        if (root / path).is_dir():
            kernel.mount("tmpfs", str(root / path), "tmpfs", _GUARDED | kernel.MS_RDONLY, "size=0")


def _mount_devices(dev: Path) -> None:
    kernel.mount("tmpfs", str(dev), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755,size=64k")
    for name in ("pts", "shm", "mqueue"):
        (dev / name).mkdir()
    _make_devices(dev, aside=dev / "shm")
    for name, target in _DEVICE_LINKS.items():
        (dev / name).symlink_to(target)
    # Group 5 is `tty` in every distribution; sshd and `script` rely on terminals that belong to it.
    options = "newinstance,ptmxmode=0666,mode=0620,gid=5"
    kernel.mount("devpts", str(dev / "pts"), "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, options)
    kernel.mount("tmpfs", str(dev / "shm"), "tmpfs", _GUARDED, "mode=1777,size=1g")
    kernel.mount("mqueue", str(dev / "mqueue"), "mqueue", _GUARDED)


def _make_devices(dev: Path, aside: Path) -> None:
    """Make devices of the pod's own: it may change their modes, and can make no other that opens.

    They lie in a file system that allows devices, and of which the pod sees nothing but them.
    """
    kernel.mount("tmpfs", str(aside), "tmpfs", kernel.MS_NOSUID | kernel.MS_NOEXEC, "size=64k")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(aside / name, stat.S_IFCHR, os.makedev(major, minor))
        (aside / name).chmod(0o666)
        (dev / name).touch()
        kernel.mount(str(aside / name), str(dev / name), flags=kernel.MS_BIND)
    kernel.unmount(str(aside))


def _make_read_only(path: Path) -> None:
    if not path.exists():
        return
    kernel.mount(str(path), str(path), flags=kernel.MS_BIND)
    kernel.mount("", str(path), flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | _GUARDED)
