"""What must hold for any bytes: the properties that fuzzing tries to break."""

from __future__ import annotations

import tempfile

from tensorflow_datasets.proto import tf_example_pb2

from cdisc_tfds.bson_file import BsonError, check_ends, find_document, read_documents
from cdisc_tfds.categories import Categories
from cdisc_tfds.jpeg import jpeg_fault
from cdisc_tfds.records import RecordEncoder, RejectedProduct, example_of, product_of

CATEGORIES = Categories([(7, "A", "B", "C"), (1000000010, "A", "B", "D")])
ENCODER = RecordEncoder(CATEGORIES)


def check(data: bytes) -> None:
    """Raises if anything but the documented errors happens, or a byte goes unaccounted."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        check_reader(file.name, len(data))
    assert jpeg_fault(data) != ""


def check_reader(path: str, size: int) -> None:
    stretches = []
    documents = read_documents(path, on_damage=lambda error, end: stretches.append((error, end)))
    skipped = 0
    offset = 0
    for begin, behind, document in documents:
        for error, end in stretches[skipped:]:
            assert error.offset == offset and end > offset
            offset = end
        skipped = len(stretches)
        assert begin == offset and behind > begin
        offset = behind
        check_document(document)
    for error, end in stretches[skipped:]:
        assert error.offset == offset and end > offset
        offset = end
    assert offset == size
    check_strict(path, [error for error, _ in stretches])
    assert 0 <= find_document(path, size // 2) <= size


def check_strict(path: str, errors: list[BsonError]) -> None:
    """Without going on, the first error is the same, and there is one only if there was one."""
    try:
        for _ in read_documents(path):
            pass
    except BsonError as error:
        assert str(error) == str(errors[0])
    else:
        assert not errors
    try:
        check_ends(path, window=100)
    except BsonError as error:
        assert error.expected and error.received


def check_document(document: dict) -> None:
    for labelled in (True, False):
        try:
            product = product_of(document, CATEGORIES, labelled)
        except RejectedProduct as error:
            assert str(error)
            continue
        record = tf_example_pb2.Example.FromString(ENCODER.serialize(product))
        feature = record.features.feature
        for name, value in example_of(product, CATEGORIES).items():
            kind = feature[name].bytes_list if name == "images" else feature[name].int64_list
            assert list(kind.value) == (value if isinstance(value, list) else [value])
