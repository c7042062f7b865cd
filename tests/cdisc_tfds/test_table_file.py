"""Tables as shops save them: any usual delimiter and encoding, or a clear refusal."""

import gzip

import bson
import pytest

from cdisc_tfds.file_kinds import WrongKindError
from cdisc_tfds.table_file import TableFile
from tests.helpers.shop_files import write_csv


class TableError(ValueError):
    """What a caller of TableFile has for its errors."""


ROWS = [["id", "nom", "photo"], ["1", "Thé, café", "a.jpg"], ["2", 'dit "x"\nici', "b.jpg"]]


def opened(tmp_path, data, **options):
    path = tmp_path / "products.csv"
    path.write_bytes(data)
    return TableFile.open(path, TableError, **{"certain": True} | options)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_delimiters_and_encodings(tmp_path, delimiter, encoding):
    path = write_csv(tmp_path / "p.csv", ROWS, delimiter, encoding)
    table = TableFile.open(path, TableError, certain=True)
    assert table.columns == ("id", "nom", "photo")
    assert [line.cells for line in table.rows()] == ROWS[1:]
    assert [line.number for line in table.rows()] == [2, 3]
    assert table.is_latin == (encoding == "cp1252")


def test_latin_1_with_bytes_that_windows_does_not_know(tmp_path):
    table = opened(tmp_path, b"id,photo\n1,\x81\xe9.jpg\n")
    assert table.encoding == "latin-1" and table.is_latin
    assert [line.cells for line in table.rows()] == [["1", "\x81é.jpg"]]


def test_blank_lines_and_line_ends(tmp_path):
    table = opened(tmp_path, b"id,photo\r\n\r\n1,a.jpg\r\n , \r\n2,b.jpg")
    assert [(line.number, line.cells[0]) for line in table.rows()] == [(3, "1"), (5, "2")]


def test_a_delimiter_in_cells_does_not_mislead(tmp_path):
    table = opened(tmp_path, b"id;name;photo\n1;a,b;x.jpg\n2;c,d;y.jpg\n")
    assert table.delimiter == ";"


@pytest.mark.parametrize(
    ("data", "received"),
    [
        (b"id;x,photo\n1;y,a\n", "Received: a comma and a semicolon, which both do."),
        (b"id,photo\n1,a.jpg\n2,b.jpg,c.jpg\n", "Received: by a comma 2 to 3 cells."),
        (b"id\n1\n2\n", "Received: rows of one cell."),
    ],
)
def test_a_delimiter_that_is_not_certain(tmp_path, data, received):
    with pytest.raises(TableError) as caught:
        opened(tmp_path, data)
    assert received in str(caught.value) and "--delimiter" in str(caught.value)


def test_a_delimiter_that_is_told(tmp_path):
    table = opened(tmp_path, b"id;x,photo\n1;y,a\n", delimiter=",")
    assert table.columns == ("id;x", "photo")


def test_a_quote_that_stays_open(tmp_path):
    table = opened(tmp_path, b'id,photo\n1,a.jpg\n2,"b.jpg\n3,c.jpg\n', delimiter=",")
    with pytest.raises(TableError, match="The row at line 3 of .* quote that is opened must"):
        list(table.rows())


@pytest.mark.parametrize("certain", [True, False])
def test_a_quote_that_stays_open_among_the_first_rows(tmp_path, certain):
    with pytest.raises(TableError, match="The row at line 3 of .* cells separated by a comma, and"):
        opened(tmp_path, b'id,photo\n1,a.jpg\n2,"b.jpg\n', certain=certain)


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf", b"\xff\xfe", b",,\n"])
def test_an_empty_file(tmp_path, data):
    with pytest.raises(TableError, match="must have a header and rows. Received: an empty"):
        opened(tmp_path, data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (gzip.compress(b"id,photo\n", mtime=0), "a gzip file"),
        (b"PK\x03\x04" + bytes(60), "a zip file.*Excel"),
        (b"<html>", "an HTML page"),
    ],
)
def test_files_of_another_kind(tmp_path, data, kind):
    with pytest.raises(WrongKindError, match=f"must be a CSV file. Received: {kind}"):
        opened(tmp_path, data)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        TableFile.open(tmp_path / "none.csv", TableError, certain=True)


def test_rows_that_are_too_short_or_end_with_empty_cells(tmp_path):
    table = opened(tmp_path, b"id;name;photo\n1;a, b\n2;c, d;y.jpg;;\n3;e, f;z.jpg\n4\n")
    assert table.delimiter == ";"
    rows = [["1", "a, b", ""], ["2", "c, d", "y.jpg"], ["3", "e, f", "z.jpg"], ["4", "", ""]]
    assert [line.cells for line in table.rows()] == rows


def test_a_row_with_too_many_cells_keeps_them(tmp_path):
    table = opened(tmp_path, b"id,photo\n1,a,b\n2,c\n", delimiter=",")
    assert [line.cells for line in table.rows()] == [["1", "a", "b"], ["2", "c"]]


@pytest.mark.parametrize(
    ("data", "delimiter"),
    [
        (b"file\na|b\n", ","),  # none divides the header
        (b"id,photo\n1,a.jpg\n2,b.jpg,c.jpg\n", ","),
        (b"id,a,b;photo;c;d\n1,a,b;1,2;x\n", ";"),  # the header into the most cells
        (b"id;name, short, or so;photo\n1;a;b\n", ";"),  # all rows
    ],
)
def test_a_delimiter_that_need_not_be_certain(tmp_path, data, delimiter):
    assert opened(tmp_path, data, certain=False).delimiter == delimiter


def test_a_bson_file_is_named(tmp_path):
    document = bson.encode({"_id": 1, "imgs": [b"x" * 1000]})
    with pytest.raises(WrongKindError, match="must be a CSV file. Received: BSON documents"):
        opened(tmp_path, document)
