"""The worker: runs one job after another, and reuses the results of the job before."""

from __future__ import annotations

import logging
import time
import traceback
from dataclasses import dataclass
from typing import Any

from .graph import Graph, is_link
from .machine import InterruptProcessingError, Machine, OutOfMemoryError
from .prompt_queue import PromptQueue
from .registry import NodeClass, Registry
from .run import Run
from .sockets import Sockets
from .validation import full_name

_LOG = logging.getLogger(__name__)

_OUT_OF_MEMORY_TIP = (
    "This error means you ran out of memory on your GPU.\n\n"
    "TIPS: If the workflow worked before you might have accidentally set the batch_size to a large number."
)


@dataclass(frozen=True)
class _Result:
    values: tuple[Any, ...]
    ui: dict[str, Any] | None


class Worker:
    """Runs jobs, one at a time, in the thread that calls `work`."""

    def __init__(self, queue: PromptQueue, registry: Registry, machine: Machine, sockets: Sockets) -> None:
        self._queue = queue
        self._registry = registry
        self._machine = machine
        self._sockets = sockets
        self._cache: dict[str, _Result] = {}
        self._run: Run | None = None

    def work(self) -> None:
        """Run jobs until the queue is closed."""
        while (item := self._queue.take()) is not None:
            began = time.perf_counter()
            if self._queue.is_cache_to_be_forgotten() or not self._machine.options.cache:
                self._cache.clear()
            run = Run(item, self._machine, self._sockets)
            self._run = run
            success = self._execute(run)
            self._run = None
            self._queue.done(run.result(success=success))
            if run.client_id is not None:
                run.send("executing", {"node": None, "prompt_id": run.prompt_id})
            _LOG.info("Prompt executed in %.2f seconds", time.perf_counter() - began)

    def executing(self) -> tuple[str | None, str | None]:
        """Return client id and node of the job that runs now."""
        run = self._run
        return (run.client_id, run.node) if run else (None, None)

    def _execute(self, run: Run) -> bool:
        self._machine.begin(run.step)
        run.message("execution_start")
        graph = Graph(run.prompt, self._registry)
        marks = graph.signatures(run.outputs)
        # Only what this job can use is kept, as ComfyUI's classic cache does: memory stays bounded by one workflow.
        self._cache = {mark: self._cache[mark] for mark in marks.values() if mark in self._cache}
        run.message("execution_cached", nodes=self._known(marks))
        for node_id in graph.in_order(run.outputs, lambda node: marks[node] in self._cache):
            if not self._execute_node(run, graph, node_id, marks):
                return False
        run.message("execution_success")
        return True

    def _execute_node(self, run: Run, graph: Graph, node_id: str, marks: dict[str, str]) -> bool:
        known = self._cache.get(marks[node_id])
        if known is not None:
            # A result that is there already is shown again: this job's client has not seen it.
            if known.ui is not None:
                run.show(node_id, known.ui)
            run.finish_node(node_id)
            return True
        inputs: dict[str, Any] = {}
        try:
            run.start_node(node_id)
            inputs |= self._inputs(graph, node_id, marks)
            self._machine.check()
            result = self._call(run, node_id, inputs)
        except InterruptProcessingError:
            _LOG.info("Processing interrupted")
            run.message("execution_interrupted", broadcast=True, **_where(run, node_id))
            return False
        except Exception as error:  # noqa: BLE001 - whatever a node raises is the job's error and not the worker's
            _LOG.exception("!!! Exception during processing !!!")
            run.message(
                "execution_error", **_where(run, node_id), **_what(error, inputs), current_outputs=self._known(marks)
            )
            return False
        self._cache[marks[node_id]] = result
        if result.ui is not None:
            run.show(node_id, result.ui)
        run.finish_node(node_id)
        run.executed.append(node_id)
        return True

    def _known(self, marks: dict[str, str]) -> list[str]:
        return [node_id for node_id, mark in marks.items() if mark in self._cache]

    def _inputs(self, graph: Graph, node_id: str, marks: dict[str, str]) -> dict[str, Any]:
        return {
            name: self._cache[marks[value[0]]].values[value[1]] if is_link(value) else value
            for name, value in graph.inputs(node_id).items()
        }

    def _call(self, run: Run, node_id: str, inputs: dict[str, Any]) -> _Result:
        node_class = self._registry.classes[run.prompt[node_id]["class_type"]]
        answer = getattr(node_class(), node_class.FUNCTION)(**inputs, **_hidden(run, node_id, node_class))
        if isinstance(answer, dict):
            return _Result(tuple(answer.get("result", ())), answer.get("ui"))
        return _Result(tuple(answer), None)


def _hidden(run: Run, node_id: str, node_class: NodeClass) -> dict[str, Any]:
    values = {"PROMPT": run.prompt, "EXTRA_PNGINFO": run.extra_data.get("extra_pnginfo"), "UNIQUE_ID": node_id}
    wanted = node_class.INPUT_TYPES().get("hidden", {})
    return {name: values[kind] for name, kind in wanted.items() if kind in values}


def _where(run: Run, node_id: str) -> dict[str, Any]:
    return {"node_id": node_id, "node_type": run.prompt[node_id]["class_type"], "executed": list(run.executed)}


def _what(error: Exception, inputs: dict[str, Any]) -> dict[str, Any]:
    tip = _OUT_OF_MEMORY_TIP if isinstance(error, OutOfMemoryError) else ""
    plain = (int, float, bool, str, type(None))
    return {
        "exception_message": f"{error}\n{tip}",
        "exception_type": full_name(type(error)),
        "traceback": traceback.format_tb(error.__traceback__),
        "current_inputs": {name: [value if isinstance(value, plain) else str(value)] for name, value in inputs.items()},
    }
