"""What the documentation says of files and tests exists."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [
        link
        for link in links
        if "://" not in link and not (page.parent / link.partition("#")[0]).exists()
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_are_named_exist(page):
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text()):
        assert (ROOT / path).exists(), path
        assert not name or f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


def test_modules_of_the_code_map_exist():
    text = (ROOT / "docs" / "code-map.md").read_text()
    folder = None
    for line in text.splitlines():
        for path in re.findall(r"`([a-z0-9_/]+\.py)`", line):
            folder = pathlib.Path(path).parent if "/" in path else folder
            full = ROOT / path if "/" in path else ROOT / folder / path
            assert full.exists(), f"{path} in: {line}"


def test_readme_stays_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
