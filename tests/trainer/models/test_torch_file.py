import os

import numpy as np
import pytest

from tests.helpers.torch_files import MACHINE, Tensor, torch_bytes
from trainer.models.torch_file import TorchFileError, read_tensors

TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "conv.bias": np.array([0.5, -1.5], np.float32),
    "count": np.array(7, np.int64),
}


def _write(path, data):
    path.write_bytes(data)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def _refusal(path, data):
    with pytest.raises(TorchFileError) as error:
        read_tensors(_write(path, data))
    start = (
        "A .pth file must hold tensors by name, in the format of PyTorch before 1.6, and nothing "
        f"else. Received: {path}, which cannot be read as that ("
    )
    assert str(error.value).startswith(start)
    return str(error.value).removeprefix(start).removesuffix(").")


def test_tensors_are_read_with_their_shapes_and_types(path):
    read = read_tensors(_write(path, torch_bytes(TENSORS)))
    assert list(read) == list(TENSORS)
    for name, expected in TENSORS.items():
        np.testing.assert_array_equal(read[name], expected, strict=True)
        assert read[name].flags.c_contiguous


def test_a_tensor_in_another_order_of_memory_is_read_right(path):
    """TensorFlow's [h, w, in, out], seen as PyTorch's [out, in, h, w]."""
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5).transpose(3, 2, 0, 1)
    assert kernel.strides == (4, 20, 240, 80)
    read = read_tensors(_write(path, torch_bytes({"kernel": kernel})))
    np.testing.assert_array_equal(read["kernel"], kernel, strict=True)


class _Runs:
    """Pickles as a call of `os.mkdir`."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("place", ["among the tensors", "machine"])
def test_a_call_is_refused_and_not_run(tmp_path, path, place):
    folder = tmp_path / "made"
    call = _Runs(folder)
    data = torch_bytes(TENSORS, extra=call) if place != "machine" else torch_bytes({}, machine=call)
    assert _refusal(path, data) == f"it asks for {os.mkdir.__module__}.mkdir, which was not run"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (torch_bytes(TENSORS, extra=[1]), "'extra' is a list, not a tensor"),
        (torch_bytes(TENSORS, magic=5), "it does not begin as such a file does"),
        (
            torch_bytes(TENSORS, machine=MACHINE | {"little_endian": False}),
            "its numbers are not little-endian",
        ),
        (torch_bytes(TENSORS, sizes={"0": 23}), "a storage of 24 values has 23"),
        (torch_bytes(TENSORS, sizes={"0": -1}), "a storage of 24 values has -1"),
        (
            torch_bytes(TENSORS, keys=["0", "1"]),
            "its list of storages is not that of its tensors",
        ),
        (torch_bytes(TENSORS) + b"\0", "bytes follow its last tensor"),
        (torch_bytes(TENSORS)[:-1], "it ends within a tensor"),
        (b"PK\x03\x04 and so on", "it is a zip archive, as PyTorch 1.6 and later write"),
        (b"", "it is damaged: ValueError"),
        (b"\x89HDF\r\n\x1a\n and so on", "it is damaged: ValueError"),
        (torch_bytes({}, machine=1.5), "it has the operation BINFLOAT"),
        # Asks for a place in the memo that would take 64 GB.
        (b"\x80\x02Nr\xff\xff\xff\xff.", "it is damaged: a place in the memo that cannot be"),
    ],
)
def test_what_is_not_a_file_of_tensors_is_explained(path, data, reason):
    assert _refusal(path, data) == reason


@pytest.mark.parametrize(
    "view",
    [
        (0, (2, 13), (12, 1)),  # the last one is value 24
        (1, (24,), (1,)),
        (0, (25,), (0,)),  # more values than there are, all of them the first
        (0, (10**9, 10**9), (0, 0)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(path, view):
    data = torch_bytes({"x": np.zeros(24, np.float32)}, views={"x": view})
    assert _refusal(path, data) == "a tensor reaches beyond its storage"


@pytest.mark.parametrize("view", [(0, (24,), (1, 1)), (0, (-1,), (1,)), (0, [24], [1])])
def test_a_tensor_of_no_sensible_shape_is_refused(path, view):
    data = torch_bytes({"x": np.zeros(24, np.float32)}, views={"x": view})
    assert _refusal(path, data) == "it describes a tensor in an unknown way"


class _Changed:
    """Pickles as a tensor of one value that is changed to 1000 values afterwards."""

    def __reduce__(self):
        function, arguments = Tensor("0", np.zeros(1, np.float32)).__reduce__()
        return function, arguments, {"shape": (1000,), "strides": (1,)}


def test_a_tensor_that_is_changed_after_it_was_made_is_refused(path):
    data = torch_bytes({"x": np.zeros(1, np.float32)}, extra=_Changed())
    assert _refusal(path, data) == "a tensor reaches beyond its storage"


def test_a_part_of_a_storage_can_be_a_tensor(path):
    data = torch_bytes({"x": np.arange(24, dtype=np.float32)}, views={"x": (3, (2, 2), (10, 4))})
    np.testing.assert_array_equal(read_tensors(_write(path, data))["x"], [[3, 7], [13, 17]])


def test_any_cut_is_refused(path):
    data = torch_bytes(TENSORS)
    for length in range(len(data)):
        _refusal(path, data[:length])


def test_any_damage_is_refused_or_leaves_tensors(path):
    """A changed value cannot be told; what may not happen is any other error, or a call."""
    data = torch_bytes(TENSORS)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(1000):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        try:
            tensors = read_tensors(_write(path, bytes(damaged)))
        except TorchFileError:
            refused += 1
        else:
            assert all(isinstance(tensor, np.ndarray) for tensor in tensors.values())
    assert refused > 250
