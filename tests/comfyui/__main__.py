"""`python -m tests.comfyui DIR` publishes there and prints what it holds; `--pins` prints the stack file's part."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.comfyui.pins import FILE_SERVER, pins
from tests.comfyui.publication import Published, publish


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m tests.comfyui", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, help="where to publish; made if missing")
    parser.add_argument("--pins", action="store_true", help="print what stacks/Pulumi.local.yaml must say")
    parser.add_argument("--file-server", default=FILE_SERVER, help="URL it is served at (default: %(default)s)")
    options = parser.parse_args()
    if options.directory is None and not options.pins:
        parser.error("name a directory to publish to, or --pins")
    with tempfile.TemporaryDirectory() as scratch:
        published = publish(options.directory or Path(scratch))
    text = pins(published, options.file_server) if options.pins else _json(published)
    sys.stdout.write(text.rstrip("\n") + "\n")


def _json(published: Published) -> str:
    return json.dumps(asdict(published), default=str, indent=2)


if __name__ == "__main__":
    main()
