"""What a pod's container disk shows of the machine's own root: programs and libraries, and nothing private.

The disk is an overlay whose upper layer is prepared here before it is mounted. A directory is hidden by an opaque
one and a file by a whiteout: unlike a mount over it, root in the pod cannot take that off again.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# What an image has at its root; whatever else a machine keeps there is its own business.
_KEPT = frozenset(
    (
        *("bin", "boot", "dev", "etc", "gnu", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt"),
        *("nix", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var"),
    )
)
_HIDDEN = (
    *("boot", "home", "media", "mnt", "root", "run", "srv", "tmp", "etc/ssl/private", "var/backups", "var/log"),
    *("etc/kubernetes", "etc/letsencrypt", "etc/NetworkManager", "etc/wireguard"),
    *(
        "var/lib/containers",
        "var/lib/docker",
        "var/lib/kubelet",
        "var/lib/mysql",
        "var/lib/postgresql",
        "var/lib/private",
    ),
    *("var/mail", "var/spool/cron", "var/tmp"),
)
_ABSENT = ("etc/shadow-", "etc/gshadow-", "etc/machine-id", "etc/krb5.keytab")
_MODES = {"root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777, "etc/ssl/private": 0o700}
_FRESH = {"run/lock": 0o1777, "var/log/apt": 0o755}

# Where programs keep secrets when it is not below the home directory.
_SECRET_DIRECTORIES = (
    *("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "PULUMI_HOME", "GNUPGHOME"),
    *("CARGO_HOME", "GOPATH", "DOCKER_CONFIG", "AWS_CONFIG_FILE", "KUBECONFIG"),
)

_ACCOUNTS = ("passwd", "group", "shadow", "gshadow")
_FIRST_PERSON = 1000
_NOBODY = (65533, 65534)

_OVERLAID = ("usr", "opt", "var", "etc", "bin", "sbin", "lib", "lib64", "nix", "gnu")
_NOT_DISKS = frozenset(
    {"proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "mqueue", "squashfs", "autofs", "fuse"}
)


@dataclass(frozen=True)
class Upper:
    """What the upper layer holds before the pod starts; paths are relative to the pod's root."""

    hidden: Mapping[str, int]
    """Directories shown empty, with their modes."""
    absent: tuple[str, ...]
    """Files that are not there."""
    directories: Mapping[str, int]
    files: Mapping[str, tuple[str, int]]
    """Text, and the mode where the machine has no such file."""


def private_directories(environ: Mapping[str, str], *others: Path) -> tuple[str, ...]:
    """Return what must not be seen from a pod: the given directories and those the environment names."""
    named = [Path(environ[name]) for name in _SECRET_DIRECTORIES if environ.get(name, "").startswith("/")]
    paths = {path.resolve() for path in (*others, *named)} - {Path("/")}
    return tuple(sorted(str(path).lstrip("/") for path in paths))


def upper(root: Path, private: Iterable[str], hostname: str, address: str, resolver: str) -> Upper:
    """Decide what a pod sees instead of what the machine's `root` has."""
    top = {entry.name: entry for entry in root.iterdir()}
    strange = {name: path for name, path in top.items() if name not in _KEPT and not path.is_symlink()}
    private = (*strange, *private)
    hidden = [_behind_links(root, path) for path in (*_HIDDEN, *private) if (root / path).is_dir()]
    files = [path for path in private if (root / path).is_file() and not _is_below(path, hidden)]
    host_keys = [str(path.relative_to(root)) for path in root.glob("etc/ssh/ssh_host_*")]
    return Upper(
        hidden={path: _MODES.get(path, 0o755) for path in _outermost(hidden)},
        absent=tuple(path for path in (*files, *_ABSENT, *host_keys) if (root / path).exists()),
        directories=_FRESH,
        files=_files(root, hostname, address, resolver),
    )


