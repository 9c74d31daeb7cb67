"""Publishing: everything a pod downloads, as plain files below one directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.comfyui.files import source_files
from tests.comfyui.git_objects import Release, write_repository
from tests.comfyui.model_files import Model, write_models

_HERE = Path(__file__).parent

COMFYUI_TAGS = ("v0.38.0", "v0.38.1")
"""Oldest first. They differ in comfyui_version.py alone, which is enough to show an upgrade."""

NODE_TAGS = ("v1.0.0",)


@dataclass(frozen=True)
class Repository:
    """A published git repository; `tag` and `commit` are the newest release."""

    path: str
    """Below the published directory, with slashes."""
    tag: str
    commit: str
    releases: Mapping[str, str]
    """Every tag and its commit, oldest first."""


@dataclass(frozen=True)
class Published:
    """What lies below a published directory. All but `directory` is the same on every machine."""

    directory: Path
    comfyui: Repository
    custom_node: Repository
    models: tuple[Model, ...]


def publish(directory: Path) -> Published:
    """Fill `directory`, which is made if missing, and return what it holds; cheap when it holds it already.

    Safe to run twice at once and to kill anywhere: every file appears whole, and the next run does the rest.
    """
    node_files = source_files(_HERE / "custom_node")
    return Published(
        directory=directory,
        comfyui=_repository(directory, "comfyui.git", tuple(_comfyui_release(tag) for tag in COMFYUI_TAGS)),
        custom_node=_repository(directory, "custom-node.git", tuple(Release(tag, node_files) for tag in NODE_TAGS)),
        models=write_models(directory),
    )


def _comfyui_release(tag: str) -> Release:
    files = source_files(_HERE / "source")
    version = files["comfyui_version.py"].replace(COMFYUI_TAGS[-1].lstrip("v").encode(), tag.lstrip("v").encode())
    return Release(tag, files | {"comfyui_version.py": version})


def _repository(directory: Path, path: str, releases: tuple[Release, ...]) -> Repository:
    commits = write_repository(directory / path, releases)
    newest = releases[-1].tag
    return Repository(path, newest, commits[newest], commits)
