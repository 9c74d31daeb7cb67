"""Git repositories written byte by byte, so that no git, no user and no machine has a say in a commit's id."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.comfyui.files import put

_AUTHOR = "ComfyUI stand-in <stand-in@comfyui-runpod.invalid>"
_DATE = "1767225600 +0000"
"""2026-01-01 in UTC: a commit is named by its content, and the hour it was made on is no part of that."""

_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
_HEAD = b"ref: refs/heads/main\n"
_PACKS = "objects/info/packs"


@dataclass(frozen=True)
class Release:
    """One tagged commit: its tag and every file in it, by path."""

    tag: str
    files: Mapping[str, bytes]


class Objects:
    """A set of git objects, kept by id."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def add(self, kind: str, body: bytes) -> str:
        """Keep an object of `kind` (blob, tree, commit, tag) and return its id of forty hexadecimal digits."""
        framed = f"{kind} {len(body)}\0".encode() + body
        name = hashlib.sha1(framed, usedforsecurity=False).hexdigest()
        self.bodies[name] = framed
        return name

    def add_tree(self, files: Mapping[str, bytes]) -> str:
        """Keep a tree with `files` (paths with slashes; all plain, none executable) and return its id."""
        entries = [(path, b"100644", self.add("blob", body)) for path, body in files.items() if "/" not in path]
        for folder in {f"{PurePosixPath(path).parts[0]}/" for path in files if "/" in path}:
            inside = {path.removeprefix(folder): body for path, body in files.items() if path.startswith(folder)}
            entries.append((folder, b"40000", self.add_tree(inside)))
        # Git sorts by bytes, and a folder as if its name ended in a slash: here it still does.
        entries.sort(key=lambda entry: entry[0].encode())
        lines = [mode + b" " + path.rstrip("/").encode() + b"\0" + bytes.fromhex(name) for path, mode, name in entries]
        return self.add("tree", b"".join(lines))

    def add_commit(self, tree: str, parent: str | None, message: str) -> str:
        """Keep a commit by the fixed author at the fixed date and return its id."""
        above = f"parent {parent}\n" if parent else ""
        text = f"tree {tree}\n{above}author {_AUTHOR} {_DATE}\ncommitter {_AUTHOR} {_DATE}\n\n{message}\n"
        return self.add("commit", text.encode())

    def add_tag(self, commit: str, tag: str) -> str:
        """Keep an annotated tag, as releases have them, and return its id (which is not the commit's)."""
        text = f"object {commit}\ntype commit\ntag {tag}\ntagger {_AUTHOR} {_DATE}\n\nRelease {tag}\n"
        return self.add("tag", text.encode())


def write_repository(path: Path, releases: tuple[Release, ...]) -> dict[str, str]:
    """Bring the bare repository at `path` to `releases`, oldest first, on branch main; return tag -> commit.

    It can be read over plain HTTP without a git server. What is there already is not written again, and at every
    moment a reader sees either the old branch or the new one: objects come before the names that lead to them.
    """
    objects = Objects()
    commits: dict[str, str] = {}
    tags: dict[str, str] = {}
    for release in releases:
        parent = list(commits.values())[-1] if commits else None
        commits[release.tag] = objects.add_commit(objects.add_tree(release.files), parent, f"Release {release.tag}")
        tags[release.tag] = objects.add_tag(commits[release.tag], release.tag)
    for name, body in _repository_files(objects, commits, tags):
        put(path / name, body, named_by_content=name.startswith("objects/") and name != _PACKS)
    return commits


def _repository_files(
    objects: Objects, commits: Mapping[str, str], tags: Mapping[str, str]
) -> Iterator[tuple[str, bytes]]:
    for name, framed in objects.bodies.items():
        yield f"objects/{name[:2]}/{name[2:]}", zlib.compress(framed)
    yield _PACKS, b"\n"
    refs = {f"refs/tags/{tag}": name for tag, name in tags.items()}
    refs["refs/heads/main"] = list(commits.values())[-1]
    for ref, name in refs.items():
        yield ref, f"{name}\n".encode()
    peeled = {f"refs/tags/{tag}^{{}}": commit for tag, commit in commits.items()}
    # This file is the whole of what `git update-server-info` would do for readers over plain HTTP.
    yield "info/refs", "".join(f"{name}\t{ref}\n" for ref, name in sorted((refs | peeled).items())).encode()
    yield "config", _CONFIG
    yield "HEAD", _HEAD
