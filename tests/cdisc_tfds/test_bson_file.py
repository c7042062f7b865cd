"""Reading documents by offset, finding where they start, and saying where they are damaged."""

import io
import pickle
import re
import tempfile

import bson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdisc_tfds import bson_file, joined_files
from cdisc_tfds.bson_file import (
    BsonError,
    check_ends,
    find_document,
    read_documents,
    read_documents_at,
)
from cdisc_tfds.file_kinds import WrongKindError
from tests.conftest import product, write_bson


def offsets_of(data):
    """Where each document of whole BSON bytes starts, and the end."""
    offsets = [0]
    while offsets[-1] < len(data):
        offsets.append(offsets[-1] + int.from_bytes(data[offsets[-1] :][:4], "little"))
    return offsets


@pytest.fixture
def path(tmp_path):
    return write_bson(tmp_path / "train.bson", [product(number, 7) for number in range(9)])


def test_documents_with_their_offsets(path):
    data = path.read_bytes()
    offsets = offsets_of(data)
    found = list(read_documents(path))
    assert [(offset, behind) for offset, behind, _ in found] == list(zip(offsets, offsets[1:]))
    assert [document for _, _, document in found] == bson.decode_all(data)


def test_a_range_reads_the_documents_that_start_in_it(path):
    offsets = offsets_of(path.read_bytes())
    ids = lambda start, stop: [d["_id"] for _, _, d in read_documents(path, start, stop)]  # noqa: E731
    assert ids(offsets[2], offsets[5]) == [2, 3, 4]
    assert ids(offsets[2], offsets[5] + 1) == [2, 3, 4, 5]
    assert ids(offsets[2], offsets[2]) == []
    assert ids(offsets[8], None) == [8]
    assert ids(offsets[9], None) == []


def test_documents_larger_than_the_buffer(tmp_path, monkeypatch):
    monkeypatch.setattr(joined_files, "_BLOCK_BYTES", 100)
    documents = [{"_id": number, "text": "x" * (number * 57)} for number in range(12)]
    path = write_bson(tmp_path / "a.bson", documents)
    assert [document for _, _, document in read_documents(path)] == documents


def test_competition_file(cdiscount_files):
    path = cdiscount_files / "train_example.bson"
    documents = [document for _, _, document in read_documents(path)]
    assert len(documents) == 82
    assert sum(len(document["imgs"]) for document in documents) == 110
    assert list(documents[0]) == ["_id", "imgs", "category_id"]


def test_offsets_beyond_32_bits(tmp_path):
    """A sparse file: its documents lie behind 4 GiB of nothing."""
    path = tmp_path / "large.bson"
    begin = (1 << 32) + 12345
    documents = [product(number, 7) for number in range(4)]
    with open(path, "wb") as file:
        file.seek(begin)
        file.write(b"".join(map(bson.encode, documents)))
    assert [document for _, _, document in read_documents(path, begin)] == documents
    assert find_document(path, begin - 3000) == begin


# Damage.


def damaged(path, data, **kwargs):
    path.write_bytes(data)
    with pytest.raises(BsonError) as caught:
        list(read_documents(path, **kwargs))
    return caught.value


def test_truncated_within_a_document(path):
    data = path.read_bytes()
    last = offsets_of(data)[-2]
    error = damaged(path, data[:-10])
    assert (error.offset, error.index) == (last, 8)
    assert str(error) == (
        f"{path}: document 8 at byte {last} is damaged. Expected: a length from 5 to the "
        f"{len(data) - 10 - last} bytes that are left of the file. Received: a length of "
        f"{len(data) - last} (is the file truncated?)."
    )


def test_truncated_within_a_length(path):
    data = path.read_bytes()
    last = offsets_of(data)[-2]
    error = damaged(path, data[: last + 3])
    assert str(error) == (
        f"{path}: document 8 at byte {last} is damaged. Expected: a document of at least 5 bytes. "
        "Received: the file's last 3 bytes (is the file truncated?)."
    )


@pytest.mark.parametrize("length", [0, 4, -1, -(2**31)])
def test_impossible_length(path, length):
    data = bytearray(path.read_bytes())
    third = offsets_of(data)[3]
    data[third : third + 4] = length.to_bytes(4, "little", signed=True)
    error = damaged(path, data)
    assert (error.offset, error.index) == (third, 3)
    assert error.received == f"a length of {length}"


def test_wrong_last_byte(path):
    data = bytearray(path.read_bytes())
    begin, end = offsets_of(data)[3:5]
    data[end - 1] = 0x41
    error = damaged(path, data)
    assert (error.offset, error.index) == (begin, 3)
    assert error.expected == f"a zero byte at the end of the document's {end - begin} bytes"
    assert error.received == "the byte 0x41"


