"""Reads the tensors of a `.pth` file without PyTorch, and without running what it may contain.

PyTorch before 1.6 wrote five pickles (a magic number, the protocol's version, facts about the
machine, the tensors by name, the keys of their storages), then for each key the number of values
(int64) and the values themselves
(https://github.com/pytorch/pytorch/blob/v1.5.0/torch/serialization.py, `_legacy_save`). A pickle
can name any function to be called. This reader knows the few names that a file of weights needs,
and refuses the rest.
"""

from __future__ import annotations

import collections
import dataclasses
import io
import math
import os
import pathlib
import pickle
import pickletools
from typing import Any

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_ZIP_START = b"PK\x03\x04"
_DTYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}
_COUNT_BYTES = 8
# What PyTorch's pickles of protocol 2 consist of.
_OPERATIONS = {
    *("PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BUILD", "BINPERSID", "BINUNICODE"),
    *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
}


class TorchFileError(ValueError):
    """A file that is not a legacy PyTorch file of tensors, or is damaged."""


class _Refused(Exception):
    """The file holds something that a file of tensors does not hold."""


@dataclasses.dataclass(frozen=True)
class _Storage:
    """A run of values of one type, which tensors are views of."""

    key: str
    dtype: np.dtype[Any]
    size: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A view of a storage; `offset` and `strides` count values, as in PyTorch.

    Nothing is verified yet: a pickle may change an object after it was made.
    """

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, values: np.ndarray) -> np.ndarray:
        """A copy of the view, in C order. The strides are often not: TensorFlow wrote the values
        in the order [h, w, in, out], and PyTorch kept it."""
        offset, shape, strides = self.offset, self.shape, self.strides
        if not (
            isinstance(shape, tuple)
            and isinstance(strides, tuple)
            and len(shape) == len(strides)
            and all(map(_is_count, (offset, *shape, *strides)))
        ):
            raise _Refused("it describes a tensor in an unknown way")
        size = math.prod(shape)
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if size > values.size or (size and last >= values.size):
            raise _Refused("a tensor reaches beyond its storage")
        view = np.lib.stride_tricks.as_strided(
            values[offset:],
            shape,
            [stride * values.itemsize for stride in strides],
            writeable=False,
        )
        return np.array(view, order="C")


def read_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict: name -> float32 or int64 array.

    Raises:
      TorchFileError: if it is of another kind, damaged, or holds more than tensors by name.
      OSError: if it cannot be read.
    """
    path = pathlib.Path(path)
    data = path.read_bytes()
    try:
        return _read(io.BytesIO(data), len(data))
    except _Refused as error:
        raise _error(path, str(error)) from None
    except Exception as error:  # a damaged pickle raises errors of nearly every kind
        raise _error(path, f"it is damaged: {type(error).__name__}") from error


def _error(path: pathlib.Path, reason: str) -> TorchFileError:
    return TorchFileError(
        "A .pth file must hold tensors by name, in the format of PyTorch before 1.6, and nothing "
        f"else. Received: {path}, which cannot be read as that ({reason})."
    )


def _read(file: io.BytesIO, size: int) -> dict[str, np.ndarray]:
    if file.getbuffer()[: len(_ZIP_START)] == _ZIP_START:
        raise _Refused("it is a zip archive, as PyTorch 1.6 and later write")
    magic, protocol, machine = (_Unpickler(file).load() for _ in range(3))
    if magic != _MAGIC or protocol != _PROTOCOL:
        raise _Refused("it does not begin as such a file does")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _Refused("its numbers are not little-endian")
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    _require_tensors(tensors)
    keys = _Unpickler(file).load()
    storages = unpickler.storages
    if not isinstance(keys, list) or sorted(keys) != sorted(storages):
        raise _Refused("its list of storages is not that of its tensors")
    values = {key: _read_storage(file, storages[key], size) for key in keys}
    if file.read(1):
        raise _Refused("bytes follow its last tensor")
    return {name: tensor.of(values[tensor.storage.key]) for name, tensor in tensors.items()}


def _require_tensors(tensors: Any) -> None:
    if not isinstance(tensors, dict):
        raise _Refused(f"it holds a {type(tensors).__name__}, not tensors by name")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise _Refused(f"{name!r} is a {type(tensor).__name__}, not a tensor")


def _read_storage(file: io.BytesIO, storage: _Storage, file_size: int) -> np.ndarray:
    count = int.from_bytes(_read_bytes(file, _COUNT_BYTES, file_size), "little", signed=True)
    if count != storage.size:
        raise _Refused(f"a storage of {storage.size} values has {count}")
    data = _read_bytes(file, count * storage.dtype.itemsize, file_size)
    return np.frombuffer(data, storage.dtype)


def _read_bytes(file: io.BytesIO, count: int, file_size: int) -> bytes:
    if count > file_size - file.tell():
        raise _Refused("it ends within a tensor")
    return file.read(count)


class _Unpickler(pickle.Unpickler):
    """Knows only what a file of tensors needs; see "Restricting Globals" in Python's `pickle`.

    Attributes:
      storages: key -> the storages that the pickle refers to.
    """

    def __init__(self, file: io.BytesIO):
        _require_known_operations(file)
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return name
        raise _Refused(f"it asks for {module}.{name}, which was not run")

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that ("storage", type, key, device, size, view) stands for."""
        kind, dtype, key, _, size, view = pid
        if kind != "storage" or dtype not in _DTYPES or view is not None:
            raise _Refused("it refers to something other than a storage")
        if not isinstance(key, str) or not _is_count(size):
            raise _Refused("it refers to a storage in an unknown way")
        storage = _Storage(key, _DTYPES[dtype], size)
        if self.storages.setdefault(key, storage) != storage:
            raise _Refused("two of its tensors disagree about their storage")
        return storage


def _require_known_operations(file: io.BytesIO) -> None:
    """Scans the next pickle before anything is done with it; leaves the file where it was.

    A number of a few bytes could otherwise make Python reserve gigabytes for its memo.
    """
    start = file.tell()
    for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if operation.name not in _OPERATIONS:
            raise _Refused(f"it has the operation {operation.name}")
        if operation.name.endswith("BINPUT") and isinstance(argument, int) and argument > count:
            raise _Refused("it is damaged: a place in the memo that cannot be")
    file.seek(start)


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    """Stands in for `torch._utils._rebuild_tensor_v2`; gradients and hooks are left out."""
    return _Tensor(storage, offset, shape, strides)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
