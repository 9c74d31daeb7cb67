"""What holds for every test."""

from __future__ import annotations

import signal

# A run that was started in the background ignores Ctrl-C, and so would all it starts; some tests need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)
