import pytest

from cdisc_tfds.file_kinds import WrongKindError
from cdisc_tfds.photo_products import PhotoProduct, RejectedPhoto
from cdisc_tfds.photo_table import PhotoTableError, TableColumns, read_photo_table


@pytest.fixture
def table(tmp_path):
    """Writes a table and reads it; photos' paths are relative to its folder."""

    def read(data, **wanted):
        path = tmp_path / "p.csv"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return read_photo_table(str(path), TableColumns(folder="", **wanted))

    return read


PRODUCTS = [PhotoProduct("7", ("a.jpg",)), PhotoProduct("é8", ("b.jpg",))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_delimiters_and_encodings_are_found_out(table, delimiter, encoding):
    lines = ["id", "Image", "price"], ["7", "a.jpg", "1"], ["é8", "b.jpg", ""]
    text = "".join(delimiter.join(cells) + "\r\n" for cells in lines)
    found = table(text.encode(encoding))
    assert found.products == PRODUCTS and found.rejected == []
    name = encoding.removesuffix("-sig")
    assert found.described.endswith(
        f"products by 'id', photos from 'Image' ({name}, {delimiter!r} between cells)"
    )


def test_quotes_line_breaks_and_blank_rows(table):
    found = table('sku,photo\n\n"a ""b""\nc",x.jpg\n,,\n"d, e","y, z.jpg"\n')
    assert found.products == [
        PhotoProduct('a "b"\nc', ("x.jpg",)),
        PhotoProduct("d, e", ("y", "z.jpg")),
    ]


def test_a_cell_is_split_unless_it_is_a_file(tmp_path, table):
    (tmp_path / "y, z.jpg").write_bytes(b"")
    path = tmp_path / "t.csv"
    path.write_text('id,photos\n1,"y, z.jpg"\n2,a.jpg|b.jpg | c.jpg\n')
    found = read_photo_table(path, TableColumns())
    assert [product.photos for product in found.products] == [
        (f"{tmp_path}/y, z.jpg",),
        tuple(f"{tmp_path}/{name}.jpg" for name in "abc"),
    ]
    found = table("id,photos\n1,a;b c\n", separator=" ")
    assert found.products == [PhotoProduct("1", ("a;b", "c"))]


def test_several_columns_and_those_that_the_user_names(table):
    text = "ean,photo_1,photo-2,ref,pfad\n1,a,b,r1,p\n2,,c,r2,\n"
    assert table(text).products == [PhotoProduct("r1", ("a", "b")), PhotoProduct("r2", ("c",))]
    found = table(text, product="EAN", photos=("pfad",))
    assert found.products == [PhotoProduct("1", ("p",)), PhotoProduct("2", ())]


def test_without_ids_each_row_is_named_as_its_first_photo(table):
    found = table("file\na.jpg\n\nb.jpg|c.jpg\n")
    assert found.products == [
        PhotoProduct("a.jpg", ("a.jpg",)),
        PhotoProduct("b.jpg", ("b.jpg", "c.jpg")),
    ]
    assert "each row by itself" in found.described


def test_rows_that_are_numbered(table, tmp_path):
    found = table("id,file\n7,a.jpg\n\n,b.jpg|c.jpg\n8,\n9,d.jpg,x\n7,a.jpg\n", product="row")
    assert found.products == [
        PhotoProduct("1", ("a.jpg",)),
        PhotoProduct("2", ("b.jpg", "c.jpg")),
        PhotoProduct("3", ()),
        PhotoProduct("5", ("a.jpg",)),
    ]
    assert [one.reason for one in found.rejected] == [
        f"line 6 of {tmp_path}/p.csv has 3 cells, the header 2"
    ]
    assert "products by the number of their row" in found.described
    found = table("id,row,file\n7,x,a.jpg\n", product="row")
    assert found.products == [PhotoProduct("x", ("a.jpg",))]


def test_bad_rows_are_listed(table, tmp_path):
    found = table("id,image\n1,a,b\n ,b.jpg\n3\n4,c.jpg,,\n5,http://shop/d.jpg|e.jpg\n")
    assert found.products == [
        PhotoProduct("3", ()),
        PhotoProduct("4", ("c.jpg",)),
        PhotoProduct("5", ("e.jpg",)),
    ]
    assert found.rejected == [
        RejectedPhoto(None, None, f"line 2 of {tmp_path}/p.csv has 3 cells, the header 2"),
        RejectedPhoto(None, None, f"line 3 of {tmp_path}/p.csv names no product"),
        RejectedPhoto(
            "5", "http://shop/d.jpg", "it is an address; download the picture and name its file"
        ),
    ]


@pytest.mark.parametrize(
    ("text", "wanted", "message"),
    [
        ("", {}, "must have a header and rows. Received: an empty file"),
        ("id,price\n1,2\n", {}, "as --pictures=COLUMN,.* Received the columns: id, price[.]"),
        ("id,image\n", {"product": "nr"}, "--id must be a column.*: nr. The columns are: id, im"),
        ("id,image\n", {"photos": ("x",)}, "--pictures must be a column of .* Received: x"),
        ('id,image\n1,"a\n', {}, "The row at line 2 of .* quote that is opened must be closed"),
    ],
)
def test_tables_that_cannot_be_used(table, text, wanted, message):
    with pytest.raises(PhotoTableError, match=message):
        table(text, **wanted)


def test_a_workbook_is_named(table):
    with pytest.raises(WrongKindError, match="must be a CSV file. Received: a zip file. .*Excel"):
        table(b"PK\x03\x04 and so on")
