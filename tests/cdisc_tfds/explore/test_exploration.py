"""The page of a data set: all sections, odd names, what is refused, whole or not at all."""

import html
import html.parser
import os
import re
import shutil
import subprocess
import sys

import pytest

from cdisc_tfds.built_dataset import DatasetError, newest_version
from cdisc_tfds.explore.exploration import ExploreError, ExploreOptions, write_exploration
from tests.helpers.html_checks import assert_well_formed
from tests.helpers.odd_data import build_odd_data

SECTIONS = [
    *("splits", "categories", "tail", "pictures", "none", "sizes", "duplicates", "several"),
    *("rejected", "compared", "examples"),
]


def write(data_dir, output, **options):
    on_start = lambda total: lambda number: None  # noqa: E731
    return write_exploration(data_dir, output, ExploreOptions(**options), on_start)


def text_of(page, section):
    """The text of a section, as a reader sees it, in one line."""
    body = re.search(f'<section id="{section}">(.*?)</section>', page, re.DOTALL)[1]
    return " ".join(html.unescape(re.sub("<.*?>", " ", body)).split())


@pytest.fixture(scope="module")
def page(data_dir, tmp_path_factory):
    output = tmp_path_factory.mktemp("page") / "new" / "data.html"
    assert write(data_dir, output) == output.with_name("data_several_categories.csv")
    return output.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_needs_no_other_file(page):
    assert_well_formed(page)
    assert re.findall('<section id="(.*?)">', page) == SECTIONS
    sources = re.findall('src="(.*?)"', page)
    assert len(sources) > 15
    assert all(source.startswith("data:image/") for source in sources)
    links = [link for link in re.findall('href="(.*?)"', page) if not link.startswith("#")]
    assert links == ["data_several_categories.csv"]
    assert "<script" not in page and "<link" not in page


class Elements(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.names, self.attributes = set(), set()

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attributes}


def test_odd_names_are_only_text(page):
    elements = Elements()
    elements.feed(page)
    assert not elements.names & {"b<", "script", "iframe", "object"}
    assert not any(name.startswith("on") for name in elements.attributes)
    assert "&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in page
    categories = text_of(page, "categories")
    names = ('<b>A & "B"</b> (2)', "x > y (2)", "日本語 😀 · 7", "{0} {} %s · 8", "' onerror=' ")
    for name in names:
        assert name in categories


def test_figures_by_hand(page):
    assert "train 7 10 1.43 7 3 3" in text_of(page, "splits")
    assert "test 3 2 0.67 0 – 3" in text_of(page, "splits")
    # 4 products of level 1 A, 3 of Z; 3, 1 and 3 of the categories.
    categories = text_of(page, "categories")
    assert categories.index('<b>A & "B"</b> (2) 4 · 57.1%') < categories.index("Z (2) 3 · 42.9%")
    tail = text_of(page, "tail")
    assert "lie in 1 of 3 categories with products, nine tenths in 3." in tail
    assert "A category has 1 to 3 products, in the middle 3." in tail
    assert "Categories with fewer than 10: 3." in tail
    assert "Categories without a product: 1. ' onerror=' (10)." in tail
    assert "0 0 (0.0%) 1 (33.3%) 1 5 (71.4%) 2 (66.7%) 2 1 (14.3%)" in text_of(page, "pictures")
    assert "1 of 3 products of test: 12." in text_of(page, "none")
    sizes = text_of(page, "sizes")
    assert "10 of 10 of train, 2 of 2 of test" in sizes
    assert "2 different sizes; the most frequent: width x height train test" in sizes
    assert "16 x 16 90.0% 100.0% 400 x 300 10.0% 0.0%" in sizes
    assert "7 of 12 pictures are distinct" in text_of(page, "duplicates")
    assert "5 times , products: 4. 日本語 😀 (2); {0} {} %s (1)" in text_of(page, "duplicates")
    several = text_of(page, "several")
    assert "several categories: 1; products that show them: 4." in several
    rejected = text_of(page, "rejected")
    assert "split damaged places pictures products train 0 1 2 test 0 0 0" in rejected
    assert "2 train product A category must be one of the … in category_names.csv." in rejected
    assert "1 train picture the picture is not a JPEG: it starts with …, not with … The" in rejected
    assert "Received: 12345." in rejected  # the first items are whole
    compared = text_of(page, "compared")
    assert "pictures also in train – 1 (50.0%) products with one of train – 1 (33.3%)" in compared
    examples = text_of(page, "examples")
    shown = re.search(r"z > </style><script>alert\(1\)</script> \(3\) (\d) (\d) (\d)$", examples)
    assert sorted(shown.groups()) == ["4", "5", "6"]


