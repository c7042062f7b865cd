"""One holder at a time, without locks and without comparing clocks."""

import json
import threading
import time

import pytest

from cdisc_tfds.storage_lock import LockTimes, locked_object

QUICK = LockTimes(beat=0.02, watch=0.4, settle=0.1)


class Held(Exception):
    pass


def test_a_holder_that_lives_keeps_others_out(ram):
    path = ram / "training.lock"
    with locked_object(path, Held(), QUICK):
        first = json.loads(path.read_text())
        with pytest.raises(Held), locked_object(path, Held(), QUICK):
            pass
        time.sleep(0.1)
        later = json.loads(path.read_text())
        assert later["token"] == first["token"] and later["beat"] > first["beat"]
    assert not path.exists()


def test_an_object_that_stays_the_same_was_left_behind(ram, caplog):
    path = ram / "training.lock"
    path.write_text('{"beat": 7}')
    began = time.monotonic()
    with locked_object(path, Held(), QUICK):
        assert time.monotonic() - began >= QUICK.watch
        assert "token" in json.loads(path.read_text())
    assert f"Watching {path} for 0 s" in caplog.text


def test_a_holder_that_ends_meanwhile_lets_the_next_one_in(ram):
    path = ram / "training.lock"
    path.write_text('{"beat": 7}')
    timer = threading.Timer(0.05, path.unlink)
    timer.start()
    began = time.monotonic()
    with locked_object(path, Held(), LockTimes(beat=0.02, watch=30, settle=0)):
        assert time.monotonic() - began < 10


def test_of_two_that_come_together_one_is_refused(ram):
    path, outcomes, start = ram / "training.lock", [], threading.Barrier(2)

    def hold():
        start.wait()
        try:
            with locked_object(path, Held(), QUICK):
                outcomes.append("held")
                time.sleep(0.3)
        except Held:
            outcomes.append("refused")

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused"]


def test_a_holder_that_was_taken_over_leaves_the_object(ram, caplog):
    path = ram / "training.lock"
    with locked_object(path, Held(), QUICK):
        path.write_text('{"token": "another"}')
        time.sleep(0.1)
    assert json.loads(path.read_text()) == {"token": "another"}
    assert f"{path} was taken over by another process" in caplog.text
