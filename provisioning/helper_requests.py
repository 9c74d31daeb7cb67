"""Requests of the gateway to the privileged helper, as files in a directory: the gateway has no rights over ComfyUI.

The file's name is the request; provisioning.services.privileged_helper carries it out. Both sides import this module,
so it uses the standard library only.
"""

from __future__ import annotations

RESTART = "restart-comfyui"
"""An empty file that requests a restart of ComfyUI; it is removed when the restart was ordered."""

DELETION_SUFFIX = ".delete"
"""A JSON list of [folder, path] pairs, to delete in ComfyUI's folders; it is removed after the deletion."""

FOLDERS = frozenset({"input", "output", "temp"})
"""ComfyUI's folders that a deletion may name."""

MAX_BYTES = 1024 * 1024
"""Largest request, about five thousand paths."""
