"""Fresh processes that import little, report errors, and end with the build."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys

import psutil
import pytest

from cdisc_tfds.build.processes import Pool

ROOT = pathlib.Path(__file__).resolve().parents[3]


def start(script):
    return subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_one_process_is_this_one():
    with Pool(1) as pool:
        future = pool.submit(os.path.abspath, "x")
        assert not future.done()  # nothing is done before it is asked for
        assert future.result() == os.path.abspath("x")


def test_errors_come_back(tmp_path):
    with Pool(2) as pool, pytest.raises(FileNotFoundError):
        pool.submit(os.stat, str(tmp_path / "nothing")).result()


def test_processes_import_neither_tensorflow_nor_the_script_again(tmp_path):
    """A user's plain script has no `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from cdisc_tfds.build.processes import Pool\n"
        "print('once')\n"
        "check = '''import sys, cdisc_tfds.build.sorted_parts\n"
        "assert not {'tensorflow', 'tensorflow_datasets'} & set(sys.modules)'''\n"
        "with Pool(2) as pool:\n"
        "    assert pool.submit(exec, check).result() is None\n"
        "assert sys.modules['__main__'].check is check\n"
        "assert 'CDISCOUNT_BUILD_WORKER' not in os.environ\n"
        "import cdisc_tfds; cdisc_tfds.Builder\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.fspath(ROOT)}
    result = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stdout) == (0, "once\n"), result.stderr


def test_processes_end_when_the_build_is_killed():
    process = start(
        "import os, time\n"
        "from cdisc_tfds.build.processes import Pool\n"
        "with Pool(2) as pool:\n"
        "    pool.submit(os.path.abspath, 'x').result()\n"
        "    pool.submit(time.sleep, 100)\n"
        "    pool.submit(time.sleep, 100)\n"
        "    print('started', flush=True)\n"
        "    time.sleep(100)\n"
    )
    assert process.stdout.readline() == "started\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def test_without_shared_memory_the_build_uses_one_process(monkeypatch, caplog):
    def refuse(*arguments, **keywords):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", refuse)
    with Pool(4) as pool:
        assert pool.num_processes == 1
        assert pool.submit(os.path.basename, "a/b").result() == "b"
    assert "Several processes need shared memory (/dev/shm)" in caplog.text
