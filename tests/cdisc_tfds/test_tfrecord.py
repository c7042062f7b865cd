"""Framing, against TensorFlow's."""

import io

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cdisc_tfds.tfrecord import (
    OVERHEAD_BYTES,
    TFRecordError,
    count_records,
    frame,
    masked_crc,
    read_record,
    read_records,
    skip_record,
)


@given(st.lists(st.binary(max_size=200), max_size=4))
@settings(deadline=None, max_examples=25)
def test_the_bytes_that_tensorflow_writes(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("tfrecord") / "file"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    framed = b"".join(piece for record in records for piece in frame([record]))
    assert framed == path.read_bytes()
    assert len(framed) == sum(map(len, records)) + OVERHEAD_BYTES * len(records)


def test_known_checksum():
    # CRC-32C of "123456789" is e3069283; masked: rotated right by 15 bits, plus a282ead8.
    assert (
        masked_crc(b"123456789") == (((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8) % 2**32
    )


def test_records_are_counted_up_to_where_the_file_is_cut(tmp_path):
    path = tmp_path / "file"
    lengths = [5, 0, 300]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for length in lengths:
            writer.write(bytes(length))
    whole = path.read_bytes()
    assert len(whole) == 353
    assert count_records(path) == (3, 353)
    assert count_records(path, begin=21) == (2, 353)
    for cut, expected in ((352, (2, 37)), (38, (2, 37)), (36, (1, 21)), (3, (0, 0)), (0, (0, 0))):
        path.write_bytes(whole[:cut])
        assert count_records(path) == expected


def test_records_are_read_with_their_offsets():
    records = [b"abc", b"", bytes(70_000)]
    file = io.BytesIO(b"".join(piece for record in records for piece in frame([record])))
    assert list(read_records(file)) == [(0, b"abc"), (19, b""), (35, bytes(70_000))]
    assert read_record(file) is None
    file.seek(19)
    assert read_record(file) == b""


def test_every_changed_byte_and_every_cut_is_found():
    framed = b"".join(frame([b"first"]) + frame([b"second"]))
    for place in range(len(framed)):
        changed = framed[:place] + bytes([framed[place] ^ 1]) + framed[place + 1 :]
        at = 0 if place < 21 else 21
        with pytest.raises(TFRecordError, match=f"^a corrupted record at {at}$"):
            list(read_records(io.BytesIO(changed)))
        if place not in (0, 21):
            with pytest.raises(TFRecordError, match=f"^a truncated record at {at}$"):
                list(read_records(io.BytesIO(framed[:place])))


def test_records_are_skipped_by_their_lengths():
    records = [b"abc", b"", bytes(70_000), b"last"]
    content = bytearray(b"".join(piece for record in records for piece in frame([record])))
    content[12] ^= 1  # within the first record, which is not read
    file = io.BytesIO(content)
    for _ in range(3):
        skip_record(file)
    assert read_record(file) == b"last"
    with pytest.raises(TFRecordError, match=f"a truncated record at {len(content)}"):
        skip_record(file)
    content[19] ^= 1  # the length of the second
    file = io.BytesIO(content)
    skip_record(file)
    with pytest.raises(TFRecordError, match="a corrupted record at 19"):
        skip_record(file)
