import dataclasses
import io
import os
import re
import subprocess
import sys

import pytest
from PIL import Image

from cdisc_tfds.built_dataset import DatasetError
from tests.helpers.fake_runs import (
    WEIGHTS_SHA256,
    evaluation_of,
    example,
    guesses_of,
    history,
    write_evaluation,
    write_run,
    write_two_stage,
)
from tests.helpers.html_checks import assert_well_formed
from tests.helpers.mixed_evaluations import mixture_of
from tests.helpers.small_data import SmallData, make_products
from trainer import report
from trainer.reporting import pictures
from trainer.reporting.options import ReportOptions
from trainer.reporting.report import ReportError, write_report
from trainer.runs.category_file import CategoryRow
from trainer.runs.evaluation_file import EvaluationResult
from trainer.runs.evaluation_parts import FrequencyGroup, Reliability, ReliabilityBin
from trainer.runs.folder import RunFolder


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("train", make_products([0, 1, 2, 3, 4, 5] * 2))
    data.add("validation", make_products([0, 1, 2, 3, 4, 5], first_id=100))
    monkeypatch.setattr(pictures, "open_dataset", lambda data_dir: data)
    return data


@pytest.fixture
def runs(tmp_path, data):
    """Runs of every kind: finished, unfinished, of level 1, of two stages."""
    cnn = write_run(tmp_path / "cnn", data, history([0.2, 0.3]), experiment="solution2_exp2")
    product_id = int(data.split("validation").index.product_id[0])
    examples = [example(product_id, 0, 1, 0.75)]
    confusion = [[6, 2, 0], [1, 9, 0], [0, 3, 1]]
    rows = [CategoryRow(3, label, f"A > {label}", "head", 3, 1, 1, 1) for label in range(6)]
    write_evaluation(
        cnn,
        categories=tuple(rows),
        guesses=guesses_of([0, 1], [1, 1], None, [product_id, 1]),
        examples=examples,
        level1_confusion=confusion,
        reliability=Reliability(0.1, None, (ReliabilityBin(9, 0.5, 0.6),), ()),
        groups=(FrequencyGroup("head", 1, 2, 0.5, 0.5, 0.5, 0.5),),
    )
    write_run(tmp_path / "new <i>", data, [], epochs=7)
    write_run(tmp_path / "level1", data, history([0.7]), target="level1")
    write_two_stage(tmp_path / "two", data, {0: 0.5, 1: 0.6})
    return [tmp_path / name for name in ("cnn", "new <i>", "level1", "two")]


@pytest.fixture
def mixture(tmp_path, runs):
    """An evaluation of several runs, on the same products."""
    path = tmp_path / "mixed <b>.json"
    own = EvaluationResult.read(runs[0] / "evaluation" / "validation.json").guesses
    right = dataclasses.replace(own, predicted=own.true)
    together = mixture_of({"cnn": WEIGHTS_SHA256})
    evaluation_of(RunFolder(runs[0]), mixture=together, guesses=right).write(path)
    return path


def test_the_page_needs_no_other_file_and_has_every_section(tmp_path, runs, mixture):
    folder = write_report(runs, tmp_path / "out" / "report.html", mixtures=[mixture])
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert_well_formed(text)
    assert "mixed &lt;b&gt;.json" in text and "mixed <b>" not in text
    sources = re.findall('src="(.*?)"', text)
    assert len(sources) >= 4
    assert all(source.startswith("data:image/") for source in sources)
    assert text.count("<script") == 1 and "<link" not in text  # what sorts the tables
    assert re.findall('<section id="(.*?)">', text) == [
        "curves",
        "runs",
        "specialists",
        "together",
        "evaluations",
        "comparison",
        "probabilities",
        "classes",
        "categories",
        "confusions",
        "class-confusions",
        "examples",
        "class-examples",
    ]
    assert "Report on 5 runs" in text
    assert "new &lt;i&gt;" in text and "new <i>" not in text
    assert "0.2424 (4)" in text
    assert folder == tmp_path / "out" / "report_files"
    names = [
        "confusions-cnn-validation.png",
        "curves.png",
        "reliability-cnn-validation.png",
        "specialists-two.png",
    ]
    assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        Image.open(io.BytesIO((folder / name).read_bytes())).load()


