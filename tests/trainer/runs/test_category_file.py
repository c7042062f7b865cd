from trainer.runs.category_file import CategoryRow, path_beside, read_categories, write_categories

ROWS = (
    CategoryRow(3, 1000, 'A > x > "a", b', "head", 7, 4, 5, 3),
    CategoryRow(3, 1001, "A > y > é", "tail", 0, 0, 0, 0),
    CategoryRow(1, None, "A", None, None, 4, 5, 3),
)


def test_round_trip(tmp_path):
    path = path_beside(tmp_path / "train[80%:].json")
    assert path.name == "train[80%:].categories.csv"
    assert read_categories(path, "0" * 64) == ()  # there is none
    sha256 = write_categories(path, ROWS)
    assert read_categories(path, sha256) == ROWS


def test_a_changed_file_is_left_out_with_a_warning(tmp_path, caplog):
    path = tmp_path / "c.csv"
    sha256 = write_categories(path, ROWS)
    path.write_text(path.read_text().replace("1000", "1002"))
    assert read_categories(path, sha256) == ()
    assert "c.csv was changed, or belongs to another evaluation" in caplog.text


def test_columns(tmp_path):
    write_categories(tmp_path / "c.csv", ROWS)
    lines = (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == (
        "level,category_id,name,group,training_products,products,predicted,right,recall,precision"
    )
    assert lines[1:] == [
        '3,1000,"A > x > ""a"", b",head,7,4,5,3,0.75,0.6',
        "3,1001,A > y > é,tail,0,0,0,0,,",
        "1,,A,,,4,5,3,0.75,0.6",
    ]
