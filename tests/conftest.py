"""Fixtures that several test modules share: tiny pictures, a tiny competition, the shared data."""

from __future__ import annotations

import io
import os
import pathlib
import secrets
import signal
import subprocess

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell that starts the tests in the background, or nohup, has them ignore these signals.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import bson
import pytest
from PIL import Image

TEST_DATA_VARIABLE = "CDISCOUNT_TEST_DATA"
_BESIDE_REPOSITORY = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"

CATEGORY_NAMES = """\
category_id,category_level1,category_level2,category_level3
1000000010,MAISON,CUISINE,TASSE
1000000004,MAISON,CUISINE,"ASSIETTE, PLATE"
1000000007,SPORT,PROTECTION,CASQUE
1000000002,MAISON,PROTECTION,HOUSSE
1000000009,SPORT,BALLE,TENNIS
"""
CATEGORY_IDS = (1000000010, 1000000004, 1000000007, 1000000002, 1000000009)


def jpeg(shade: int = 0, size: tuple[int, int] = (16, 16)) -> bytes:
    """A picture of one colour that `shade` (any int) chooses, as a JPEG file."""
    colour = (shade * 37 % 256, shade * 91 % 256, shade * 53 % 256)
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


def product(product_id: int, category_id: int | None = None, pictures: int = 1) -> dict:
    """A document as in the competition's files; its pictures follow from its id."""
    imgs = [{"picture": jpeg(product_id * 4 + position)} for position in range(pictures)]
    document = {"_id": product_id, "imgs": imgs}
    if category_id is not None:
        document["category_id"] = category_id
    return document


def write_bson(path: pathlib.Path, documents: list[dict]) -> pathlib.Path:
    path.write_bytes(b"".join(map(bson.encode, documents)))
    return path


def write_competition(folder: pathlib.Path, train: int = 20, test: int = 6) -> pathlib.Path:
    """train.bson, test.bson and category_names.csv with 1 to 4 pictures a product."""
    (folder / "category_names.csv").write_text(CATEGORY_NAMES, encoding="utf-8")
    write_bson(
        folder / "train.bson",
        [product(3 * i, CATEGORY_IDS[i % 5], 1 + i % 4) for i in range(train)],
    )
    write_bson(folder / "test.bson", [product(3 * i + 1, None, 1 + i % 4) for i in range(test)])
    return folder


@pytest.fixture
def competition(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with the files of a tiny competition: 20 and 6 products in 5 categories."""
    folder = tmp_path / "manual"
    folder.mkdir()
    return write_competition(folder)


def shared_data(folder: str, *files: str) -> pathlib.Path:
    """A folder of real data with these files; skips the test where it is not at hand."""
    place = pathlib.Path(os.environ.get(TEST_DATA_VARIABLE) or _BESIDE_REPOSITORY) / folder
    if not all((place / name).is_file() for name in files):
        names = ", ".join(f"{folder}/{name}" for name in files)
        pytest.skip(f"needs {TEST_DATA_VARIABLE}: the path of a folder that holds {names}")
    return place


@pytest.fixture(scope="session")
def cdiscount_files() -> pathlib.Path:
    """The competition's own example file and categories."""
    return shared_data("cdiscount", "train_example.bson", "category_names.csv")


@pytest.fixture(scope="session")
def grocery_files() -> pathlib.Path:
    """Real photographs in the competition's formats."""
    return shared_data("grocery", "train.bson", "test.bson", "category_names.csv")


@pytest.fixture(scope="session")
def object_store(tmp_path_factory):
    """A bucket `gs://bucket` on loopback, which TensorFlow's own client talks to."""
    from tests.helpers import object_store

    with object_store.object_store(tmp_path_factory.mktemp("object_store")) as store:
        yield store


@pytest.fixture
def bucket(tmp_path, monkeypatch, object_store):
    """An empty folder of that bucket; its locks are quick."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    # A request may take long on a busy machine.
    return _empty_folder(f"gs://bucket/{tmp_path.name}", monkeypatch, beat=0.1, watch=10)


@pytest.fixture
def ram(tmp_path, monkeypatch):
    """An empty folder of TensorFlow's `ram://`; its locks are quick."""
    return _empty_folder(f"ram://{tmp_path.name}", monkeypatch, beat=0.02, watch=1)


@pytest.fixture(params=["ram", "bucket"])
def storage(request):
    """Each of them."""
    return request.getfixturevalue(request.param)


def _empty_folder(address, monkeypatch, *, beat, watch):
    from cdisc_tfds import storage_lock  # here, because it takes TFDS along
    from cdisc_tfds.storage import path_of

    monkeypatch.setattr(storage_lock, "TIMES", storage_lock.LockTimes(beat, watch, settle=0))
    folder = path_of(f"{address}-{secrets.token_hex(4)}")
    folder.mkdir()
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a tmpfs of some bytes; skips where that is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(num_bytes):
        words = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(place)]
        if os.geteuid() or subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("mounting a tmpfs needs root")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True, check=False)
