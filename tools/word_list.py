"""Refuse words that tools/word_list.toml lists: `python -m tools.word_list`, a part of `make check`.

A listed name is refused as a part of the name of a module, folder, class or function; names of tests are sentences and
are not checked. A listed phrase is refused in every text file.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

WORD_LIST = "tools/word_list.toml"
TEXT_FILES = frozenset({".py", ".md", ".yaml", ".yml", ".toml", ".html", ".sh", ""})


@dataclass(frozen=True)
class WordList:
    """Refused words, each with its replacement."""

    names: Mapping[str, str]
    phrases: Mapping[str, str]

    def __or__(self, other: "WordList") -> "WordList":
        """Return both lists as one."""
        return WordList({**self.names, **other.names}, {**self.phrases, **other.phrases})

    def __contains__(self, word: str) -> bool:
        """Whether a name or phrase is listed."""
        return word in self.names or word in self.phrases

    @cached_property
    def phrase_pattern(self) -> re.Pattern[str]:
        """Pattern of all phrases, including those that continue on the next line or comment."""
        gap = r"\s+(?:# ?)?"
        return re.compile(r"\b(?:" + "|".join(gap.join(each.split()) for each in self.phrases) + r")\b", re.IGNORECASE)


@dataclass(frozen=True)
class RefusedWord:
    """A refused word in a file, with its line and its replacement."""

    path: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        """Return the finding in the form of a compiler's message."""
        return f"{self.path}:{self.line}: {self.word!r} is on the word list; write: {self.instead}"


def load(text: str) -> tuple[WordList, WordList]:
    """Parse a TOML file; return the refused words, and the pending ones that are still in use."""
    content = tomllib.loads(text)
    pending = content["pending"]
    return WordList(content["names"], content["phrases"]), WordList(pending["names"], pending["phrases"])


def findings(path: str, text: str, words: WordList) -> Iterator[RefusedWord]:
    """Yield the refused words in one file; the path is relative to the checkout."""
    if path.endswith(".py"):
        yield from _names(path, text, words.names)
    for match in words.phrase_pattern.finditer(text) if words.phrases else ():
        phrase = " ".join(match[0].replace("#", " ").lower().split())
        yield RefusedWord(path, text.count("\n", 0, match.start()) + 1, phrase, words.phrases[phrase])


def _names(path: str, text: str, names: Mapping[str, str]) -> Iterator[RefusedWord]:
    modules = ((1, name) for name in PurePosixPath(path).with_suffix("").parts if not name.startswith("test_"))
    for line, name in (*modules, *_definitions(text)):
        for part in sorted(parts(name) & names.keys()):
            yield RefusedWord(path, line, part, names[part])


def _definitions(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
            "test_"
        ):
            yield node.lineno, node.name


def parts(name: str) -> set[str]:
    """Return the words of a name in snake_case or CamelCase, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def _files(checkout: Path) -> Iterator[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for path in subprocess.run(listed, cwd=checkout, capture_output=True, text=True, check=True).stdout.split("\0"):
        if path and path != WORD_LIST and PurePosixPath(path).suffix in TEXT_FILES and (checkout / path).is_file():
            yield path


def main() -> int:
    """Print every use of a refused word, and the pending words that can be refused now; return 1 for a refused one."""
    checkout = Path(__file__).resolve().parent.parent
    refused, pending = load((checkout / WORD_LIST).read_text(encoding="utf-8"))
    texts = ((path, (checkout / path).read_text(encoding="utf-8")) for path in _files(checkout))
    found = [finding for path, text in texts for finding in findings(path, text, refused | pending)]
    faults = [finding for finding in found if finding.word in refused]
    for finding in faults:
        print(finding)
    unused = (pending.names.keys() | pending.phrases.keys()) - {finding.word for finding in found}
    if unused:
        print(f"{WORD_LIST}: no longer in use, so move them up: {'; '.join(sorted(unused))}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
