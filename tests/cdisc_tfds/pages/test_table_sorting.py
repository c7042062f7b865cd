"""Sortable tables; the script runs in Chromium where there is one."""

import html
import re
import shutil
import subprocess

import pytest
from markupsafe import Markup

from cdisc_tfds.pages.page import page
from cdisc_tfds.pages.table import table, with_note
from tests.helpers.html_checks import assert_well_formed

COLUMNS = [("name", ""), ("products <b>", "number"), ("share", "number")]
ROWS = [
    ("pear", "1,200", with_note("0.5000", "± 0.1")),
    ("Apple", "9", None),
    ("éclair", "30", "0.7500"),
    ("<b>", "30", "0.2500"),
]


def page_of(sortable, script="", tables=1):
    body = Markup("").join([table(COLUMNS, ROWS, sortable=sortable)] * tables) + Markup(script)
    return page("t", Markup(""), [("a", "A", body)])


def test_only_pages_with_sortable_tables_have_a_script():
    assert "<script" not in page_of(sortable=False)
    text = page_of(sortable=True)
    assert text.count("<script>") == 1 and "src=" not in text
    assert_well_formed(text)
    assert '<table class="sortable">' in text and "products &lt;b&gt;" in text


# Clicks on columns, the names afterwards, and the direction of the last column that was clicked.
CLICKS = [
    ([], ["pear", "Apple", "éclair", "<b>"], []),
    ([1], ["pear", "éclair", "<b>", "Apple"], ["descending"]),
    ([1, 1], ["Apple", "éclair", "<b>", "pear"], ["ascending"]),
    ([2], ["éclair", "pear", "<b>", "Apple"], ["descending"]),  # the dash stays last
    ([2, 2], ["<b>", "pear", "éclair", "Apple"], ["ascending"]),
    ([1, 0], ["<b>", "Apple", "éclair", "pear"], ["ascending"]),
]


def test_clicks_sort(tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium to run the script in")
    clicks = "".join(
        f'document.querySelectorAll("table")[{place}].querySelectorAll("button")[{column}].click();'
        for place, (columns, _, _) in enumerate(CLICKS)
        for column in columns
    )
    script = f'<script>addEventListener("load", () => {{{clicks}}});</script>'
    path = tmp_path / "page.html"
    path.write_text(page_of(True, script, len(CLICKS)), encoding="utf-8")
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path}/profile", path.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = []
    for columns, text in zip([row[0] for row in CLICKS], dom.split("<thead>")[1:], strict=True):
        names = map(html.unescape, re.findall('<tr><td class="">(.*?)</td>', text))
        found.append((columns, list(names), re.findall('<th [^>]*aria-sort="(.*?)"', text)))
    assert found == CLICKS
