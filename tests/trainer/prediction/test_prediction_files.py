import csv
import json
import os

import numpy as np
import pandas
import pyarrow.parquet
import pytest

from trainer.prediction.prediction_files import (
    PredictionFileError,
    as_text,
    check_output,
    prediction_file,
    without_formula,
)
from trainer.prediction.ranked_products import ClassNames, RankedProducts
from trainer.runs.checkpoint import sha256_of

ODD = 'é "quoted", <b>\nnext; 北'
NAMES = ClassNames(np.array([11, 22, 33]), ["A", ODD, "=1+1"], ["X > A", f"X > {ODD}", "=1+1"])
LEVELS = ClassNames(None, ["A", "B", "C"], ["A", "B", "C"])
PRODUCTS = RankedProducts(
    ["=cmd|' /C calc'!A0", os.fsdecode(b"caf\xe9.jpg"), "-5"],
    np.array([2, 0, 1]),
    np.array([[1, 2], [-1, -1], [0, 1]], np.int32),
    np.array([[0.75, 0.1], [np.nan, np.nan], [1 / 3, 0.25]], np.float32),
)


def _write(path, accepted=None, names=NAMES):
    with prediction_file(path, names, 2) as writer:
        writer.add(PRODUCTS, accepted)
    assert writer.sha256 == sha256_of(path)
    return path


def test_csv(tmp_path):
    path = _write(tmp_path / "p.csv", np.array([True, False, False]))
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, strict=True))
    assert rows == [
        [
            *("product", "pictures", "accepted", "category_id", "name", "path", "probability"),
            *("category_id_2", "name_2", "path_2", "probability_2"),
        ],
        [
            *("'=cmd|' /C calc'!A0", "2", "true", "22", ODD, f"X > {ODD}", "0.75"),
            *("33", "'=1+1", "'=1+1", "0.1"),
        ],
        ["caf\\xe9.jpg", "0", "false", *[""] * 8],
        ["-5", "1", "false", "11", "A", "X > A", "0.33333334", "22", ODD, f"X > {ODD}", "0.25"],
    ]
    values = pandas.read_csv(path)["probability"].astype(np.float32)
    np.testing.assert_array_equal(values, PRODUCTS.probabilities[:, 0])


def test_json_lines(tmp_path):
    path = _write(tmp_path / "p.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["product"] for row in rows] == ["=cmd|' /C calc'!A0", "caf\\xe9.jpg", "-5"]
    assert [row["accepted"] for row in rows] == [None] * 3
    assert rows[1]["predictions"] == []
    assert rows[0]["predictions"] == [
        {"category_id": 22, "name": ODD, "path": f"X > {ODD}", "probability": 0.75},
        {"category_id": 33, "name": "=1+1", "path": "=1+1", "probability": 0.1},
    ]


@pytest.mark.parametrize("accepted", [None, np.array([True, False, False])])
def test_parquet(tmp_path, accepted):
    table = pyarrow.parquet.read_table(_write(tmp_path / "p.parquet", accepted)).to_pydict()
    assert table["product"] == ["=cmd|' /C calc'!A0", "caf\\xe9.jpg", "-5"]
    assert table["accepted"] == [None] * 3 if accepted is None else [True, False, False]
    assert table["category_id"] == [22, None, 11]
    assert table["name_2"] == ["=1+1", None, ODD]
    assert table["probability"] == [0.75, None, float(np.float32(1 / 3))]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_run_of_a_level_has_no_ids(tmp_path, kind):
    path = _write(tmp_path / f"p.{kind}", names=LEVELS)
    if kind == "jsonl":
        row = json.loads(path.read_text().splitlines()[0])["predictions"][0]
        assert row == {"name": "B", "path": "B", "probability": 0.75}
        return
    table = pandas.read_csv(path) if kind == "csv" else pandas.read_parquet(path)
    assert [name for name in table.columns if "id" in name] == []
    assert table["name"][0] == "B" and table["path_2"][0] == "C"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_error_leaves_no_file(tmp_path, kind):
    with pytest.raises(RuntimeError, match="stop"):
        with prediction_file(tmp_path / f"p.{kind}", NAMES, 2) as writer:
            writer.add(PRODUCTS, None)
            raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["=1", "+a", "-a", "@a", "\ta", "\ra", "\na", "＝1", "-1+1", "+"])
def test_formulas_get_an_apostrophe(text):
    assert without_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "-5", "+33", "-5.25", "1e5", "é", "'=1", " =1"])
def test_other_texts_stay(text):
    assert without_formula(text) == text


def test_names_that_are_no_unicode():
    assert as_text(os.fsdecode("é".encode() + b"\xff")) == "é\\xff"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("p.txt", r"must end in .csv, .jsonl or .parquet. Received: --output=.*p.txt"),
        (f"{'x' * 200}.csv", "may have at most 200 bytes"),
        ("none/p.csv", "a file in an existing folder"),
        (".csv", "must end in"),
    ],
)
def test_outputs_that_cannot_be(tmp_path, name, message):
    with pytest.raises(PredictionFileError, match=message):
        check_output(tmp_path / name)