def test_one_run_names_the_page_and_has_no_section_of_specialists(tmp_path, runs):
    write_report(runs[:1], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>Report on cnn</title>" in text
    assert 'id="specialists"' not in text


def test_the_same_runs_give_the_same_page(tmp_path, runs, mixture):
    for name in ("a", "b"):
        write_report(runs, tmp_path / f"{name}.html", mixtures=[mixture])
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_examples_can_be_left_out_for_want_of_the_data_set(tmp_path, runs, monkeypatch):
    def open_dataset(data_dir):
        raise DatasetError("The data set must be built first.")

    monkeypatch.setattr(pictures, "open_dataset", open_dataset)
    write_report(runs, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Pictures unavailable: The data set must be built first." in text
    with pytest.raises(DatasetError, match="must be built first"):
        write_report(runs, tmp_path / "other.html", ReportOptions(data_dir=str(tmp_path)))
    assert not (tmp_path / "other.html").exists()


def test_a_link_to_the_page_of_the_data_set(tmp_path, runs):
    options = ReportOptions(data_page=str(tmp_path / "data.html"))
    with pytest.raises(ReportError, match="--data_page must be a page that exists. Received: .*da"):
        write_report(runs, tmp_path / "report.html", options)
    assert not (tmp_path / "report.html").exists()
    (tmp_path / "data.html").touch()
    write_report(runs, tmp_path / "out" / "report.html", options)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<a href="../data.html">The data set, before training</a>' in text


def test_damaged_shards_leave_the_examples_out(tmp_path, runs, monkeypatch):
    def damaged(*_):
        raise DatasetError("a corrupted record at 12.")

    monkeypatch.setattr(pictures, "pictures_of", damaged)
    write_report(runs, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text.count("Pictures unavailable: a corrupted record") == 2


@pytest.mark.parametrize("output", ["file/report.html", "folder"])
def test_an_output_that_cannot_be_written_is_refused_at_once(tmp_path, output):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ReportError, match="--output must be a file in a folder that can be writte"):
        write_report([tmp_path / "no run"], tmp_path / output)


def test_a_failure_leaves_the_last_page_as_it_was(tmp_path, runs, monkeypatch):
    output = tmp_path / "report.html"
    write_report(runs, output)
    before = output.read_bytes()

    def fail(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_report(runs[:1], output)
    assert output.read_bytes() == before
    assert not list(tmp_path.rglob("*.partial"))


def test_a_missing_run_is_one_line(tmp_path):
    command = [sys.executable, "-m", "trainer.report", str(tmp_path / "none")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Error: A run's folder holds config.json, which `python -m trainer.main --run_dir=DIR` "
        f"writes. Received: {tmp_path / 'none'}, which does not exist.\n"
    )


def test_main_prints_where_the_report_lies(tmp_path, runs, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report.main([str(path) for path in runs], report.Options())
    printed = capsys.readouterr()
    assert printed.out == (
        f"{tmp_path}/report.html\nIts figures as PNGs: {tmp_path}/report_files/\n"
    )
    assert printed.err == ""


def test_it_is_made_without_tensorflow(tmp_path, data):
    run = write_run(tmp_path / "cnn", data, history([0.2]))
    write_evaluation(run, guesses=guesses_of([0], [1]))
    program = (
        "import sys; from trainer import report; "
        f"report.main([{str(run.path)!r}], report.Options(output={str(tmp_path / 'r.html')!r})); "
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "r.html").exists()


def test_a_glob_of_runs_may_hold_plain_files(tmp_path, data):
    run = write_run(tmp_path / "runs" / "cnn", data, history([0.2]))
    notes = tmp_path / "runs" / "notes.txt"
    notes.write_text("my favourite runs")
    output = tmp_path / "report.html"
    command = [sys.executable, "-m", "trainer.report", str(run.path), str(notes)]
    result = subprocess.run(
        [*command, f"--output={output}"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert (
        "Skipped, because they are neither folders nor evaluations of several runs: notes.txt\n"
    ) in result.stderr
    assert "<title>Report on cnn</title>" in output.read_text(encoding="utf-8")
