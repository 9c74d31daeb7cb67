"""Download of the official release, verified with the published checksums."""

import hashlib
import platform
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from tools.engine.sources import InstalledEngine, UnavailableError
from tools.engine.versions import RELEASE
from tools.progress import BEAT_SECONDS, say

ARCHIVES = "https://get.pulumi.com/releases/sdk"
# On another host than the archive, so that one compromised host is detected.
SUMS = "https://github.com/pulumi/pulumi/releases/download"
_CONNECT_SECONDS = 10
_AGENT = {"User-Agent": "comfyui-runpod-setup/1"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def official(target: Path, archives: str = ARCHIVES, sums: str = SUMS) -> InstalledEngine:
    """Download the release into `target`, which is created atomically.

    Raises:
        UnavailableError: no release for this machine, the site is not reachable, or the checksum differs.
    """
    name = f"pulumi-v{RELEASE}-{_platform()}.tar.gz"
    partial = target.parent / f"{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        wanted = _published_sum(f"{sums}/v{RELEASE}/pulumi-{RELEASE}-checksums.txt", name)
        say(f"downloading the engine: {name}")
        archive = partial / name
        _fetch(f"{archives}/{name}", archive)
        _verify(archive, wanted)
        _unpack(archive, partial / "unpacked")
        _put(partial / "unpacked" / "pulumi", target)
    except (OSError, tarfile.TarError) as error:
        raise UnavailableError(f"the official site is not reachable ({_reason(error)})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return InstalledEngine(str(target / "bin"), RELEASE, "official release")


def _put(unpacked: Path, target: Path) -> None:
    """Rename the unpacked folder atomically; an interrupted copy would look like a complete engine."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    unpacked.rename(target / "bin")


def _platform() -> str:
    system, machine = platform.system().lower(), _MACHINES.get(platform.machine().lower())
    if system not in {"linux", "darwin"} or machine is None:
        raise UnavailableError(f"there is no release for {platform.system()} on {platform.machine()}")
    return f"{system}-{machine}"


def _reason(error: BaseException) -> object:
    return error.reason if isinstance(error, urllib.error.URLError) else error


def _published_sum(url: str, name: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=_AGENT), timeout=_CONNECT_SECONDS) as answer:  # noqa: S310  (https, fixed host)
        lines = answer.read(100_000).decode().splitlines()
    sums = {parts[1].lstrip("*"): parts[0] for parts in (line.split() for line in lines) if len(parts) == 2}
    if name not in sums:
        raise UnavailableError(f"the published checksums do not contain {name}")
    return str(sums[name])


def _fetch(url: str, target: Path) -> None:
    with (
        urllib.request.urlopen(urllib.request.Request(url, headers=_AGENT), timeout=_CONNECT_SECONDS) as answer,  # noqa: S310  (https, fixed host)
        target.open("wb") as output,
    ):
        _copy(answer, output)


def _copy(source: IO[bytes], output: IO[bytes]) -> None:
    """Copy, and print the progress every ten seconds."""
    copied, next_word = 0, time.monotonic() + BEAT_SECONDS
    while block := source.read(1 << 20):
        output.write(block)
        copied += len(block)
        if time.monotonic() >= next_word:
            say(f"  downloading the engine: {copied / 1e6:.0f} MB ...")
            next_word += BEAT_SECONDS


def _verify(archive: Path, wanted: str) -> None:
    with archive.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != wanted:
        raise UnavailableError(
            f"{archive.name} has the SHA-256 {found}, and the published one is {wanted}; nothing was installed"
        )


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as content:
        if hasattr(tarfile, "data_filter"):
            content.extractall(target, filter="data")
        else:  # Python before 3.11.4; the published checksum has verified the archive
            content.extractall(target)  # noqa: S202
