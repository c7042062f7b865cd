"""Names in cells lead to files, and never out of their folder."""

import pytest

from cdisc_tfds.catalogue.picture_files import PictureFolder
from cdisc_tfds.picture_file import PictureError
from tests.helpers.shop_files import write_files


@pytest.fixture
def folder(tmp_path):
    write_files(tmp_path, {"secret.jpg": b"s", "in/a.jpg": b"a", "in/b c, d.jpg": b"b"})
    write_files(tmp_path, {"in/sub/é.jpg": b"e", "in/<b>&\"'.jpg": b"q"})
    return PictureFolder(str(tmp_path / "in"))


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("a.jpg", ["a.jpg"]),
        (" a.jpg | x;y.jpg |", ["a.jpg", "x;y.jpg"]),
        ("a.jpg;b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg, none.jpg", ["a.jpg", "none.jpg"]),
        ("b c, d.jpg", ["b c, d.jpg"]),  # a file of this name exists
        (" ", []),
    ],
)
def test_several_names_in_a_cell(folder, cell, names):
    assert folder.names(cell) == names


def test_a_separator_that_is_told(folder):
    folder = PictureFolder(folder.root, " ")
    assert folder.names("a.jpg b.jpg") == ["a.jpg", "b.jpg"]
    assert folder.names("b c, d.jpg") == ["b", "c,", "d.jpg"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jpg", b"a"),
        ("./sub/../a.jpg", b"a"),
        ("sub\\é.jpg", b"e"),  # as Windows writes it
        ("sub/e\u0301.jpg", b"e"),  # decomposed, as macOS writes it
        ("<b>&\"'.jpg", b"q"),
    ],
)
def test_files_are_found(folder, name, data):
    assert folder.read(name) == data


def test_an_absolute_path_within_the_folder(folder):
    assert folder.read(f"{folder.root}/a.jpg") == b"a"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.jpg", "there is no such file"),
        ("../secret.jpg", "it lies outside the folder of pictures"),
        ("sub/../../secret.jpg", "it lies outside the folder of pictures"),
        ("/etc/passwd", "it lies outside the folder of pictures"),
        ("..", "it lies outside the folder of pictures"),
        ("sub", "it is not a regular file"),
        ("https://shop.example/a.jpg", "it is an address; download the picture"),
        ("a\0.jpg", "there is no such file"),
        ("x" * 5000, "there is no such file"),
    ],
)
def test_files_that_are_refused(folder, name, reason):
    with pytest.raises(PictureError, match=reason):
        folder.read(name)
