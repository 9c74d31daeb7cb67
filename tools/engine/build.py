"""Build of the engine from Go modules, when the official site is not reachable."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.engine import go
from tools.engine.sources import InstalledEngine, UnavailableError
from tools.engine.versions import SOURCE
from tools.errors import SetupError
from tools.progress import run, say

_HERE = Path(__file__).parent
_VERSION_FLAG = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{SOURCE}"
_REPOSITORY = "github.com/pulumi/pulumi"
_PROGRAMS = (
    # module folder here, package (its last part names the program), linker flags
    ("cli", f"{_REPOSITORY}/pkg/v3/cmd/pulumi", f"-s -w {_VERSION_FLAG}"),
    ("language", f"{_REPOSITORY}/sdk/v3/python/cmd/pulumi-language-python", "-s -w"),
)
# Scripts of the SDK's module that must be in the folder of the language host.
_SCRIPTS = (
    "cmd/pulumi-language-python-exec",
    "dist/pulumi-analyzer-policy-python",
    "dist/pulumi-resource-pulumi-python",
)


@dataclass(frozen=True)
class BuildDirs:
    """Folders of a build: `target` receives bin/, `shared` keeps a downloaded compiler, `logs` receives logs."""

    target: Path
    shared: Path
    logs: Path
    python: Path


def from_source(dirs: BuildDirs, environ: Mapping[str, str]) -> InstalledEngine:
    """Build the command line and the language host; `target` is created atomically.

    Raises:
        UnavailableError: no compiler, or the build failed; the message ends with the compiler's last output.
    """
    compiler = go.compiler(environ, dirs.shared / "go", dirs.python)
    partial = dirs.target.parent / f"{dirs.target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "bin").mkdir(parents=True)
    say("building the engine from source: about 5 minutes on 2 cores, once for all checkouts")
    try:
        settings = _settings(environ, dirs, compiler)
        for module, package, flags in _PROGRAMS:
            output = partial / "bin" / package.rpartition("/")[2]
            command = [str(compiler), "build", "-mod=readonly", "-ldflags", flags, "-o", str(output), package]
            log = dirs.logs / f"build-{output.name}.log"
            run(f"building the engine ({output.name})", command, cwd=_HERE / module, env=settings, log=log)
        _copy_scripts(compiler, partial / "bin", settings, dirs.logs)
        shutil.rmtree(dirs.target, ignore_errors=True)
        partial.rename(dirs.target)
    except SetupError as error:
        raise UnavailableError(str(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return InstalledEngine(str(dirs.target / "bin"), SOURCE, "built from source")


def _settings(environ: Mapping[str, str], dirs: BuildDirs, compiler: Path) -> dict[str, str]:
    """Return the build's environment; with a downloaded compiler the module cache is not in ~/go either."""
    settings = {**environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    if compiler.is_relative_to(dirs.shared):
        settings.setdefault("GOPATH", str(dirs.shared / "go-path"))
        settings.setdefault("GOCACHE", str(dirs.shared / "go-build"))
    return settings


def _copy_scripts(compiler: Path, target: Path, settings: Mapping[str, str], logs: Path) -> None:
    """Copy the scripts, which are not Go packages, from the module that go.sum verified."""
    log = logs / "sdk-folder.log"
    command = [str(compiler), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", f"{_REPOSITORY}/sdk/v3"]
    run("finding the SDK's module", command, cwd=_HERE / "cli", env=settings, log=log)
    folder = Path(log.read_text().strip().splitlines()[-1]) / "python"
    for script in _SCRIPTS:
        copy = target / Path(script).name
        shutil.copyfile(folder / script, copy)
        copy.chmod(0o755)
