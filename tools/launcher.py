"""`pulumi` for a person who activates `.venv`: the chosen engine with the settings that `make` gives it."""

from tools.places import Places

_TEXT = """#!/bin/sh
# Plain `pulumi` in this checkout. It sets what the Makefile's commands set (backend, plugins, policy pack,
# passphrase file of the named stack) unless you set it yourself, and becomes the engine.
exec "{python}" -m stacks.cli pulumi "$@"
"""


def write(places: Places) -> None:
    """Write `.venv/bin/pulumi`; the activated environment finds it before any other."""
    launcher = places.venv / "bin" / "pulumi"
    partial = launcher.with_suffix(".new")
    partial.write_text(_TEXT.format(python=places.venv / "bin" / "python"))
    partial.chmod(0o755)
    partial.rename(launcher)
