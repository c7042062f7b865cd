"""Names of files that a command cannot write, before it works for hours."""

import os

import pytest

from trainer.runs.output_file import checked_output

ENDINGS = (".csv", ".csv.gz", ".txt")


class WrongError(ValueError):
    pass


def check(path, endings=ENDINGS):
    return checked_output(path, "A list", endings, WrongError, why=", as it is one")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "b.c.txt", f"{'x' * 196}.csv"])
def test_a_file_that_can_be_written(tmp_path, name):
    assert check(f"{tmp_path}/{name}") == tmp_path / name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.pdf", "A list must end in .csv, .csv.gz or .txt, as it is one. Received: --output=/"),
        (".csv", "A list must end in .csv,"),
        (f"{'x' * 197}.csv", "--output's name may have at most 200 bytes, so that .*made_from"),
        (f"{'é' * 99}.csv", "--output's name may have at most 200 bytes"),
        ("none/a.csv", "--output must be a file in an existing folder that can be written to"),
        ("folder.csv", "--output must be a file in an existing folder"),
    ],
)
def test_a_file_that_cannot(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(WrongError, match=message):
        check(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WrongError, match="that can be written to"):
        check(tmp_path / "a.csv")


def test_a_single_ending(tmp_path):
    with pytest.raises(WrongError, match="A list must end in .csv, as it is one"):
        check(tmp_path / "a", (".csv",))