def test_fields_that_do_not_parse(path):
    data = bytearray(path.read_bytes())
    begin, end = offsets_of(data)[3:5]
    data[begin + 4] = 0x55  # no such type
    error = damaged(path, data)
    assert (error.offset, error.index) == (begin, 3)
    assert error.expected == f"the fields of a BSON document in its {end - begin} bytes"
    assert re.match(r"bytes that do not parse \(.*unknown BSON type b'U'", error.received)


def test_index_counts_from_the_start(path):
    data = path.read_bytes()
    offsets = offsets_of(data)
    error = damaged(path, data[:-1], start=offsets[6])
    assert (error.offset, error.index) == (offsets[8], 2)
    assert error.counted_from(6).index == 8
    assert "document 8 at byte" in str(error.counted_from(6))


def test_error_crosses_processes(path):
    error = damaged(path, path.read_bytes()[:-1])
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) and copy.offset == error.offset


def test_a_file_that_shrinks_meanwhile(path):
    reader = read_documents(path)
    with open(path, "rb") as file:
        size = len(file.read())
    next(reader)
    reader.close()
    with bson_file._File(path) as file:
        path.write_bytes(b"")
        with pytest.raises(OSError, match=rf"had {size} bytes when it was opened and ends now at"):
            file.read(0, 4)


def test_odd_text_and_dates_in_unused_fields_are_no_damage(path):
    odd = bytearray(bson.encode({"a": "xyz", "_id": 5, "imgs": []}))
    odd[odd.index(b"xyz")] = 0xFF  # no UTF-8
    date = bson.encode({"_id": 6, "imgs": [], "date": bson.DatetimeMS(2**62)})
    path.write_bytes(odd + date)
    assert [document["_id"] for _, _, document in read_documents(path)] == [5, 6]


# Going on behind damage.


def test_goes_on_at_the_next_whole_document(path):
    data = bytearray(path.read_bytes())
    offsets = offsets_of(data)
    data[offsets[3]] ^= 0xFF  # the length
    data[offsets[6] + 4] = 0x55  # a field
    path.write_bytes(data[:-1])  # and the last one is cut
    skipped = []
    found = read_documents(path, on_damage=lambda error, behind: skipped.append((error, behind)))
    assert [document["_id"] for _, _, document in found] == [0, 1, 2, 4, 5, 7]
    assert [(error.offset, behind) for error, behind in skipped] == [
        (offsets[3], offsets[4]),
        (offsets[6], offsets[7]),
        (offsets[8], len(data) - 1),
    ]
    assert [error.index for error, _ in skipped] == [3, 6, 8]


def test_finds_every_start(path):
    data = path.read_bytes()
    offsets = offsets_of(data)
    for offset in range(len(data) + 1):
        assert find_document(path, offset) == min(o for o in offsets if o >= offset)


def test_a_search_ends_at_its_stop(path):
    data = path.read_bytes()
    offsets = offsets_of(data)
    for offset in range(0, len(data), 7):
        for stop in (offset, offset + 1, offset + 300, len(data)):
            starts = [start for start in offsets if offset <= start < stop]
            nothing = len(data) if stop >= len(data) else None
            assert find_document(path, offset, stop) == (starts[0] if starts else nothing)


def test_skipping_reads_no_further_than_its_stop(tmp_path, path, monkeypatch):
    """The tail of a broken download may be gigabytes of zeros."""
    zeros = 8 << 20
    long = tmp_path / "long.bson"
    long.write_bytes(path.read_bytes() + bytes(zeros))
    bytes_read = []
    original = bson_file._File._pread

    def counted(self, offset, wanted):
        bytes_read.append(wanted)
        return original(self, offset, wanted)

    monkeypatch.setattr(bson_file._File, "_pread", counted)
    skipped = []
    stop = path.stat().st_size + (1 << 20)
    reader = read_documents(long, 0, stop, lambda error, behind: skipped.append(behind))
    assert [document["_id"] for _, _, document in reader] == list(range(9))
    assert skipped == [None]
    assert find_document(long, stop, stop + (1 << 20)) is None
    assert sum(bytes_read) < 2.2 * (1 << 20)


def test_fields_in_another_order_start_documents_too(tmp_path):
    documents = [
        {"category_id": 7, "note": "x", "imgs": [], "_id": bson.Int64(i)} for i in range(6)
    ]
    path = write_bson(tmp_path / "a.bson", documents)
    offsets = offsets_of(path.read_bytes())
    assert find_document(path, offsets[2] + 1) == offsets[3]


