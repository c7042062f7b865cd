"""Whether files stay in memory, by what the system tells."""

import pytest

from cdisc_tfds.build.page_cache import stays_in_page_cache


@pytest.fixture
def root(tmp_path):
    """A machine with 8 GiB to give, in a container without a limit."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(
        "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n"
    )
    (tmp_path / "proc/self/cgroup").write_text("0::/job/build\n")
    for group in ("", "job", "job/build"):
        (tmp_path / "sys/fs/cgroup" / group).mkdir(parents=True, exist_ok=True)
    (tmp_path / "sys/fs/cgroup/job/build/memory.max").write_text("max\n")
    return tmp_path


def limit(root, group, most, used, files):
    folder = root / "sys/fs/cgroup" / group
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\nfile {files}\n")


def test_half_of_what_is_available(root):
    assert stays_in_page_cache(4 << 30, root)
    assert not stays_in_page_cache((4 << 30) + 1, root)


@pytest.mark.parametrize("group", ["", "job", "job/build"])
def test_every_limit_on_the_way_counts(root, group):
    """Less what is used by anything but files."""
    limit(root, group, most=3 << 30, used=2 << 30, files=1 << 30)
    assert stays_in_page_cache(1 << 30, root)
    assert not stays_in_page_cache((1 << 30) + 1, root)


def test_not_where_nobody_tells(tmp_path, root):
    (root / "proc/meminfo").unlink()
    assert not stays_in_page_cache(1, root)
    (root / "proc/meminfo").write_text("MemTotal: 5 kB\n")
    assert not stays_in_page_cache(1, root)


def test_no_control_groups(root):
    (root / "proc/self/cgroup").unlink()
    assert stays_in_page_cache(4 << 30, root)


def test_this_machine():
    assert not stays_in_page_cache(1 << 60)
