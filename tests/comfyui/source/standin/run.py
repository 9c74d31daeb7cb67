"""One running job: its progress, and the events that its client receives."""

from __future__ import annotations

import time
from typing import Any

from PIL import Image

from . import frames
from .machine import Machine
from .prompt_queue import Item
from .sockets import Payload, Sockets


class Run:
    """A running job; every event of it goes through here."""

    def __init__(self, item: Item, machine: Machine, sockets: Sockets) -> None:
        _, self.prompt_id, self.prompt, self.extra_data, self.outputs, _ = item
        self.client_id: str | None = self.extra_data.get("client_id")
        self.node: str | None = None
        """The node that runs now."""
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.executed: list[str] = []
        self.ui: dict[str, dict[str, Any]] = {}
        self._machine = machine
        self._sockets = sockets
        self._progress: dict[str, dict[str, Any]] = {}

    def message(self, event: str, *, broadcast: bool = False, **data: object) -> None:
        """Tell something that also stays in the history."""
        told = {"prompt_id": self.prompt_id, **data, "timestamp": int(time.time() * 1000)}
        self.messages.append((event, told))
        if self.client_id is not None or broadcast:
            self.send(event, told)

    def send(self, event: str, data: Payload) -> None:
        """Send an event to the client, or to all where the job has none, unless the machine was made silent."""
        if not self._machine.muted:
            self._sockets.send_soon(event, data, self.client_id)

    def start_node(self, node_id: str) -> None:
        """Tell that a node begins."""
        self.node = node_id
        self._set_progress(node_id, "running", 0.0, 1.0)
        if self.client_id is not None:
            self.send("executing", {"node": node_id, "display_node": node_id, "prompt_id": self.prompt_id})

    def finish_node(self, node_id: str) -> None:
        """Tell that a node ended well."""
        total = self._progress.get(node_id, {}).get("max", 1)
        self._set_progress(node_id, "finished", total, total)

    def show(self, node_id: str, ui: dict[str, Any]) -> None:
        """Tell what a node made for people to see."""
        self.ui[node_id] = ui
        if self.client_id is not None:
            facts = {"node": node_id, "display_node": node_id, "output": ui, "prompt_id": self.prompt_id}
            self.send("executed", facts)

    def step(self, value: int, total: int, picture: Image.Image | None, form: str) -> None:
        """Tell how far the running node is; a picture of it goes as JPEG or PNG."""
        if self.node is None:
            raise RuntimeError("A node reported progress while none was running")
        self._set_progress(self.node, "running", value, total)
        self.send("progress", {"value": value, "max": total, "prompt_id": self.prompt_id, "node": self.node})
        if picture is not None:
            self.send("preview", self._frame(self.node, picture, form))

    def result(self, *, success: bool) -> dict[str, Any]:
        """Return what the history keeps."""
        ids = {node_id: _node_ids(node_id) | {"node_id": node_id} for node_id in self.ui}
        meta = {node_id: one | {"display_node": one.pop("display_node_id")} for node_id, one in ids.items()}
        status = {"status_str": "success" if success else "error", "completed": success, "messages": self.messages}
        return {"outputs": self.ui, "meta": meta, "status": status}

    def _frame(self, node_id: str, picture: Image.Image, form: str) -> bytes:
        if not self._sockets.shows_metadata(self.client_id):
            return frames.preview(picture, form)
        whose = {"node_id": node_id, "prompt_id": self.prompt_id} | _node_ids(node_id)
        return frames.preview_with_metadata(picture, form, whose)

    def _set_progress(self, node_id: str, state: str, value: float, total: float) -> None:
        facts = {"value": value, "max": total, "state": state, "node_id": node_id, "prompt_id": self.prompt_id}
        self._progress[node_id] = facts | _node_ids(node_id)
        self.send("progress_state", {"prompt_id": self.prompt_id, "nodes": dict(self._progress)})


def _node_ids(node_id: str) -> dict[str, Any]:
    """Return the ids that differ in ComfyUI where a node grew a subgraph, which no node of ours does."""
    return {"display_node_id": node_id, "parent_node_id": None, "real_node_id": node_id}
