"""The folder of a catalogue: nothing is replaced unasked, and what is there is explained."""

import json

import pytest

from cdisc_tfds.catalogue import output
from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.catalogue.output import OutputFolder
from tests.helpers.shop_files import documents, make, photo, table, write_csv, write_files

HEADER = ("sku", "category", "image")


@pytest.fixture
def shop(tmp_path):
    """A function that makes a catalogue of rows in the folder `out`."""
    photos = {f"{name}.jpg": photo(number) for number, name in enumerate("abc")}
    images = write_files(tmp_path / "images", photos)

    def run(*rows, **options):
        path = write_csv(tmp_path / "products.csv", [HEADER, *rows])
        return make(tmp_path / "out", csv=path, images=images, **options)

    run.out, run.images = tmp_path / "out", images
    return run


def test_what_the_files_were_made_from(shop, tmp_path):
    shop(("x", "A", "a.jpg"), ("y", "", "b.jpg"), max_size=100)
    about = json.loads((shop.out / "catalogue.json").read_text())
    assert about["format"] == 1 and about["finished"] and about["largest_product_id"] == 2
    assert set(about["files"]) == {
        "train.bson",
        "test.bson",
        "category_names.csv",
        "product_ids.csv",
    }
    train = about["files"]["train.bson"]
    assert (train["products"], train["pictures"]) == (1, 1)
    assert train["bytes"] == (shop.out / "train.bson").stat().st_size
    assert train["made_from"]["csv"]["file"] == "products.csv"
    assert train["made_from"]["images"] == str(tmp_path / "images")
    assert train["made_from"]["options"]["max_size"] == 100


def test_a_second_run_says_what_there_is(shop):
    shop(("x", "A", "a.jpg"))
    before = {path.name: path.read_bytes() for path in shop.out.iterdir()}
    with pytest.raises(CatalogueError) as caught:
        shop(("x", "A", "a.jpg"), num_processes=3)
    assert str(caught.value) == (
        f"{shop.out} already holds train.bson (1 products, 1 pictures), category_names.csv "
        "(1 categories), product_ids.csv (1 products), made from the same input with the same "
        "options. To make them again, add --overwrite; to keep them, choose another --output_dir."
    )
    with pytest.raises(CatalogueError, match="made from another input, or with other options"):
        shop(("x", "A", "a.jpg"), max_size=90)
    assert {path.name: path.read_bytes() for path in shop.out.iterdir()} == before


def test_the_same_input_gives_the_same_files(shop):
    rows = [("x", "B", "a.jpg"), ("y", "A", "b.jpg"), ("z", "", "c.jpg"), ("x", "B", "none")]
    shop(*rows)
    names = ["train.bson", "test.bson", "category_names.csv", "product_ids.csv", "rejected.jsonl"]
    first = [(shop.out / name).read_bytes() for name in names]
    shop(*rows, overwrite=True)
    assert [(shop.out / name).read_bytes() for name in names] == first


def test_overwriting_removes_what_is_not_written_again(shop):
    shop(("x", "A", "a.jpg|none.jpg"), ("y", "", "b.jpg"))
    shop((1, "A", "a.jpg"), overwrite=True)
    assert sorted(path.name for path in shop.out.iterdir()) == [
        "catalogue.json",
        "category_names.csv",
        "train.bson",
    ]


def test_a_failed_run_leaves_everything(shop):
    shop(("x", "A", "a.jpg"))
    before = {path.name: path.read_bytes() for path in shop.out.iterdir()}
    with pytest.raises(CatalogueError, match="rejected_by_failed_run.jsonl gives the reason"):
        shop(("x", "A", "none.jpg"), overwrite=True)
    (shop.out / "rejected_by_failed_run.jsonl").unlink()
    assert {path.name: path.read_bytes() for path in shop.out.iterdir()} == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_never_replaced(shop, overwrite):
    write_files(shop.out, {"train.bson": b"the real one"})
    with pytest.raises(CatalogueError, match="did not make. .* already has train.bson. Choose"):
        shop(("x", "A", "a.jpg"), overwrite=overwrite)
    assert (shop.out / "train.bson").read_bytes() == b"the real one"


