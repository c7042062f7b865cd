"""Every error of the project has a text, and some test asserts it."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("cdisc_tfds/**/*.py"), *ROOT.glob("trainer/**/*.py")])
_IN_A_ROW = 4  # words of an error's text that must stand in a test


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_]+", text.replace("\\", ""))


def _errors(path: pathlib.Path):
    """(line, literal pieces of the text) of each error that a module makes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name.endswith("Error") or name in ("Preempted", "RejectedProduct"):
                pieces = [
                    part.value
                    for part in ast.walk(node)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                ]
                yield node.lineno, pieces


def _phrases(pieces: list[str]):
    for piece in pieces:
        words = _words(piece)
        length = min(_IN_A_ROW, len(words))
        for begin in range(len(words) - length + 1 if length > 1 else 0):
            yield " ".join(words[begin : begin + length])


@pytest.fixture(scope="module")
def asserted() -> str:
    """The words of all literals in the tests, those of each literal apart from the others'."""
    literals = []
    for path in ROOT.glob("tests/test_*.py"):
        if path.name != pathlib.Path(__file__).name:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    literals.append(" ".join(_words(node.value)))
    return " | ".join(f" {literal} " for literal in literals)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_text_is_asserted(path, asserted):
    missing = []
    for line, pieces in _errors(path):
        phrases = list(_phrases(pieces))
        if phrases and not any(phrase in asserted for phrase in phrases):
            missing.append(f"{path.name}:{line}: {' ... '.join(pieces)}")
    assert not missing, "No test asserts the text of:\n" + "\n".join(missing)


def test_it_finds_what_no_test_asserts(asserted):
    """A check that could not fail would be none."""
    invented = ["No such sentence stands ", "in any of the tests of this project."]
    assert not any(phrase in asserted for phrase in _phrases(invented))
    assert sum(1 for path in SOURCES for _ in _errors(path)) > 100
