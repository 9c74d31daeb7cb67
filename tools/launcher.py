"""The launcher `.venv/bin/pulumi`, which runs the engine with the same settings as `make`."""

from tools.paths import SetupPaths

_TEXT = """#!/bin/sh
# Plain `pulumi` in this checkout. It sets what the Makefile's commands set (backend, plugins, policy pack,
# passphrase file of the named stack) unless you set it yourself, and executes the engine.
exec "{python}" -m stacks.cli pulumi "$@"
"""


def write(paths: SetupPaths) -> None:
    """Write `.venv/bin/pulumi`, which precedes others in the activated environment."""
    launcher = paths.venv / "bin" / "pulumi"
    partial = launcher.with_suffix(".new")
    partial.write_text(_TEXT.format(python=paths.venv / "bin" / "python"))
    partial.chmod(0o755)
    partial.rename(launcher)
