"""The steps of the set-up: prerequisites, packages, engine, plugins. `tools.setup` runs it on the system's Python."""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tools import launcher, packages, prerequisites, setup_state
from tools.engine import build, download, on_path
from tools.engine.sources import InstalledEngine, Source, choose, program
from tools.engine.sources import UnavailableError as Unavailable
from tools.engine.versions import LANGUAGE_HOST, RELEASE, SOURCE
from tools.errors import SetupError
from tools.file_lock import exclusive
from tools.paths import SetupPaths, find
from tools.plugins import install as plugins
from tools.progress import say


def main() -> int:
    """Prepare the checkout. Return 0 when ready, 2 when the machine lacks something, 130 when interrupted."""
    environ = dict(os.environ)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        prepare(find(environ), environ, retry=sys.argv[1:] == ["--retry"])
    except SetupError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted; run the same command again to continue")
        return 130
    return 0


def prepare(paths: SetupPaths, environ: Mapping[str, str], *, retry: bool = False) -> setup_state.SetupState:
    """Run the missing steps and return the result; `retry` tries the official plugin again at once."""
    prerequisites.check(venv=paths.venv)
    wanted = setup_state.fingerprint(paths, environ)
    if known := _current(paths, wanted, retry=retry):
        return known
    with exclusive(paths.cache / "setup.lock", "the set-up"):
        if known := _current(paths, wanted, retry=retry):
            return known
        return _install(paths, environ, wanted)


def _current(paths: SetupPaths, wanted: str, *, retry: bool) -> setup_state.SetupState | None:
    known = setup_state.load(paths.record)
    if known is None or (retry and known.command_plugin == plugins.STANDIN):
        return None
    return known if setup_state.is_current(known, wanted, paths, plugins.STANDIN) else None


def _install(paths: SetupPaths, environ: Mapping[str, str], wanted: str) -> setup_state.SetupState:
    started = time.monotonic()
    packages.install(paths, environ)
    with exclusive(paths.shared / "engine.lock", "the engine"):
        engine = choose(_sources(paths, environ))
    command = plugins.install(paths, engine, environ)
    launcher.write(paths)
    made = setup_state.SetupState(wanted, engine, command, str(paths.pulumi_home), time.time())
    setup_state.save(paths.record, made)
    say(f"ready after {time.monotonic() - started:.0f} s; {made.line}")
    return made


def _sources(paths: SetupPaths, environ: Mapping[str, str]) -> list[Source]:
    """Return the sources of an engine in order of preference."""
    released = paths.shared / "engine" / RELEASE
    built = paths.shared / "engine" / f"{SOURCE}-{_recipe()}"
    dirs = build.BuildDirs(built, paths.shared, paths.cache, paths.venv / "bin" / "python")
    return [
        Source("pulumi on PATH", lambda: on_path.on_path(environ, paths.venv / "bin")),
        Source("downloaded before", lambda: _cached(released, RELEASE, "official release", environ), silent=True),
        Source("built before", lambda: _cached(built, SOURCE, "built from source", environ), silent=True),
        Source("official release", lambda: download.official(released)),
        Source("build from source", lambda: build.from_source(dirs, environ)),
    ]


def _recipe() -> str:
    """Return a short hash of the build's inputs; a change causes a new build."""
    folder = Path(build.__file__).parent
    digest = hashlib.sha256(LANGUAGE_HOST.encode())
    for name in ("cli/go.mod", "cli/go.sum", "language/go.mod", "language/go.sum", "build.py"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:12]


def _cached(folder: Path, version: str, origin: str, environ: Mapping[str, str]) -> InstalledEngine:
    if not program(folder / "bin").exists():
        raise Unavailable("not here yet")
    on_path.ask_version(program(folder / "bin"), environ)
    return InstalledEngine(str(folder / "bin"), version, origin)


if __name__ == "__main__":
    sys.exit(main())
