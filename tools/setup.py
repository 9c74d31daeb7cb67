"""Make the checkout ready to run: `python3 -m tools.setup`. A second run has nothing to do."""

import runpy
import sys

# This file must parse on any Python 3; the modules that it starts require 3.11.
if sys.version_info < (3, 11):  # noqa: UP036  (the reader may have an older one)
    sys.stderr.write(
        "Python 3.11 or newer is required and this is %d.%d: install one and run `make PYTHON=python3.11 ...`.\n"  # noqa: UP031
        % sys.version_info[:2]
    )
    raise SystemExit(2)

runpy.run_module("tools.bootstrap", run_name="__main__", alter_sys=True)
