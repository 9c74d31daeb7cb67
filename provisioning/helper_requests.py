"""What the gateway asks of the pod, as files in a directory of its own: it has no rights over ComfyUI itself.

The names say what is asked; provisioning.services.privileged_helper does it. Standard library only: both sides share
it.
"""

from __future__ import annotations

RESTART = "restart-comfyui"
"""An empty file: ComfyUI's process is broken. It is gone when the restart has been ordered."""

DELETION_SUFFIX = ".delete"
"""A JSON list of [folder, path] pairs, to be deleted in ComfyUI's folders. It is gone when they are."""

FOLDERS = frozenset({"input", "output", "temp"})
"""The folders of ComfyUI's that such a path may lie in."""

MAX_BYTES = 1024 * 1024
"""Largest request: some five thousand paths."""
