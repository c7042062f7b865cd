"""Reads a record back as a product, without TensorFlow; `records.py` says what a record is.

Fields may be in any order, and integers packed or not, as protobuf allows: TFDS's own writer puts
them in another order than ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from cdisc_tfds.records import Product

# Keys of protobuf fields that are messages, strings or packed numbers: field number * 8 + 2.
_FIRST, _SECOND, _INT64_LIST = 0x0A, 0x12, 0x1A
_UNPACKED = 0x08  # field 1 as a single varint
_BYTES_TYPE = 2


class StoredRecordError(ValueError):
    """The bytes are not a record of the data set."""


def product_in(record: bytes) -> Product:
    """The product that a record holds: its id, pictures and category.

    Raises:
      StoredRecordError: the bytes are no `tf.train.Example` with these fields.
    """
    values: dict[bytes, tuple[int, int]] = {}
    try:
        for key, begin, end in _fields(record, 0, len(record)):
            if key == _FIRST:  # Example.features
                for _, entry, entry_end in _fields(record, begin, end):
                    name, feature = _entry(record, entry, entry_end)
                    values[name] = feature
        return Product(
            _int64(record, *values[b"product_id"]),
            _bytes_list(record, *values[b"images"]),
            _int64(record, *values[b"category"]),
        )
    except (IndexError, KeyError) as error:
        raise StoredRecordError(f"a record of another format ({error!r})") from None


def _fields(record: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yields (key, begin, end) for each field between two positions, all with a length.

    Raises:
      StoredRecordError: a field is of another type, or goes past `end`.
    """
    while position < end:
        key = record[position]
        if key & 7 != _BYTES_TYPE:
            raise StoredRecordError("a record of another format")
        length, begin = _varint(record, position + 1)
        position = begin + length
        if position > end:
            raise StoredRecordError("a record of another format")
        yield key, begin, position


def _entry(record: bytes, position: int, end: int) -> tuple[bytes, tuple[int, int]]:
    """The name of a map entry, and where its Feature is."""
    name, feature = b"", (end, end)
    for key, begin, behind in _fields(record, position, end):
        if key == _FIRST:
            name = record[begin:behind]
        elif key == _SECOND:
            feature = (begin, behind)
    return name, feature


def _bytes_list(record: bytes, position: int, end: int) -> list[bytes]:
    values = []
    for key, begin, behind in _fields(record, position, end):
        if key == _FIRST:  # Feature.bytes_list
            values += [record[first:last] for _, first, last in _fields(record, begin, behind)]
    return values


def _int64(record: bytes, position: int, end: int) -> int:
    """The first integer of a Feature."""
    for key, begin, behind in _fields(record, position, end):
        if key == _INT64_LIST and begin < behind:
            packing = record[begin]
            if packing == _FIRST:
                _, begin = _varint(record, begin + 1)
            elif packing == _UNPACKED:
                begin += 1
            number, _ = _varint(record, begin)
            return number - (number >> 63 << 64)
    raise StoredRecordError("a record of another format")


def _varint(record: bytes, position: int) -> tuple[int, int]:
    """(value, position after it)."""
    value = record[position]
    if value < 0x80:
        return value, position + 1
    value &= 0x7F
    for shift in range(7, 70, 7):
        position += 1
        byte = record[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
    raise StoredRecordError("a record of another format")
