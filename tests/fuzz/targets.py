"""What must hold for any bytes: the properties that fuzzing tries to break."""

from __future__ import annotations

import struct
import tempfile

import bson
from tensorflow_datasets.proto import tf_example_pb2

from cdisc_tfds.bson_file import BsonError, check_ends, find_document, read_documents, require_bson
from cdisc_tfds.categories import Categories
from cdisc_tfds.file_kinds import WrongKindError
from cdisc_tfds.jpeg import jpeg_fault
from cdisc_tfds.records import RecordEncoder, RejectedProduct, example_of, product_of

CATEGORIES = Categories([(7, "A", "B", "C"), (1000000010, "A", "B", "D")])
ENCODER = RecordEncoder(CATEGORIES)


def check_file(data: bytes) -> None:
    """The bytes as a `.bson` file: raises if anything but the documented errors happens, or a byte
    goes unaccounted."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        check_reader(file.name, len(data))
    assert jpeg_fault(data) != ""


def check_reader(path: str, size: int) -> None:
    try:
        require_bson(path)
    except WrongKindError:
        return
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


def check_product(data: bytes) -> None:
    """The bytes as choices of a document's fields: what no mutation of BSON finds in minutes."""
    check_document(_Choices(data).document())


class _Choices:
    """Turns bytes into a document: any bytes, the same document each time."""

    def __init__(self, data: bytes):
        self._data = data

    def document(self) -> dict:
        fields = ["_id", "category_id", "imgs", "unknown"]
        document = {}
        for _ in range(self._number(1) % 6):
            field = fields[self._number(1) % len(fields)]
            document[field] = self._imgs() if field == "imgs" else self._value()
        return document

    def _imgs(self):
        if self._number(1) % 8 == 0:
            return self._value()
        return [self._picture() for _ in range(self._number(1) % 5)]

    def _picture(self):
        kind = self._number(1) % 8
        if kind == 0:
            return self._value()
        if kind == 1:
            return {"picture": self._value()}
        head = b"\xff\xd8\xff" if kind < 6 else b""
        return {"picture": head + self._bytes(self._number(2))}

    def _value(self):
        kind = self._number(1) % 12
        return (
            lambda: self._number(1) - 128,
            lambda: self._number(4) - (1 << 31),
            lambda: bson.Int64(self._number(8) - (1 << 63)),
            lambda: struct.unpack("<d", self._bytes(8).ljust(8, b"\0"))[0],
            lambda: self._bytes(self._number(1) % 32).decode("utf-8", "replace"),
            lambda: str(self._number(4)),
            lambda: CATEGORIES.category_ids[self._number(1) % 2].item(),
            lambda: self._number(1) % 2 == 1,
            lambda: None,
            lambda: bson.Binary(self._bytes(self._number(1)), self._number(1)),
            lambda: [],
            lambda: {"picture": b""},
        )[kind]()

    def _number(self, size: int) -> int:
        return int.from_bytes(self._bytes(size), "little")

    def _bytes(self, size: int) -> bytes:
        taken, self._data = self._data[:size], self._data[size:]
        return taken


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


TARGETS = {"bson": check_file, "records": check_product}
