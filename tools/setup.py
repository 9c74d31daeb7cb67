"""Make the checkout ready to run: `python3 -m tools.setup`. A second run finds everything in place and ends at once."""

import runpy
import sys

# This file alone must parse on any Python 3; everything it starts may use the language of 3.11.
if sys.version_info < (3, 11):  # noqa: UP036  (the reader may have an older one)
    sys.stderr.write(
        "Python 3.11 or newer is needed and this is %d.%d: install one and run `make PYTHON=python3.11 ...`.\n"  # noqa: UP031
        % sys.version_info[:2]
    )
    raise SystemExit(2)

runpy.run_module("tools.bootstrap", run_name="__main__", alter_sys=True)