def test_what_is_inside_a_document_is_no_start(tmp_path):
    """The list of pictures is a BSON document itself, and so is each entry."""
    documents = [product(number, 7, pictures=4) for number in range(5)]
    path = write_bson(tmp_path / "a.bson", documents)
    offsets = offsets_of(path.read_bytes())
    inside = path.read_bytes().index(b"\x00\x030\x00") + 4
    assert find_document(path, inside - 4) == offsets[1]


# Before any long work.


def test_ends_of_a_whole_file(path):
    check_ends(path)
    check_ends(path, window=1500)


def test_empty_file(tmp_path):
    (tmp_path / "a.bson").write_bytes(b"")
    with pytest.raises(BsonError, match="Expected: at least one document. Received: an empty file"):
        check_ends(tmp_path / "a.bson")


def test_truncated_large_file_is_found_at_its_end(path):
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    with pytest.raises(BsonError) as caught:
        check_ends(path, window=3000)
    assert caught.value.offset == offsets_of(data)[-2]
    assert "a document at byte" in str(caught.value)


def test_file_of_something_else(tmp_path):
    path = tmp_path / "a.bson"
    path.write_bytes(bson.encode({"_id": 1, "imgs": []}) + b"PK\x03\x04" * 1000)
    with pytest.raises(BsonError, match=r"byte 3\d\d\d .*documents up to the file's end. Received"):
        check_ends(path, window=1000)


# Any bytes at all.


def read_all(data, keep_going=False):
    """(documents, skipped stretches) of any bytes; BsonError is the only error that may come."""
    skipped = []

    def on_damage(error, behind):
        skipped.append((error.offset, behind))

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        found = list(read_documents(file.name, on_damage=on_damage if keep_going else None))
    return found, skipped


DOCUMENT = st.fixed_dictionaries(
    {"_id": st.integers(0, 2**31 - 1), "imgs": st.lists(st.binary(max_size=30), max_size=3)},
    optional={"category_id": st.integers(0, 2**31 - 1), "text": st.text(max_size=9)},
)


@given(st.binary(max_size=300))
@example(b"\x05\x00\x00\x00\x00")
@example(b"\xff\xff\xff\x7f\x10")
@settings(deadline=None, max_examples=200)
def test_any_bytes_give_documents_or_a_clean_error(data):
    try:
        documents, _ = read_all(data)
    except WrongKindError as error:
        assert "must be a file of BSON documents. Received: " in str(error)
    except BsonError as error:
        assert 0 <= error.offset < len(data)
        assert error.index is not None and error.expected and error.received
    else:
        assert (documents[-1][1] if documents else 0) == len(data)


@given(st.lists(DOCUMENT, min_size=1, max_size=8), st.data())
@settings(deadline=None, max_examples=100)
def test_damaged_bytes_never_lose_a_document_silently(documents, data):
    """With any bytes changed or cut off: an error, or every byte accounted for."""
    whole = b"".join(map(bson.encode, documents))
    changed = bytearray(whole)
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4)
    ):
        changed[position] = value
    changed = bytes(changed[: data.draw(st.integers(0, len(whole)))])
    found, skipped = read_all(changed, keep_going=True)
    stretches = sorted([(offset, behind) for offset, behind, _ in found] + skipped)
    ends = [0, *(end for _, end in stretches)]
    assert [begin for begin, _ in stretches] == ends[:-1]
    assert ends[-1] == len(changed)
    if changed == whole:
        assert not skipped and [document for _, _, document in found] == documents


def test_memory_stays_within_the_file(tmp_path):
    """A length that claims 2 GB asks for no more than there is."""
    path = tmp_path / "a.bson"
    path.write_bytes(b"\xff\xff\xff\x7f" + io.BytesIO(b"\x10_id\x00").read() * 10)
    with pytest.raises(BsonError, match="a length of 2147483647"):
        list(read_documents(path))


@pytest.mark.parametrize("guess", [1, 700, 1 << 22])
def test_documents_at_any_places(path, guess):
    """However many bytes a document is thought to have."""
    data = path.read_bytes()
    offsets = offsets_of(data)[:-1]
    documents = bson.decode_all(data)
    for places in ([8, 0, 3, 3, 7], []):
        found = read_documents_at(path, [offsets[place] for place in places], [guess] * len(places))
        assert list(found) == [documents[place] for place in places]


def test_no_document_at_a_place(path):
    with pytest.raises(BsonError, match="a document at byte 5 is damaged"):
        list(read_documents_at(path, [5], [100]))