def submounts(mountinfo: str, hidden: Iterable[str]) -> list[str]:
    """Return the file systems of their own that hold parts of the machine's root, outermost first, as pod paths."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        # Spaces and the like are written as octal escapes.
        path = before.split()[4].encode().decode("unicode_escape").lstrip("/")
        if path.split("/")[0] in _OVERLAID and after.split()[0] not in _NOT_DISKS and not _is_below(path, hidden):
            found.append(path)
    return sorted(set(found))


def write(what: Upper, root: Path, layers: Mapping[str, Path]) -> None:
    """Fill the upper layers; `layers` maps the pod path of each overlay ("" for the root) to its upper directory."""
    for path, mode in {**what.hidden, **what.directories}.items():
        _make(path, root, layers).chmod(mode)
    for path in what.hidden:
        os.setxattr(_place(path, layers), "trusted.overlay.opaque", b"y")
    for path in what.absent:
        _make(str(Path(path).parent), root, layers)
        os.mknod(_place(path, layers), stat.S_IFCHR, os.makedev(0, 0))
    for path, (text, mode) in what.files.items():
        _make(str(Path(path).parent), root, layers)
        target = _place(path, layers)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)
        _copy_owner(root / path, target)


def account_files(etc: Path) -> dict[str, str]:
    """Return the account files of an image: the system's users and groups alone, and no password.

    People of the machine are none of a pod's business, and a user made in the pod shall find its number free.
    """
    texts = {name: (etc / name).read_text(encoding="utf-8") for name in _ACCOUNTS if (etc / name).exists()}
    kept = {name: _system_entries(texts.get(name, "")) for name in ("passwd", "group")}
    for secret, public in (("shadow", "passwd"), ("gshadow", "group")):
        names = {fields[0] for fields in kept[public]}
        entries = [line.split(":") for line in texts.get(secret, "").splitlines()]
        kept[secret] = [[fields[0], "*", *fields[2:]] for fields in entries if fields[0] in names]
    return {name: "".join(":".join(fields) + "\n" for fields in kept[name]) for name in texts}


def _system_entries(text: str) -> list[list[str]]:
    entries = [line.split(":") for line in text.splitlines() if line.count(":") >= 2]
    return [fields for fields in entries if int(fields[2]) < _FIRST_PERSON or int(fields[2]) in _NOBODY]


def _files(root: Path, hostname: str, address: str, resolver: str) -> dict[str, tuple[str, int]]:
    hosts = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{hostname}\n"
    files = {
        "etc/hostname": (f"{hostname}\n", 0o644),
        "etc/hosts": (hosts, 0o644),
        "etc/resolv.conf": (resolver, 0o644),
    }
    # What the tools that write them expect to find.
    files |= {f"var/log/{name}": ("", 0o664) for name in ("lastlog", "wtmp")}
    # As in the images a pod is made of: installing a package starts no service.
    files[_behind_links(root, "usr/sbin") + "/policy-rc.d"] = ("#!/bin/sh\nexit 101\n", 0o755)
    files |= {f"etc/{name}": (text, 0o644) for name, text in account_files(root / "etc").items()}
    return files


def _behind_links(root: Path, path: str) -> str:
    """Return the real place of a directory: one of ours in place of a link would hide too much."""
    return str((root / path).resolve().relative_to(root.resolve()))


def _outermost(paths: Iterable[str]) -> list[str]:
    """Leave out what lies below another of the paths: an empty directory has nothing below."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not _is_below(path, kept):
            kept.append(path)
    return kept


def _is_below(path: str, parents: Iterable[str]) -> bool:
    return any(path == parent or path.startswith(f"{parent}/") for parent in parents)


def _place(path: str, layers: Mapping[str, Path]) -> Path:
    mount = max((point for point in layers if _is_below(path, [point]) or point == ""), key=len)
    return layers[mount] / path.removeprefix(mount).lstrip("/")


def _make(path: str, root: Path, layers: Mapping[str, Path]) -> Path:
    """Make a directory and its parents in the upper layer, as the machine has them: the upper's owner and mode win."""
    for ancestor in [*reversed(Path(path).parents), Path(path)]:
        target = _place(str(ancestor) if str(ancestor) != "." else "", layers)
        if not target.exists():
            target.mkdir()
            _copy_owner(root / ancestor, target)
    return _place(path if path != "." else "", layers)


def _copy_owner(source: Path, target: Path) -> None:
    if source.exists():
        shutil.copymode(source, target)
        os.chown(target, source.stat().st_uid, source.stat().st_gid)
