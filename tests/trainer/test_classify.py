"""The command, from its words to what it prints and writes."""

import json
import subprocess
import sys

import pytest

from tests.helpers.network_runs import write_network_run
from tests.helpers.photo_files import write_product_folders
from tests.helpers.small_data import SmallData, make_products
from trainer import classify
from trainer.classify import Options
from trainer.terminal.option import OptionError

PRODUCTS = make_products([0, 1, 2], seed=2)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "data").mkdir()
    return write_network_run(tmp_path / "run", SmallData(tmp_path / "data"))


@pytest.fixture
def photos(tmp_path):
    return write_product_folders(tmp_path / "photos", PRODUCTS)


def test_a_photo_is_printed(run, photos, capsys):
    photo = next(photos.rglob("*.jpg"))
    classify.main([str(photo)], Options(run_dir=str(run.path), top=2, threshold=0.9))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{photo}  (1 photo)  not accepted"
    assert len(lines) == 3
    number, category_id, *path = lines[1].split()
    assert 0 < float(number) < 1 and category_id.startswith("10000") and ">" in path


def test_a_name_cannot_control_the_terminal(run, photos, tmp_path, capsys):
    photo = tmp_path / "\x1b[2J\n.jpg"
    photo.write_bytes(next(photos.rglob("*.jpg")).read_bytes())
    classify.main([str(photo)], Options(run_dir=str(run.path)))
    assert capsys.readouterr().out.startswith(f"{tmp_path}/\\x1b[2J\\n.jpg  (1 photo)\n")


def test_what_cannot_be_used_is_printed(run, tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(b"no")
    classify.main([str(tmp_path / "a.jpg")], Options(run_dir=str(run.path)))
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}/a.jpg  (0 photos)\n"
    assert err.splitlines() == [
        f"{tmp_path}/a.jpg: it is no picture of a format that is read, or a damaged one: it starts "
        "with 6e 6f",
        f"{tmp_path}/a.jpg: it has no usable photo",
    ]


def test_a_table_in_a_file(run, photos, tmp_path, capsys):
    table = tmp_path / "products.csv"
    rows = [f"{one.product_id:06d};{one.product_id:06d}/0.jpg" for one in PRODUCTS]
    table.write_text("\n".join(["sku;image", *rows, "x;none.jpg", ";y.jpg"]))
    output = tmp_path / "found.jsonl"
    classify.main(
        [str(table)],
        Options(run_dir=str(run.path), images=str(photos), output=str(output), threshold=1e-6),
    )
    out, err = capsys.readouterr()
    assert out == (
        f"{output}: 4 products, 1 without a prediction, 3 accepted; 2 photos or rows rejected: "
        f"{output}.rejected.jsonl.\n"
    )
    assert err.startswith(f"{table}: products by 'sku', photos from 'image' (utf-8, ';'")
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["product"] for row in rows] == [
        *(f"{one.product_id:06d}" for one in PRODUCTS),
        "x",
    ]


def test_all_files_are_right(run, photos, tmp_path, capsys):
    output = tmp_path / "found.csv"
    classify.main([str(photos)], Options(run_dir=str(run.path), output=str(output)))
    number = sum(len(product.images) for product in PRODUCTS)
    assert capsys.readouterr().out == f"{output}: {number} products.\n"


@pytest.mark.parametrize(
    ("words", "flags", "message"),
    [
        ([], {}, "Name the photos: files, folders, or tables"),
        (["none.jpg"], {}, "must exist. Received: none.jpg, which does not"),
        (["s3://x/y"], {}, "a path of this machine, without a scheme"),
        (["{tmp}/empty"], {}, "There must be at least one photo. .*empty holds none"),
        (["{tmp}/t.csv"], {}, "holds none; line 2 of .*t.csv names no product"),
        (["{tmp}/many"], {}, "at most 20 products are printed. Received: 21. Name a file"),
        (["{tmp}/t.csv"], {"delimiter": ";;"}, "--delimiter must be one character"),
        (["{tmp}/t.csv"], {"picture_separator": ""}, "--picture_separator must have a character"),
    ],
)
def test_words_that_make_no_sense(run, tmp_path, words, flags, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "many").mkdir()
    (tmp_path / "t.csv").write_text("id,image\n,a.jpg\n")
    for number in range(21):
        (tmp_path / "many" / f"{number}.jpg").write_bytes(b"")
    words = [word.format(tmp=tmp_path) for word in words]
    with pytest.raises(OptionError, match=message):
        classify.main(words, Options(run_dir=str(run.path), **flags))


def test_the_command_says_an_error_in_one_line(tmp_path):
    command = [sys.executable, "-m", "trainer.classify", "--run_dir=x", "none.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: Photos, folders and tables must exist. Received: none.jpg, which does not.\n"
    )
