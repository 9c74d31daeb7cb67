"""Ends the plugin with its engine: otherwise a blocked create could take effect after the next `up`."""

from __future__ import annotations

import os
import threading
import time

_LOOK_EVERY = 0.2


class ParentWatch:
    """Watches the process that started the plugin."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def check(self) -> None:
        """End the process at once when the engine has ended; called before every request to RunPod."""
        if os.getppid() != self._parent:
            os._exit(1)

    def watch(self) -> None:
        """Check in the background, five times a second."""
        threading.Thread(target=self._look, name="parent-watch", daemon=True).start()

    def _look(self) -> None:
        while True:
            self.check()
            time.sleep(_LOOK_EVERY)
