import os

import pytest

from cdisc_tfds.photo_products import PhotoProduct, joined_by_name, products_of_files


@pytest.fixture
def shop(tmp_path):
    for name in ("lamp/b.jpg", "lamp/a.png", "lamp/old/c.jpg", "cup ☕/é.webp", ".git/x.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "lamp" / ".DS_Store").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    return str(tmp_path)


def _named(shop, *names):
    return [os.path.join(shop, name) for name in names]


def test_each_file_is_a_product(shop):
    found = list(products_of_files([shop], "file"))
    names = _named(shop, "cup ☕/é.webp", "lamp/a.png", "lamp/b.jpg", "lamp/old/c.jpg")
    assert found == [PhotoProduct(name, (name,)) for name in names]


def test_the_files_of_a_folder_are_a_product(shop):
    found = list(products_of_files([shop], "folder"))
    assert found == [
        PhotoProduct(f"{shop}/cup ☕", (f"{shop}/cup ☕/é.webp",)),
        PhotoProduct(f"{shop}/lamp", (f"{shop}/lamp/a.png", f"{shop}/lamp/b.jpg")),
        PhotoProduct(f"{shop}/lamp/old", (f"{shop}/lamp/old/c.jpg",)),
    ]


def test_files_named_one_by_one(shop, monkeypatch):
    monkeypatch.chdir(os.path.join(shop, "lamp"))
    assert list(products_of_files(["b.jpg"], "file")) == [PhotoProduct("b.jpg", ("b.jpg",))]
    files = products_of_files(["b.jpg", "a.png"], "folder")
    assert joined_by_name(files) == [PhotoProduct(".", ("b.jpg", "a.png"))]


def test_links_to_folders_are_not_followed(shop):
    os.symlink(shop, os.path.join(shop, "lamp", "loop"))
    assert len(list(products_of_files([shop], "file"))) == 4


def test_a_folder_that_cannot_be_read_is_an_error(shop, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        list(products_of_files([shop], "file"))


def test_a_name_is_one_product_with_each_photo_once():
    products = [
        PhotoProduct("7", ("a", "b")),
        PhotoProduct("8", ()),
        PhotoProduct("7", ("b", "c")),
    ]
    assert joined_by_name(products) == [
        PhotoProduct("7", ("a", "b", "c")),
        PhotoProduct("8", ()),
    ]
