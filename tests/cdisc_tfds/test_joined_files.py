"""Several files are read with the offsets of one, and no document goes on into the next."""

import itertools

import bson
import pytest

from cdisc_tfds import joined_files
from cdisc_tfds.bson_file import BsonError, find_document, read_documents, read_documents_at
from cdisc_tfds.file_kinds import WrongKindError
from cdisc_tfds.joined_files import JoinedFiles
from tests.conftest import product, write_bson

DOCUMENTS = [product(number, 7) for number in range(9)]
OFFSETS = [0, *itertools.accumulate(len(bson.encode(document)) for document in DOCUMENTS)]


def cut(folder, *lengths):
    """The documents in files with so many each."""
    begins = [0, *itertools.accumulate(lengths)]
    paths = [
        write_bson(folder / f"{number}.bson", DOCUMENTS[begin : begin + length])
        for number, (begin, length) in enumerate(zip(begins, lengths))
    ]
    return paths, joined(paths)


def joined(paths):
    return JoinedFiles.of((path, path.stat().st_size) for path in paths)


@pytest.fixture(params=[(9,), (2, 3, 4), (0, 4, 0, 0, 5, 0), (1,) * 9])
def files(request, tmp_path):
    return cut(tmp_path, *request.param)[1]


def test_the_documents_are_those_of_one_file(files):
    found = list(read_documents(files))
    assert [document for *_, document in found] == DOCUMENTS
    assert [offset for offset, *_ in found] == OFFSETS[:-1]
    assert [behind for _, behind, _ in found] == OFFSETS[1:]
    assert files.size == OFFSETS[-1]


def test_every_start_is_found(files):
    for offset in range(0, files.size + 1, 13):
        assert find_document(files, offset) == min(o for o in OFFSETS if o >= offset)


def test_stretches_of_them(files):
    """A part knows only its own files; what it reads is the same."""
    for begin, stop in itertools.combinations(range(0, files.size, 301), 2):
        some = files.within(begin, stop)
        starts = [start for start in OFFSETS[:-1] if begin <= start < stop]
        start = find_document(some, begin, stop)
        assert start == starts[0] if starts else start in (None, stop)
        if starts:
            found = [document["_id"] for *_, document in read_documents(some, starts[0], stop)]
            assert found == [OFFSETS.index(start) for start in starts]


def test_random_access_with_few_open_files(files, monkeypatch):
    monkeypatch.setattr(joined_files, "_MOST_OPEN", 2)
    places = [8, 0, 5, 5, 1, 7, 3, 0, 8]
    found = read_documents_at(files, [OFFSETS[place] for place in places], [5] * len(places))
    assert [document["_id"] for document in found] == places


def test_a_document_does_not_go_on_in_the_next_file(tmp_path):
    """Two halves of a document in two files are damage, not a document."""
    data = b"".join(map(bson.encode, DOCUMENTS))
    middle = OFFSETS[4] + 100
    paths = [tmp_path / "a.bson", tmp_path / "b.bson"]
    for path, part in zip(paths, (data[:middle], data[middle:])):
        path.write_bytes(part)
    with pytest.raises(BsonError, match=rf"a\.bson: document 4 at byte {OFFSETS[4]} .*truncated"):
        list(read_documents(joined(paths)))
    skipped = []
    found = read_documents(
        joined(paths), on_damage=lambda error, behind: skipped.append((error.path, behind))
    )
    assert [document["_id"] for *_, document in found] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert skipped == [(str(paths[0]), middle), (str(paths[1]), OFFSETS[5])]


def test_errors_name_the_file_and_the_byte_in_it(tmp_path):
    """And the number of the document only where all before it are counted in the same file."""
    paths, files = cut(tmp_path, 4, 5)
    data = bytearray(paths[1].read_bytes())
    at = OFFSETS[6] - OFFSETS[4]
    data[at + 4] = 0x55
    paths[1].write_bytes(data)
    with pytest.raises(BsonError) as caught:
        list(read_documents(files))
    assert str(caught.value).startswith(f"{paths[1]}: a document at byte {at} is damaged. Expected")
    assert caught.value.counted_from(3).index is None


def test_another_kind_of_file_among_them(tmp_path):
    paths, _ = cut(tmp_path, 4, 5)
    paths[1].write_text("<html>Sign in</html>")
    with pytest.raises(WrongKindError, match=r"1\.bson must be .*an HTML page"):
        list(read_documents(joined(paths), on_damage=lambda error, behind: None))


def test_a_file_that_shrinks(tmp_path):
    paths, files = cut(tmp_path, 4, 5)
    paths[1].write_bytes(b"")
    size = OFFSETS[9] - OFFSETS[4]
    with pytest.raises(OSError, match=rf"1\.bson had {size} bytes when .* ends now at byte 0"):
        list(read_documents(files))
