"""Validation of a workflow, and rewriting of its file names into the owner's namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from provisioning.gateway.core.problems import Code, Problem, fault
from provisioning.gateway.jobs.file_names import is_foreign, mentions_foreign
from provisioning.gateway.jobs.workflow_limits import WorkflowLimits
from provisioning.gateway.upstream.node_catalogue import leaf
from provisioning.gateway.upstream.owner_namespace import OwnerNamespace, is_safe_name

DENIED_CLASSES = frozenset(
    {
        # They read the output folder, or whole folders by name, outside the owner's namespace.
        "LoadImageOutput", "LoadImageDataSetFromFolder", "LoadImageTextDataSetFromFolder", "LoadImageSetFromFolderNode",
        "LoadImageTextSetFromFolderNode", "LoadImageSetNode", "LoadTrainingDataset", "SaveTrainingDataset",
        "SaveImageDataSetToFolder", "SaveImageTextDataSetToFolder",
    }
)  # fmt: skip

PREFIX_INPUT = "filename_prefix"
"""The input with the path to save to, in all of ComfyUI's own nodes."""

ASSET_TYPE = "core/ASSET"
"""The type of an object that replaces a file name, in the Comfy API v2."""

_INPUT_ANNOTATION = " [input]"

Graph = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class RewriteRules:
    """The rules for rewriting the names in one job."""

    namespace: OwnerNamespace
    job_id: str
    file_inputs: frozenset[tuple[str, str]]
    assets: Mapping[str, str] = field(default_factory=dict)
    """The file name for a loader node, for each of the owner's assets that the workflow names, by id."""


def read(graph: Any, limits: WorkflowLimits) -> Graph:  # noqa: ANN401 - a client's JSON
    """Return a valid workflow; raises Problem with the fault otherwise."""
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise Problem(Code.WORKFLOW_FORMAT_UI)
    if not isinstance(graph, dict) or not graph:
        text = "Send an object of nodes by id, as written by 'Export (API)': in `workflow`, or at /prompt in `prompt`."
        raise Problem(Code.INVALID_WORKFLOW, text, members=fault("/", "no nodes"))
    limits.check_size(graph)
    for node_id, node in graph.items():
        _check_node(node_id, node)
        limits.check_node(node_id, node)
    return graph


def _check_node(node_id: str, node: Any) -> None:  # noqa: ANN401 - a client's JSON
    if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
        refuse(node_id, "", "a node is an object with a class_type")
    if not isinstance(node.get("inputs"), dict):
        refuse(node_id, "", "a node has an object of inputs")


def asset_ids(graph: Graph) -> frozenset[str]:
    """Return the ids of the assets in a workflow, as single inputs or in lists."""
    values = (value for node in graph.values() for value in node["inputs"].values())
    each = (item for value in values for item in (value if isinstance(value, list) else [value]))
    return frozenset(asset_id for item in each if (asset_id := _asset_id(item)) is not None)


def _asset_id(value: Any) -> str | None:  # noqa: ANN401 - a client's JSON
    if not isinstance(value, dict) or value.get("__type") != ASSET_TYPE:
        return None
    info = value.get("info")
    return str(info.get("id", "")) if isinstance(info, dict) else ""


def rewrite(graph: Graph, rules: RewriteRules) -> Graph:
    """Return the workflow in the form for ComfyUI; raises Problem for foreign file names and missing assets."""
    return {node_id: _rewrite_node(node_id, node, rules) for node_id, node in graph.items()}


def _rewrite_node(node_id: str, node: dict[str, Any], rules: RewriteRules) -> dict[str, Any]:
    cls = node["class_type"]
    if cls in DENIED_CLASSES and rules.namespace.root:
        raise Problem(Code.NODE_NOT_ALLOWED, f"Node {node_id} ({cls}) can read files of other users.")
    inputs = {name: _rewrite_input(node_id, cls, name, value, rules) for name, value in node["inputs"].items()}
    return node | {"inputs": inputs}


def _rewrite_input(node_id: str, cls: str, name: str, value: Any, rules: RewriteRules) -> Any:  # noqa: ANN401
    if (asset_id := _asset_id(value)) is not None:
        if asset_id not in rules.assets:
            message = f"Node {node_id}, input {name}: you have no asset {asset_id!r}."
            raise Problem(Code.MISSING_ASSET, message, members={"missing_ids": [asset_id]})
        return rules.assets[asset_id]
    if isinstance(value, list) and any(_asset_id(item) is not None for item in value):
        return [_rewrite_input(node_id, cls, name, item, rules) for item in value]
    # The file names of admins are not rewritten.
    return _own_names(node_id, cls, name, value, rules) if rules.namespace.root else value


def _own_names(node_id: str, cls: str, name: str, value: Any, rules: RewriteRules) -> Any:  # noqa: ANN401
    if name.rpartition(".")[2] == PREFIX_INPUT:
        return f"{rules.namespace.root}/{rules.job_id}/{_safe(node_id, name, value)}"
    if (cls, name) in rules.file_inputs or ("." in name and (cls, f"*.{leaf(name)}") in rules.file_inputs):
        return _rewrite_file(node_id, name, value, rules.namespace)
    if is_foreign(name) or mentions_foreign(value):
        refuse(node_id, name, "names a file or folder that is not yours")
    return value


def _rewrite_file(node_id: str, name: str, value: Any, namespace: OwnerNamespace) -> Any:  # noqa: ANN401 - a client's JSON
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [_rewrite_file(node_id, name, item, namespace) for item in value]
    text = value.removesuffix(_INPUT_ANNOTATION) if isinstance(value, str) else value
    return f"{namespace.root}/{_safe(node_id, name, text)}"


def _safe(node_id: str, name: str, value: Any) -> str:  # noqa: ANN401 - a client's JSON
    # A link is refused too: the value that another node passes at run time cannot be checked.
    if not isinstance(value, str):
        refuse(node_id, name, "needs a file name as text, not a link to another node")
    if not is_safe_name(value) or value.rstrip().endswith("]") or is_foreign(value):
        refuse(node_id, name, "needs a plain relative file name without '..', [output] or [temp]")
    return value


def refuse(node_id: str, name: str, message: str) -> NoReturn:
    """Raise the Problem for a faulty node or input, with ComfyUI's form beside the gateway's."""
    where = f"Node {node_id}" + (f", input {name}" if name else "")
    error = {"type": "invalid_input", "message": message, "details": name, "extra_info": {"input_name": name}}
    node_errors = {node_id: {"errors": [error], "dependent_outputs": [], "class_type": ""}}
    raise Problem(Code.INVALID_WORKFLOW, f"{where}: {message}.", members={"node_errors": node_errors})
