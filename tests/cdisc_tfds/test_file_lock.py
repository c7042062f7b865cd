"""One holder at a time, and a file that can be removed while others wait for it."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from cdisc_tfds.file_lock import locked


class Held(Exception):
    pass


def test_one_holder_at_a_time(tmp_path):
    path = tmp_path / "lock"
    with locked(path, Held()):
        with pytest.raises(Held), locked(path, Held()):
            pass
        assert path.exists()  # the refused one did not remove it
    assert not path.exists()
    with locked(path, Held()):
        pass


def test_the_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "lock"
    code = f"""
import os
from cdisc_tfds.file_lock import locked
with locked({str(path)!r}, KeyError()):
    os._exit(0)
"""
    environment = {**os.environ, "CDISCOUNT_BUILD_WORKER": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert path.exists()  # left behind, not locked
    with locked(path, Held()):
        pass


def test_a_file_that_was_removed_meanwhile_is_not_the_lock(tmp_path, monkeypatch):
    """Else two could hold it: one the removed file, and one the new one."""
    path = tmp_path / "lock"
    flock, calls = fcntl.flock, []

    def removed_before_it_is_locked(file, operation):
        if not calls:
            os.unlink(path)
        calls.append(file)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before_it_is_locked)
    with locked(path, Held()):
        assert len(calls) == 2
        with pytest.raises(Held), locked(path, Held()):
            pass


def test_who_ends_first_leaves_the_lock_of_the_next_one(tmp_path):
    path = tmp_path / "lock"
    first = locked(path, Held())
    first.__enter__()
    path.unlink()
    with locked(path, Held()):
        first.__exit__(None, None, None)
        with pytest.raises(Held), locked(path, Held()):
            pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, caplog, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "lock", Held()):
        pass
    assert "has no locks" in caplog.text


def test_other_errors_are_told(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fails)
    with pytest.raises(OSError, match="Input/output"), locked(tmp_path / "lock", Held()):
        pass
