import pytest

from cdisc_tfds.whole_files import whole_file, write_json
from tests.helpers.small_data import CSV, small_config
from trainer.data.label_map import LabelMapError
from trainer.runs.folder import RunFolder, RunFolderError


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="disk"), whole_file(path, "w") as file:
        file.write("new")
        raise RuntimeError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with whole_file(path, "w") as file:
        file.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(RunFolderError, match="Received: .*none, which does not exist"):
        RunFolder(tmp_path / "none").require()
    with pytest.raises(RunFolderError, match="which has none"):
        RunFolder(tmp_path).require()


def test_a_run_without_a_checkpoint_says_how_to_go_on(tmp_path):
    with pytest.raises(RunFolderError, match="Start `python -m trainer.main` again with the same"):
        _ = RunFolder(tmp_path).state


def test_a_folder_whose_own_files_disagree_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    run.config_path.write_text(small_config().to_json())
    run.categories_path.write_text(CSV)
    write_json(run.label_map_path, {"digest": "of another file"})
    with pytest.raises(
        LabelMapError, match=r"category_names.csv is not the file that this run was trained with"
    ):
        _ = run.label_map


def test_history_is_empty_before_the_first_epoch(tmp_path):
    run = RunFolder(tmp_path)
    assert run.history == ()
