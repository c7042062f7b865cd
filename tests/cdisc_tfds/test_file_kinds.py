"""Files of another kind under the expected names are called by their kind, with what to do."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import bson
import pytest
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.bson_file import BsonError, check_ends, read_documents, require_bson
from cdisc_tfds.file_kinds import WrongKindError, kind_instead_of_bson
from tests.conftest import CATEGORY_NAMES, jpeg, product, write_bson

DUMP = bson.encode(product(1, 1000000010)) + bson.encode(product(2, 1000000010))


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train.bson", data)
    return file.getvalue()


def tarred(data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("train.bson")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
# The file, what the error calls it, and what it advises.
KINDS = {
    "gzip": (gzip.compress(DUMP), "a gzip file", "gunzip"),
    "gzip with a time": (gzip.compress(DUMP, mtime=0x69256910), "a gzip file", "gunzip"),
    "zip": (zipped(DUMP), "a zip file", "unzip"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(50), "a 7z file", "7z x"),
    "bzip2": (bz2.compress(DUMP), "a bzip2 file", "bunzip2"),
    "xz": (lzma.compress(DUMP), "an xz file", "unxz"),
    "tar": (tarred(DUMP), "a tar file", "tar xf"),
    "page": (b"\n<!DOCTYPE html><html><title>Sign in</title>", "an HTML page", "download"),
    "page in capitals": (b"<HTML><HEAD>" + b" " * 5000, "an HTML page", "download"),
    "xml": (b'\xef\xbb\xbf<?xml version="1.0"?><Error>', "an XML document", "Download"),
    "pointer": (POINTER, "a Git LFS pointer", "git lfs pull"),
    "json lines": (b'{"_id": 1, "imgs": []}\n{"_id": 2}\n', "JSON text", "mongodump"),
    "json list": (b'[{"_id": 1}]', "JSON text", "mongodump"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(50), "an lz4 file", "unlz4"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + bytes(50), "a RAR file", "unrar"),
    "compress": (b"\x1f\x9d\x90" + bytes(50), "a .Z file", "uncompress"),
    "parquet": (b"PAR1" + bytes(50), "a Parquet file", "Check which file"),
    "picture": (jpeg(), "a JPEG picture", "Check which file"),
    "archive": (b"\x6d\xe2\x99\x81" + DUMP, "a mongodump archive", "mongorestore"),
}


def build(tmp_path, manual_dir, **options):
    builder = cdisc_tfds.Builder(data_dir=tmp_path / "data", **options)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dump_of_another_kind(tmp_path, kind):
    data, name, advice = KINDS[kind]
    path = tmp_path / "train.bson"
    path.write_bytes(data)
    for read in (lambda: next(read_documents(path)), lambda: check_ends(path)):
        with pytest.raises(WrongKindError) as caught:
            read()
        text = str(caught.value)
        assert text.startswith(f"{path} must be a file of BSON documents. Received: {name}. ")
        assert advice in text and "damaged" not in text and "truncated" not in text


@pytest.mark.parametrize("name", ["train.bson", "test.bson", "category_names.csv"])
@pytest.mark.parametrize("keep_going", [False, True])
def test_the_build_says_so_at_once(tmp_path, competition, name, keep_going):
    """Also where damage is skipped: nothing in such a file could be used."""
    (competition / name).write_bytes(gzip.compress((competition / name).read_bytes()))
    with pytest.raises(WrongKindError, match=rf"manual/{name} must be .* Received: a gzip file\."):
        build(tmp_path, competition, keep_going=keep_going)
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_categories_of_another_kind(tmp_path, competition, kind):
    data, name, _ = KINDS[kind]
    (competition / "category_names.csv").write_bytes(data)
    with pytest.raises(WrongKindError, match=f"must be a CSV file. Received: {name}"):
        build(tmp_path, competition)


@pytest.mark.parametrize("rest", [b"", b"?", b"{?"])
def test_a_byte_or_two_are_the_rest_of_a_document(rest):
    assert kind_instead_of_bson(rest) is None


@pytest.mark.parametrize("text", [b"Access denied: your token has expired.\n", b"404"])
def test_a_dump_that_is_text(tmp_path, text):
    path = tmp_path / "train.bson"
    path.write_bytes(text)
    with pytest.raises(WrongKindError, match="Received: text. If it is a server's message"):
        require_bson(path)


def test_files_that_are_swapped(tmp_path, competition):
    (competition / "train.bson").write_text(CATEGORY_NAMES)
    with pytest.raises(WrongKindError, match="train.bson must be .* Received: text. .*right one"):
        build(tmp_path, competition)
    (competition / "category_names.csv").write_bytes(DUMP)
    with pytest.raises(WrongKindError, match="must be a CSV file. Received: BSON documents. Put"):
        build(tmp_path, competition)


def test_a_document_may_look_like_another_kind(tmp_path):
    """Of 0x088b1f bytes: its length is gzip's mark, and it is BSON all the same."""
    document = {"_id": 1, "imgs": [], "title": ""}
    document["title"] = "x" * (0x088B1F - len(bson.encode(document)))
    path = write_bson(tmp_path / "train.bson", [document])
    assert path.read_bytes()[:3] == gzip.compress(b"")[:3]
    require_bson(path)
    assert [found for _, _, found in read_documents(path)] == [document]


@pytest.mark.parametrize("damaged", [b"", bytes(600), b"<\0\0\0" + bytes(60), b"\xff\xfe\x01\x02"])
def test_damage_is_called_damage(tmp_path, damaged):
    path = tmp_path / "train.bson"
    path.write_bytes(damaged)
    require_bson(path)
    with pytest.raises(BsonError):
        check_ends(path)
