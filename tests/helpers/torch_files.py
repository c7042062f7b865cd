"""Writes files as PyTorch before 1.6 did, without PyTorch."""

from __future__ import annotations

import collections
import io
import pickle
import sys
import types
from unittest import mock

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}


def rebuild(*arguments):
    """Stands for `torch._utils._rebuild_tensor_v2`: only its name is written."""


class FloatStorage:
    """Stands for `torch.FloatStorage`: only its name is written."""


class LongStorage:
    """Stands for `torch.LongStorage`."""


def _fake_torch() -> dict[str, types.ModuleType]:
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage, torch.LongStorage, torch._utils = FloatStorage, LongStorage, utils
    for storage in (FloatStorage, LongStorage):
        storage.__module__ = "torch"
    utils._rebuild_tensor_v2 = rebuild
    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    rebuild.__name__ = "_rebuild_tensor_v2"
    return {"torch": torch, "torch._utils": utils}


class Tensor:
    """An array as PyTorch pickles it; `view` is (offset, shape, strides), else the array's own."""

    def __init__(self, key: str, array: np.ndarray, view: tuple | None = None):
        self.key, self.array = key, array
        strides = tuple(stride // array.itemsize for stride in array.strides)
        self.view = (*(view or (0, array.shape, strides)), False, collections.OrderedDict())

    def __reduce__(self):
        return rebuild, (_Reference(self.key, self.array), *self.view)


class _Reference:
    def __init__(self, key: str, array: np.ndarray):
        kind = LongStorage if array.dtype == np.int64 else FloatStorage
        self.pid = ("storage", kind, key, "cpu", array.size, None)


class _Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.pid if isinstance(value, _Reference) else None


def torch_bytes(tensors: dict[str, np.ndarray], *, extra: object = None, **changes) -> bytes:
    """A file of these arrays, float32 or int64.

    Args:
      tensors: name -> array; one in another than C order is written as it lies in memory.
      extra: one more value, under the name `extra`.
      changes: `magic`, `machine`, `keys`, `sizes` (key -> the number of values to claim), `views`
        (name -> the offset, shape and strides to claim, in values).
    """
    views = changes.get("views", {})
    state: dict[str, object] = collections.OrderedDict(
        (name, Tensor(str(key), array, views.get(name)))
        for key, (name, array) in enumerate(tensors.items())
    )
    if extra is not None:
        state["extra"] = extra
    file = io.BytesIO()
    keys = [str(key) for key in range(len(tensors))]
    with mock.patch.dict(sys.modules, _fake_torch()):
        for value in (changes.get("magic", MAGIC), 1001, changes.get("machine", MACHINE), state):
            _Pickler(file, 2).dump(value)
    pickle.dump(changes.get("keys", keys), file, 2)
    for key, array in zip(keys, tensors.values(), strict=True):
        size = changes.get("sizes", {}).get(key, array.size)
        # As it lies in memory: the axis with the longest stride first.
        order = np.argsort(array.strides, kind="stable")[::-1]
        file.write(np.int64(size).tobytes() + array.transpose(order).tobytes())
    return file.getvalue()
