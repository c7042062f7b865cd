"""`train.bson.gz` and `test.bson.gz`: the data set is that of the plain files."""

import gzip
import os
import shutil

import pytest
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.bson_file import BsonError
from cdisc_tfds.build import inputs, unpacked_file
from cdisc_tfds.build.folder import DiskFullError
from cdisc_tfds.build.identity import OtherSourcesError
from cdisc_tfds.build.source_file import SourceFile
from cdisc_tfds.build.unpacked_file import (
    PackedFileError,
    estimated_bytes,
    require_packed_bson,
    unpacked,
)
from cdisc_tfds.file_kinds import WrongKindError
from cdisc_tfds.manual_files import find_sources
from tests.conftest import write_competition


def pack(path):
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


@pytest.fixture
def packed_competition(competition):
    pack(competition / "train.bson")
    pack(competition / "test.bson")
    return competition


def build(data_dir, manual_dir, overwrite=False, **options):
    builder = cdisc_tfds.Builder(data_dir=data_dir, **options)
    mode = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS if overwrite else None
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir, **({"download_mode": mode} if mode else {})
    )
    builder.download_and_prepare(download_config=config)
    return builder


def shards(builder):
    return {path.name: path.read_bytes() for path in builder.data_path.glob("*.tfrecord*")}


@pytest.mark.parametrize("options", [{}, {"num_processes": 2}, {"stock_writer": True}])
def test_the_records_are_those_of_the_plain_files(tmp_path, packed_competition, options):
    plain = tmp_path / "plain"
    plain.mkdir()
    expected = build(tmp_path / "a", write_competition(plain))
    built = build(tmp_path / "b", packed_competition, **options)
    if "stock_writer" not in options:  # it writes the same records in other bytes
        assert shards(built) == shards(expected)
    assert built.info.metadata["digest"] == expected.info.metadata["digest"]
    (source,) = built.info.metadata["origin"]["sources"]["train"]
    assert source["file"] == "train.bson.gz"
    assert source["bytes"] == (packed_competition / "train.bson.gz").stat().st_size
    assert not (tmp_path / "b" / "cdiscount" / "1.0.0.building").exists()


def test_a_second_build_compares_the_packed_files(tmp_path, packed_competition):
    build(tmp_path / "data", packed_competition)
    build(tmp_path / "data", packed_competition)
    write_competition(packed_competition, train=30)
    (packed_competition / "train.bson.gz").unlink()
    pack(packed_competition / "train.bson")
    with pytest.raises(OtherSourcesError, match="split train: from train.bson.gz"):
        build(tmp_path / "data", packed_competition)
    builder = build(tmp_path / "data", packed_competition, overwrite=True)
    assert builder.info.metadata["num_products"]["train"] == 30


def test_the_plain_file_comes_first(competition):
    train = competition / "train.bson"
    (competition / "train.bson.gz").write_bytes(b"older")
    assert [source.paths for source in find_sources(competition)[1]][0] == (str(train),)


def test_an_interrupted_build_keeps_what_it_unpacked(tmp_path, packed_competition, monkeypatch):
    folder = tmp_path / "building"
    folder.mkdir()
    path = packed_competition / "train.bson.gz"
    file = SourceFile.of(path)
    first = unpacked(file, folder)
    assert first == str(folder / "unpacked" / "train.bson")
    assert gzip.decompress(path.read_bytes()) == (folder / "unpacked" / "train.bson").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(unpacked_file, "_unpack", lambda *_: pytest.fail("unpacked again"))
        assert unpacked(file, folder) == first
    os.truncate(first, 10)  # a file of another size is not trusted
    unpacked(file, folder)
    assert gzip.decompress(path.read_bytes()) == (folder / "unpacked" / "train.bson").read_bytes()
    path.write_bytes(gzip.compress(b"other"))
    unpacked(SourceFile.of(path), folder)
    assert (folder / "unpacked" / "train.bson").read_bytes() == b"other"


def test_damage_is_told(tmp_path, packed_competition):
    path = packed_competition / "train.bson.gz"
    whole = path.read_bytes()
    for data in (whole[:-20], whole[: len(whole) // 2], whole[:-6] + bytes(6)):
        path.write_bytes(data)
        with pytest.raises(PackedFileError, match=r"train.bson.gz must be a whole gzip file"):
            build(tmp_path / "data", packed_competition)
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-3]))
    with pytest.raises(BsonError, match="is damaged"):
        build(tmp_path / "data", packed_competition)


def test_what_is_no_packed_bson(tmp_path):
    path = tmp_path / "train.bson.gz"
    path.write_bytes(b"")
    with pytest.raises(PackedFileError, match=r"must be a whole gzip file.* \(it is empty\)"):
        require_packed_bson(path)
    path.write_bytes(b"not packed at all")
    with pytest.raises(PackedFileError, match="must be a whole gzip file"):
        require_packed_bson(path)
    for data, kind in ((b"\x6d\xe2\x99\x81" + bytes(9), "archive"), (b"a,b\n1,2\n", "text")):
        path.write_bytes(gzip.compress(data))
        with pytest.raises(WrongKindError, match=f"a gzip file of BSON documents.* {kind}"):
            require_packed_bson(path)


def test_the_size_is_estimated(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes(10_000)))
    assert estimated_bytes(path) == 10_000
    # 5,000,000,000 unpacked bytes are noted as 705,032,704; packed, they were more.
    path.write_bytes(bytes(996) + (5_000_000_000 % 2**32).to_bytes(4, "little"))
    os.truncate(path, 1000)
    assert estimated_bytes(path) == 705_032_704
    with open(path, "wb") as file:
        file.seek(4_900_000_000)
        file.write((5_000_000_000 % 2**32).to_bytes(4, "little"))
    assert estimated_bytes(path) == 5_000_000_000


def test_space_is_checked_before_unpacking(tmp_path, packed_competition, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9e9, 9e9, 1000))
    monkeypatch.setattr(inputs, "unpacked", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(DiskFullError, match="free space"):
        build(tmp_path / "data", packed_competition)
