"""The command: its help, what it prints, its errors, and a stop from outside."""

import os
import signal
import subprocess
import sys
import time

import pytest

from cdisc_tfds.catalogue.__main__ import main
from tests.helpers.shop_files import documents, photo, write_csv, write_files

ROWS = [("id", "category", "image"), (1, "A", "1.jpg"), (2, "B", "2.jpg"), (3, "A", "none.jpg")]


@pytest.fixture
def shop(tmp_path):
    write_files(tmp_path / "photos", {f"{number}.jpg": photo(number) for number in (1, 2)})
    write_csv(tmp_path / "products.csv", ROWS)
    return tmp_path


def run(shop, *words):
    main([f"--output_dir={shop / 'out'}", *words])


def test_a_table(shop, capsys):
    run(shop, f"--csv={shop}/products.csv", f"--images={shop}/photos", "--processes=1")
    text = capsys.readouterr().out
    assert text.startswith(
        "Note: columns: product id = id; category = category; pictures = image.\n"
        f"{shop}/out, in 0:0"
    )
    assert "  train.bson: 2 products, 2 pictures\n" in text
    assert f"Left out: 1 of product; {shop}/out/rejected.jsonl gives the reason for each." in text
    assert text.endswith(
        f"Next:\n  CDISCOUNT_TRAIN_ONLY=1 tfds build cdiscount --manual_dir={shop}/out\n"
    )


def test_lists_of_columns(shop):
    rows = [("id", "univers, rayon", "b", "x", "y"), (1, "A", "B", "1.jpg", "2.jpg")]
    path = write_csv(shop / "other.csv", rows)
    options = [f"--csv={path}", f"--images={shop}/photos", "--pictures=y,x", "--processes=1"]
    run(shop, *options, '--category="univers, rayon",b')
    assert documents(shop / "out" / "train.bson")[1] == (1, [photo(2), photo(1)])
    assert (shop / "out" / "category_names.csv").read_text().endswith("\n1,A,B,B\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "error: A catalogue is made from one of --csv, --folders and --dump. Received: none"),
        (["--csv=gs://bucket/a.csv"], "error: --csv must be a path of this machine"),
        (["--csv=none.csv"], "error: --csv must be a file that can be read"),
    ],
)
def test_errors_are_a_sentence(shop, words, message):
    with pytest.raises(SystemExit) as caught:
        run(shop, *words)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("word", ["--delimiter=ab", "--split=x", "--product=y", "--imagse=z"])
def test_flags_that_are_wrong(shop, capsys, word):
    with pytest.raises(SystemExit) as caught:
        run(shop, f"--csv={shop}/products.csv", word)
    assert caught.value.code == 2 and word.split("=")[0] in capsys.readouterr().err


def test_a_tab_is_told_by_its_name(shop):
    path = write_csv(shop / "tab.tsv", ROWS[:3], "\t")
    run(shop, f"--csv={path}", f"--images={shop}/photos", "--delimiter=tab", "--processes=1")
    assert len(documents(shop / "out" / "train.bson")) == 2


def test_help_tells_all_flags(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for flag in ("--csv", "--folders", "--dump", "--max_size", "--test_share", "--overwrite"):
        assert flag in text


def test_ctrl_c_leaves_nothing(shop):
    rows = [("id", "category", "image"), *((number, "A", "1.jpg") for number in range(20_000))]
    path = write_csv(shop / "many.csv", rows)
    words = [f"--output_dir={shop / 'out'}", f"--csv={path}", f"--images={shop}/photos"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cdisc_tfds.catalogue", *words, "--processes=2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not list((shop / "out").glob(".train.bson.*")):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes
    output, errors = process.communicate()
    assert (process.returncode, output) == (130, "")
    assert errors == "Stopped by the keyboard. Nothing was written.\n"
    assert list((shop / "out").iterdir()) == []
