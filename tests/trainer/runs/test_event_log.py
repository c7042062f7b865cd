import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_data import small_config
from trainer.runs import event_log
from trainer.runs.event_log import EventFileError, EventLog, picture_grid


def _points(folder, tag):
    """(step, value) of a scalar, in the order of the files' times and numbers."""
    points = []
    # events.out.tfevents.TIME.HOST.PROCESS.NUMBER.v2
    files = folder.glob("events.out.tfevents.*")
    for path in sorted(files, key=lambda path: [int(path.name.split(".")[i]) for i in (3, -2)]):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag == tag:
                    points.append((event.step, float(tf.make_ndarray(value.tensor))))
    return points


@pytest.mark.parametrize("place", ["tmp_path", "ram"])
def test_a_resumed_log_has_no_gap_and_no_doubled_point(place, request):
    folder = request.getfixturevalue(place)
    log = EventLog(folder)
    for step in (1, 2):
        log.scalars("train", {"loss": step / 2}, step)
    committed = log.commit()
    log.scalars("train", {"loss": 1.5}, 3)
    log.commit()  # written, but the process is killed before the checkpoint names it
    log.close()
    log = EventLog(folder, committed)
    for step in (3, 4):
        log.scalars("train", {"loss": step / 2}, step)
    log.commit()
    log.close()
    assert _points(folder / "train", "loss") == [(1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0)]


def test_files_of_a_killed_process_that_no_checkpoint_names_are_deleted(tmp_path):
    log = EventLog(tmp_path)
    log.scalars("validation", {"epoch_loss": 1.0}, 0)
    log.commit()
    log.close()
    EventLog(tmp_path, {})
    assert not list(tmp_path.rglob("events.*"))


def test_points_appear_at_the_commit(tmp_path):
    log = EventLog(tmp_path)
    log.scalars("train", {"loss": 1.0}, 1)
    assert not list(tmp_path.rglob("events.*"))
    committed = log.commit()
    (path,) = tmp_path.rglob("events.*")
    assert committed == {str(path.relative_to(tmp_path)): path.stat().st_size}
    log.close()


def test_hparams_and_pictures_are_written(tmp_path):
    log = EventLog(tmp_path)
    log.hparams(small_config())
    log.pictures("input pictures", np.zeros([3, 8, 8, 3], np.uint8))
    log.commit()
    log.close()
    tags = set()
    for path in tmp_path.rglob("events.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            tags |= {v.tag for v in tf.compat.v1.Event.FromString(record.numpy()).summary.value}
    assert {"input pictures", "_hparams_/session_start_info", "_hparams_/experiment"} <= tags


@pytest.mark.parametrize(("count", "shape"), [(1, (5, 5, 3)), (3, (14, 14, 3)), (25, (41, 41, 3))])
def test_picture_grid_is_square_and_white_where_empty(count, shape):
    grid = picture_grid(np.zeros([count, 5, 5, 3], np.uint8))
    assert grid.shape == shape
    if count == 3:
        assert (grid[9:, 9:] == 255).all() and (grid[9:, :5] == 0).all()


def test_points_that_a_full_disk_swallowed_are_missed(tmp_path, monkeypatch):
    """TensorFlow's writer drops what does not fit, and says nothing."""
    log = EventLog(tmp_path)
    log.scalars("train", {"loss": 1.0}, 1)
    size = log.commit()
    (name,) = size
    log.scalars("train", {"loss": 2.0, "accuracy": 0.5}, 2)
    with (
        monkeypatch.context() as patch,
        pytest.raises(EventFileError, match=r"0 of 2 records. Make room"),
    ):
        patch.setattr(type(log._writers["train"]), "flush", lambda self: None)
        log.commit()

    log = EventLog(tmp_path, size)
    log.scalars("train", {"loss": 2.0}, 2)
    log.commit()
    path = sorted(tmp_path.rglob("events.out.tfevents.*"))[-1]
    with open(path, "rb+") as file:
        file.truncate(path.stat().st_size - 3)
    with pytest.raises(
        EventFileError, match=r"a last record that is cut off at byte \d+. Make room"
    ):
        event_log._count_whole(path, 0)


def test_a_folder_that_takes_no_event_file_is_named(tmp_path):
    (tmp_path / "train").write_text("a file where the folder must be")
    log = EventLog(tmp_path)
    log.scalars("train", {"loss": 1.0}, 1)
    with pytest.raises(EventFileError, match=r"train must hold every point. Received: .*Not a dir"):
        log.commit()
