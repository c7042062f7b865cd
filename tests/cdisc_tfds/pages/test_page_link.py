"""Links between pages."""

import os
import urllib.parse

import pytest

from cdisc_tfds.pages.page_link import link_to


@pytest.mark.parametrize(
    ("page", "href"),
    [
        ("report.html", "data.html"),
        ("deep/er/report.html", "../../data.html"),
    ],
)
def test_links_are_relative(tmp_path, page, href):
    assert link_to(tmp_path / "data.html", tmp_path / page, "data") == f'<a href="{href}">data</a>'


def test_relative_paths_are_those_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert 'href="../data.html"' in link_to("data.html", "out/report.html", "data")


def test_names_with_markup_and_odd_letters(tmp_path):
    name = 'a "b" <c> #é?%:1.html'
    link = link_to(tmp_path / name, tmp_path / "report.html", "<x>")
    href = link.split('"')[1]
    assert urllib.parse.unquote(href) == name
    assert not set(href) & set('"<># ?:é') and link.endswith(">&lt;x&gt;</a>")


def test_links_of_the_file_system_are_followed(tmp_path):
    (tmp_path / "disk" / "reports").mkdir(parents=True)
    os.symlink(tmp_path / "disk" / "reports", tmp_path / "reports")
    link = link_to(tmp_path / "data.html", tmp_path / "reports" / "report.html", "data")
    assert 'href="../../data.html"' in link
