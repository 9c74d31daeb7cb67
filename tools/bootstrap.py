"""The set-up, step by step: prerequisites, packages, engine, plugins. Run by `tools.setup` on the system's Python."""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tools import launcher, packages, prerequisites, record
from tools.engine import build, download, installed
from tools.engine.choice import Engine, Source, choose, program
from tools.engine.choice import UnavailableError as Unavailable
from tools.engine.versions import LANGUAGE_HOST, RELEASE, SOURCE
from tools.errors import SetupError
from tools.lock import exclusive
from tools.places import Places, find
from tools.plugins import install as plugins
from tools.progress import say


def main() -> int:
    """Prepare the checkout. 0: ready; 2: the machine lacks something, said in one sentence; 130: interrupted."""
    environ = dict(os.environ)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        prepare(find(environ), environ, retry=sys.argv[1:] == ["--retry"])
    except SetupError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        return 130
    return 0


def prepare(places: Places, environ: Mapping[str, str], *, retry: bool = False) -> record.Record:
    """Do what is not done yet and return what was chosen; `retry` looks for the official plugin again at once."""
    prerequisites.check(venv=places.venv)
    wanted = record.fingerprint(places, environ)
    if known := _current(places, wanted, retry=retry):
        return known
    with exclusive(places.cache / "setup.lock", "the set-up"):
        if known := _current(places, wanted, retry=retry):
            return known
        return _install(places, environ, wanted)


def _current(places: Places, wanted: str, *, retry: bool) -> record.Record | None:
    known = record.load(places.record)
    if known is None or (retry and known.command_plugin == plugins.STANDIN):
        return None
    return known if record.is_current(known, wanted, places, plugins.STANDIN) else None


def _install(places: Places, environ: Mapping[str, str], wanted: str) -> record.Record:
    started = time.monotonic()
    packages.install(places, environ)
    with exclusive(places.shared / "engine.lock", "the engine"):
        engine = choose(_sources(places, environ))
    command = plugins.install(places, engine, environ)
    launcher.write(places)
    made = record.Record(wanted, engine, command, str(places.pulumi_home), time.time())
    record.save(places.record, made)
    say(f"ready after {time.monotonic() - started:.0f} s; {made.line}")
    return made


def _sources(places: Places, environ: Mapping[str, str]) -> list[Source]:
    """The ways to an engine, the cheapest and best known first."""
    released = places.shared / "engine" / RELEASE
    built = places.shared / "engine" / f"{SOURCE}-{_recipe()}"
    shop = build.Workshop(built, places.shared, places.cache, places.venv / "bin" / "python")
    return [
        Source("pulumi on PATH", lambda: installed.on_path(environ, places.venv / "bin")),
        Source("downloaded before", lambda: _cached(released, RELEASE, "official release", environ), silent=True),
        Source("built before", lambda: _cached(built, SOURCE, "built from source", environ), silent=True),
        Source("official release", lambda: download.official(released)),
        Source("build from source", lambda: build.from_source(shop, environ)),
    ]


def _recipe() -> str:
    """A short hash of what a build is made from, so that a changed recipe builds anew."""
    folder = Path(build.__file__).parent
    digest = hashlib.sha256(LANGUAGE_HOST.encode())
    for name in ("cli/go.mod", "cli/go.sum", "language/go.mod", "language/go.sum", "build.py"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:12]


def _cached(folder: Path, version: str, origin: str, environ: Mapping[str, str]) -> Engine:
    if not program(folder / "bin").exists():
        raise Unavailable("not here yet")
    installed.ask_version(program(folder / "bin"), environ)
    return Engine(str(folder / "bin"), version, origin)


if __name__ == "__main__":
    sys.exit(main())
