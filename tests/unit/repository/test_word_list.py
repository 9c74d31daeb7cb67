"""Words on the list are refused where they name something, and phrases wherever they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.word_list import WORD_LIST, WordList, findings, load, parts

ROOT = Path(__file__).resolve().parents[3]
WORDS = WordList({"warden": "reconciler"}, {"is sung of": "receives"})


def found(path: str, text: str) -> list[str]:
    return [str(finding) for finding in findings(path, text, WORDS)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("jobs/warden.py", ""),
        ("jobs/warden/service.py", ""),
        ("jobs/a.py", "class JobWarden: pass"),
        ("jobs/a.py", "def _start_warden(): pass"),
        ("jobs/a.py", "class A:\n    async def warden(self): pass"),
        ("README.md", "Whoever is sung\nof"),
        ("jobs/a.py", "# whoever is\n# sung of"),
    ],
)
def test_a_listed_word_is_refused(path: str, text: str) -> None:
    assert len(found(path, text)) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("jobs/wardens.py", "class Wardenship: pass"),
        ("jobs/a.py", '"""The warden."""\nwarden = 1'),
        ("tests/test_warden.py", "def test_the_warden_sleeps(): pass"),
        ("README.md", "warden"),
        ("README.md", "this is sung offhand"),
    ],
)
def test_another_word_a_sentence_and_the_name_of_a_test_are_not(path: str, text: str) -> None:
    assert found(path, text) == []


def test_a_finding_names_the_place_and_what_to_write() -> None:
    assert found("a.py", "\n\nclass Warden: pass") == ["a.py:3: 'warden' is on the word list; write: reconciler"]


def test_names_are_split_into_words() -> None:
    assert parts("HTTPWardenOf2") == {"http", "warden", "of2"}
    assert parts("_key_rows") == {"key", "rows"}


def test_no_word_is_both_refused_and_pending() -> None:
    refused, pending = load((ROOT / WORD_LIST).read_text(encoding="utf-8"))
    assert refused.names.keys().isdisjoint(pending.names)
    assert refused.phrases.keys().isdisjoint(pending.phrases)
    both = refused | pending
    assert all([*both.names.values(), *both.phrases.values()])
