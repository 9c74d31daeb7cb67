"""The documents name only commands, files and settings that exist, and every setting is documented."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from stacks import settings_page
from stacks.outputs import StackOutputs
from stacks.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
VARIABLES = {"ARGS", "PYTHON", *re.findall(r"[A-Z_]+", MAKEFILE.partition("WORDS = ")[2].partition("\n")[0])}

BASES = ("", "stacks", "components/runpod", "components/runpod/plugin", "provisioning", "provisioning/gateway")
"""Folders that a path in a document may start from; the text around it says which one."""

CREATED = {"stacks/pins.lock.json", ".state", ".state/pulumi", ".state/passphrases/", ".venv", "workflow_api.json"}
"""Files that commands create."""

FOREIGN = {"stopAfter", "terminateAfter"}
"""Settings of RunPod's API that the documents say are not offered."""

SUFFIXES = "py|md|ya?ml|toml|sh|json|lock"
FOLDERS = "stacks|components|provisioning|tests|tools|docs|policies|examples"
PATH = rf"[\w.-]+(?:/[\w.-]+)*(?:/|\.(?:{SUFFIXES}))|(?:{FOLDERS})/[\w./-]+"
"""A name that ends in a slash or as a file does, or that begins with one of the checkout's folders."""

ROUTE = r"/api/(?:gateway|v2)/[\w/{}-]+"

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def spans(document: Path) -> list[str]:
    """Return the code spans of a document."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)


def code(document: Path) -> list[str]:
    """Return the code spans and the lines of code blocks of a document."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [*spans(document), *(line for block in blocks for line in block.splitlines())]


@each_document
def test_every_make_command_exists(document: Path) -> None:
    for line in code(document):
        for target, words in re.findall(r"\bmake (?:-s )?([a-z][a-z-]*)((?: [A-Z_]+=)?[^`#)|]*)", line):
            assert target in TARGETS, line
            assert set(re.findall(r"\b([A-Z_]{2,})=", words)) <= VARIABLES, line


@each_document
def test_every_file_and_module_exists(document: Path) -> None:
    lines = code(document)
    paths = [line for line in lines if re.fullmatch(PATH, line)]
    assert [path for path in paths if path not in CREATED and not _exists(path, document)] == []
    modules = [name for line in lines for name in re.findall(r"python3? -m ([a-z_.]+)", line)]
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def _exists(path: str, document: Path) -> bool:
    if document.name == "architecture.md" and re.fullmatch(r"test_\w+\.py", path):
        return (ROOT / "tests/integration/gateway" / path).exists()
    return any((ROOT / base / path).exists() for base in BASES)


@each_document
def test_every_route_of_the_gateway_exists(document: Path) -> None:
    named = {path for line in code(document) for path in re.findall(ROUTE, line)}
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "provisioning/gateway").rglob("*.py"))
    assert [path for path in sorted(named) if f'"{path}"' not in sources] == []


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target


def _anchors(file: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@each_document
def test_every_setting_exists(document: Path) -> None:
    known = {*_settings("", Settings), *_provider_settings(), *_outputs(), *FOREIGN}
    named = [
        name
        for span in spans(document)
        for name in re.findall(r"(?<![\w/.-])(?:[a-z]+[.:])?[a-z]+(?:[A-Z][a-z]+)+(?![\w(/])", span)
    ]
    assert [name for name in named if name.removeprefix("runpod:") not in known] == []


def _outputs() -> Iterator[str]:
    return (to_camel(field.name) for field in fields(StackOutputs))


def _settings(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield key
        yield prefix + key
        for section in settings_page.models(field.annotation):
            yield from _settings(f"{key}.", section)


def _provider_settings() -> set[str]:
    schema = json.loads((ROOT / "components/runpod/schema.json").read_text(encoding="utf-8"))
    return set(schema["config"]["variables"])


def test_every_setting_is_documented() -> None:
    written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert written == settings_page.page(), "run `make fix`, which generates docs/settings.md"
    assert re.findall(r"\| +\|$", written, re.MULTILINE) == [], "a setting has no docstring"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_readme_links_every_document() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {str(path.relative_to(ROOT)) for path in DOCUMENTS if path.name != "README.md"}
    assert {page for page in pages if f"]({page})" not in readme} == set()


def test_nothing_is_left_to_do_in_product_code() -> None:
    """As a comment or a sentence; TODO may be a part of a name or of a test."""
    found = subprocess.run(
        ["git", "grep", "-nwE", "TODO|FIXME|XXX", "--", "*.py", "*.sh", "*.yaml", "*.html", "Makefile", ":!tests"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (1, "")
