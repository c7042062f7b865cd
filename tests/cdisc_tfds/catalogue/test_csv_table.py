"""Tables as shops save them: any usual delimiter and encoding, or a clear refusal."""

import gzip

import pytest

from cdisc_tfds.catalogue.csv_table import CsvTable
from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.file_kinds import WrongKindError
from tests.helpers.shop_files import write_csv

ROWS = [["id", "nom", "photo"], ["1", "Thé, café", "a.jpg"], ["2", 'dit "x"\nici', "b.jpg"]]


def opened(tmp_path, data, **options):
    path = tmp_path / "products.csv"
    path.write_bytes(data)
    return CsvTable.open(path, **options)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_delimiters_and_encodings(tmp_path, delimiter, encoding):
    table = CsvTable.open(write_csv(tmp_path / "p.csv", ROWS, delimiter, encoding))
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
    with pytest.raises(CatalogueError) as caught:
        opened(tmp_path, data)
    assert received in str(caught.value) and "--delimiter" in str(caught.value)


def test_a_delimiter_that_is_told(tmp_path):
    table = opened(tmp_path, b"id;x,photo\n1;y,a\n", delimiter=",")
    assert table.columns == ("id;x", "photo")


def test_a_quote_that_stays_open(tmp_path):
    table = opened(tmp_path, b'id,photo\n1,a.jpg\n2,"b.jpg\n3,c.jpg\n', delimiter=",")
    with pytest.raises(CatalogueError, match="The row at line 3 of .* quote that is opened must"):
        list(table.rows())


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file(tmp_path, data):
    with pytest.raises(CatalogueError, match="must have a header and rows. Received: an empty"):
        opened(tmp_path, data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (gzip.compress(b"id,photo\n", mtime=0), "a gzip file"),
        (b"PK\x03\x04" + bytes(60), "a zip file.*Excel"),
        ("id,photo\n".encode("utf-16"), "text in UTF-16"),
        (b"<html>", "an HTML page"),
    ],
)
def test_files_of_another_kind(tmp_path, data, kind):
    with pytest.raises(WrongKindError, match=f"must be a CSV file. Received: {kind}"):
        opened(tmp_path, data)


def test_no_such_file(tmp_path):
    with pytest.raises(CatalogueError, match="--csv must be a file that can be read"):
        CsvTable.open(tmp_path / "none.csv")
