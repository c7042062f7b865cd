"""Single pictures, and their thumbnails."""

import io
import shutil
import warnings

import pytest
from PIL import Image

from cdisc_tfds.built_dataset import BuiltDataset, DatasetError, newest_version
from cdisc_tfds.explore.pictures import SIDE, Place, pictures_at, thumbnail
from cdisc_tfds.explore.scan import scan
from cdisc_tfds.explore.shots import shots
from tests.conftest import jpeg
from tests.helpers.odd_data import LARGE


def scanned(data):
    return scan(data, on_start=lambda total: lambda number: None)


def test_pictures_by_place(data):
    splits = scanned(data)
    rows = {
        int(number): (ordinal, row)
        for ordinal, split in enumerate(splits)
        for row, number in enumerate(split.index.product_id)
    }
    wanted = {
        Place(*rows[3], 2): jpeg(2),
        Place(*rows[3], 0): jpeg(0),
        Place(*rows[13], 0): jpeg(5),
        Place(*rows[6], 0): LARGE,
    }
    assert pictures_at(splits, wanted) == wanted


def test_a_shard_that_changes_after_the_scan(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "data")
    copy = BuiltDataset(newest_version(tmp_path / "data"))
    splits = scanned(copy)
    path = splits[0].shard_of(0).path
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"changed")
    with pytest.raises(DatasetError, match=f"must be intact. Received, from {path}: a corrupted"):
        pictures_at(splits, [Place(0, 0, 0)])
    with open(path, "wb"):
        pass
    with pytest.raises(DatasetError, match="another record than before"):
        pictures_at(splits, [Place(0, 0, 0)])


def opened(jpeg_file):
    return Image.open(io.BytesIO(jpeg_file))


def test_small_pictures_stay_byte_for_byte():
    for size in ((1, 1), (SIDE, SIDE), (7, SIDE)):
        assert thumbnail(jpeg(3, size)) == jpeg(3, size)


@pytest.mark.parametrize(
    ("size", "small"), [((360, 90), (180, 45)), ((181, 181), (180, 180)), ((30, 900), (6, 180))]
)
def test_large_pictures_are_reduced(size, small):
    image = opened(thumbnail(jpeg(3, size)))
    assert image.size == small
    assert image.getpixel((0, 0)) == pytest.approx((111, 17, 159), abs=4)  # shade 3


def test_small_pictures_in_large_files_are_written_again():
    padded = jpeg(3) + bytes(50_000)
    assert len(thumbnail(padded)) < 2_000


def test_pictures_in_cmyk_and_grey():
    for mode in ("CMYK", "L"):
        file = io.BytesIO()
        Image.new(mode, (400, 400)).save(file, "JPEG")
        assert opened(thumbnail(file.getvalue())).mode == "RGB"


def test_a_header_that_claims_very_many_pixels_is_decoded_small():
    bomb = bytearray(jpeg(1))
    place = bomb.index(b"\xff\xc0") + 5  # height and width
    bomb[place : place + 4] = b"\x2d\x00\x2d\x00"  # 11520 x 11520: 400 MB
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert opened(thumbnail(bytes(bomb))).size == (SIDE, SIDE)


def test_undecodable_pictures_say_so():
    cut = LARGE[: len(LARGE) // 2]
    for damaged in (b"", b"no JPEG", cut):
        assert thumbnail(damaged) is None
    page = shots([(Place(0, 0, 0), "<i>")], {Place(0, 0, 0): cut})
    assert "cannot be decoded" in page and "&lt;i&gt;" in page and "<img" not in page