def test_the_page_says_what_it_was_made_from(page, data):
    assert f"the data set with the digest {data.metadata('digest')}." in page
    assert f"train {data.metadata('records_digest', 'train')}" in page
    assert "read: 3 of 3 of train; 3 of 3 of test." in page


def test_the_same_data_and_seed_give_the_same_page(page, data_dir, tmp_path):
    write(data_dir, tmp_path / "data.html", processes=2)
    assert (tmp_path / "data.html").read_text(encoding="utf-8") == page


def test_some_shards_show_no_duplicates(data_dir, tmp_path):
    assert write(data_dir, tmp_path / "data.html", shards=1, examples=1) is None
    text = (tmp_path / "data.html").read_text(encoding="utf-8")
    assert_well_formed(text)
    for section in ("duplicates", "several"):
        assert "Not looked for: that takes every picture" in text_of(text, section)
    assert "read: 1 of 3 of train; 1 of 3 of test." in text
    assert "train 7 10 1.43" in text_of(text, "splits")  # of every product
    assert "pictures also in" not in text_of(text, "compared")
    assert os.listdir(tmp_path) == ["data.html"]


def test_the_number_of_examples_is_limited(data_dir, tmp_path):
    write(data_dir, tmp_path / "data.html", examples=2, max_examples=3)
    text = (tmp_path / "data.html").read_text(encoding="utf-8")
    examples = text_of(text, "examples")
    # The largest category of each level 1 comes first; two of the first leave one for no other.
    assert "Left out, because --max_examples limits the page: 2 categories." in examples
    assert text.count("<figcaption>", text.index('<section id="examples">')) == 2
    write(data_dir, tmp_path / "data.html", examples=0)
    assert text_of((tmp_path / "data.html").read_text(encoding="utf-8"), "examples") == (
        "Examples None."
    )


def test_a_link_to_the_report(data_dir, tmp_path):
    report = tmp_path / "a <b>.html"
    write(data_dir, tmp_path / "out" / "data.html", examples=0, report=report)
    text = (tmp_path / "out" / "data.html").read_text(encoding="utf-8")
    assert '<a href="../a%20%3Cb%3E.html">The report on the runs</a>' in text


def test_no_test_split(tmp_path):
    data_dir = build_odd_data(tmp_path, test=False, num_shards=1)
    write(data_dir, tmp_path / "data.html")
    text = (tmp_path / "data.html").read_text(encoding="utf-8")
    assert_well_formed(text)
    assert "The data set has no other split than train." in text_of(text, "compared")


@pytest.mark.parametrize("output", ["file/data.html", "folder"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path, output):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ExploreError, match="--output must be a file in a folder that can be writ"):
        write(tmp_path / "no data", tmp_path / output)


def test_wrong_numbers_are_refused():
    for name in ("shards", "examples", "max_examples", "processes"):
        with pytest.raises(ExploreError, match=f"--{name} must be at least .* Received: -1."):
            ExploreOptions(**{name: -1})


def test_a_failure_leaves_the_last_page_as_it_was(data_dir, tmp_path, monkeypatch):
    output = tmp_path / "data.html"
    write(data_dir, output)
    before = output.read_bytes()

    def fail(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write(data_dir, output, seed=1)
    assert output.read_bytes() == before
    assert not list(tmp_path.rglob("*.partial"))


def test_a_damaged_list_of_rejected_items(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "data")
    path = newest_version(tmp_path / "data") / "rejected.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "{}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="Received, as line 4 of .*rejected.jsonl: '{}"):
        write(tmp_path / "data", tmp_path / "data.html")
    path.unlink()
    write(tmp_path / "data", tmp_path / "data.html")
    text = (tmp_path / "data.html").read_text(encoding="utf-8")
    assert "The list, rejected.jsonl, is not beside the shards." in text_of(text, "rejected")


def run(*words):
    command = [sys.executable, "-m", "cdisc_tfds.explore", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command(data_dir, tmp_path):
    report = tmp_path / "report.html"
    flags = [f"--data_dir={data_dir}", f"--output={tmp_path}/a.html", "--processes=1"]
    done = run(*flags, f"--report={report}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"{tmp_path}/a.html\nPictures of several categories: {tmp_path}/a_several_categories.csv\n"
    )
    assert f"The page links to {report}, which does not exist yet: make it with" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a.html", "a_several_categories.csv"]


def test_errors_are_one_sentence(tmp_path):
    done = run(f"--data_dir={tmp_path}", f"--output={tmp_path}/a.html")
    assert done.returncode == 1
    assert done.stderr.startswith("error: The data set must be built first.")
    assert "Traceback" not in done.stderr