def test_a_run_that_ends_while_its_files_appear(shop, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(OutputFolder, "end_replacement", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shop(("x", "A", "a.jpg"))
    with pytest.raises(CatalogueError, match="train.bson .*, left by a run that did not finish"):
        shop(("x", "A", "a.jpg"))
    shop(("x", "A", "a.jpg"), overwrite=True)


def test_leftovers_of_killed_runs_are_removed(shop):
    write_files(shop.out, {".train.bson.0a.partial": b"x", ".plan.0b.partial": b"x"})
    shop(("x", "A", "a.jpg"))
    assert not list(shop.out.glob(".*"))


def test_one_run_at_a_time(shop):
    with OutputFolder(str(shop.out), False).locked():
        with pytest.raises(CatalogueError, match="One run at a time may write to"):
            shop(("x", "A", "a.jpg"))


def test_a_folder_that_cannot_be_written_to(shop, tmp_path):
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(CatalogueError, match="--output_dir must be a folder that can be written"):
        shop(("x", "A", "a.jpg"))


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99}'])
def test_a_damaged_note(shop, text):
    write_files(shop.out, {output.ABOUT: text.encode()})
    with pytest.raises(CatalogueError, match="catalogue.json must"):
        shop(("x", "A", "a.jpg"))


def test_products_to_predict_join_a_catalogue(shop):
    shop(("x", "A", "a.jpg"), ("y", "B", "none.jpg|b.jpg"))
    train = (shop.out / "train.bson").read_bytes()
    names = (shop.out / "category_names.csv").read_bytes()
    summary = shop(("w", "", "c.jpg"), ("y", "B", "b.jpg"), ("v", "Z", "no|a.jpg"), split="test")
    assert set(summary.files) == {"test.bson", "solution.csv", "product_ids.csv", "rejected.jsonl"}
    # Known ids keep their numbers, new ones come behind.
    assert table(shop.out / "product_ids.csv")[1:] == [
        ["1", "x"],
        ["2", "y"],
        ["3", "w"],
        ["4", "v"],
    ]
    assert list(documents(shop.out / "test.bson")) == [3, 2, 4]
    # Their categories are those of the catalogue.
    assert table(shop.out / "solution.csv") == [["_id", "category_id"], ["2", "2"]]
    assert (shop.out / "train.bson").read_bytes() == train
    assert (shop.out / "category_names.csv").read_bytes() == names
    lines = (shop.out / "rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["split"] for line in lines] == ["train", "test"]
    about = json.loads((shop.out / "catalogue.json").read_text())
    assert about["files"]["train.bson"]["products"] == 2 and about["largest_product_id"] == 4
    # Another day, other products: the numbers go on.
    with pytest.raises(CatalogueError, match="already holds test.bson"):
        shop(("u", "", "c.jpg"), split="test")
    shop(("u", "", "c.jpg"), split="test", overwrite=True)
    assert list(documents(shop.out / "test.bson")) == [5]
    assert not (shop.out / "solution.csv").exists()


def test_numbers_of_new_names_do_not_meet_the_numbers_of_train(shop):
    shop((10, "A", "a.jpg"), (20, "B", "b.jpg"))
    shop(("new", "", "c.jpg"), (10, "", "c.jpg"), split="test")
    assert table(shop.out / "product_ids.csv")[1:] == [["21", "new"], ["22", "10"]]


def test_a_full_disk(shop, small_disk):
    images = small_disk(10_000_000)
    out = images / "out"
    for name in "abc":
        (images / f"{name}.jpg").write_bytes((shop.images / f"{name}.jpg").read_bytes())
    (images / "large.jpg").write_bytes(photo(5, (1400, 1400)))
    left = 3_000_000
    (images / "fill").write_bytes(bytes(10_000_000 - left - (images / "large.jpg").stat().st_size))
    rows = [HEADER, *((f"x{number}", "A", "large.jpg") for number in range(20))]
    path = write_csv(shop.images / "many.csv", rows)
    with pytest.raises(CatalogueError, match="is full: .*Nothing was written. Make room"):
        make(out, csv=path, images=images, max_size=1400)
    assert list(out.iterdir()) == []


def test_a_table_of_ids_that_was_edited(shop):
    shop(("x", "A", "a.jpg"), ("y", "A", "b.jpg"))
    for text in ("product_id,id\n1,x\n1,y\n", "product_id,id\n1,x\n2,x\n"):
        (shop.out / "product_ids.csv").write_text(text)
        with pytest.raises(CatalogueError, match="Each product must stand once in product_ids.csv"):
            shop(("z", "", "a.jpg"), split="test")
    for text in ("id\n1\n", "product_id,id\nx,1\n", "product_id,id\n1\n"):
        (shop.out / "product_ids.csv").write_text(text)
        with pytest.raises(CatalogueError, match="must be the table that this command wrote"):
            shop(("z", "", "a.jpg"), split="test")
