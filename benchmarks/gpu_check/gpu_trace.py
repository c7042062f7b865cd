"""How busy a GPU was, from a trace of `tf.profiler.experimental`.

The trace is a protocol buffer, `XSpace`
(https://github.com/openxla/xla/blob/main/third_party/tsl/tsl/profiler/protobuf/xplane.proto).
TensorFlow has no public function that reads it, so the few fields needed here are described with
protobuf's own public means. Unknown fields are skipped, as protobuf does with all messages.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "benchmarks_gpu_trace"
# Message: (name, number, type or message) of each field; a message ends with `[]` if repeated.
_MESSAGES: dict[str, tuple[tuple[str, int, Any], ...]] = {
    "Event": (
        ("metadata_id", 1, _Field.TYPE_INT64),
        ("offset_ps", 2, _Field.TYPE_INT64),
        ("duration_ps", 3, _Field.TYPE_INT64),
    ),
    "Line": (
        ("name", 2, _Field.TYPE_STRING),
        ("timestamp_ns", 3, _Field.TYPE_INT64),
        ("events", 4, "Event[]"),
    ),
    "EventMetadata": (("id", 1, _Field.TYPE_INT64), ("name", 2, _Field.TYPE_STRING)),
    # An entry of `map<int64, XEventMetadata>`, as it is on the wire.
    "MetadataEntry": (("key", 1, _Field.TYPE_INT64), ("value", 2, "EventMetadata")),
    "Plane": (
        ("name", 2, _Field.TYPE_STRING),
        ("lines", 3, "Line[]"),
        ("event_metadata", 4, "MetadataEntry[]"),
    ),
    "Space": (("planes", 1, "Plane[]"),),
}
# Lines that profilers add to those of the streams; they repeat or enclose the kernels.
_DERIVED = ("TensorFlow", "XLA", "Steps", "Source", "Framework", "Launch")
_COPIES = ("memcpy", "memset")


@dataclasses.dataclass(frozen=True)
class GpuTrace:
    """The work of the first GPU in a trace.

    Attributes:
      seconds: from the start of its first kernel to the end of its last.
      busy: seconds of them in which at least one kernel ran.
      kernels: number of kernels.
      copies_to_device, copies_to_host: numbers of copies.
    """

    seconds: float
    busy: float
    kernels: int
    copies_to_device: int
    copies_to_host: int

    @property
    def idle_share(self) -> float:
        """The share of the time in which no kernel ran; copies do not count as work."""
        return 1 - self.busy / self.seconds


def read_trace(folder: str | os.PathLike[str]) -> GpuTrace | None:
    """The first GPU's work in the trace below `folder`; None if the trace shows no GPU."""
    for path in sorted(pathlib.Path(folder).rglob("*.xplane.pb")):
        for plane in space_type().FromString(path.read_bytes()).planes:
            if plane.name.startswith("/device:GPU:"):
                trace = _of_plane(plane)
                if trace is not None:
                    return trace
    return None


def space_type() -> Any:
    """The class of the message `XSpace`, with the fields in `_MESSAGES`."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            described = message.field.add(name=field, number=number, label=_Field.LABEL_OPTIONAL)
            if isinstance(kind, str):
                described.type = _Field.TYPE_MESSAGE
                described.type_name = f".{_PACKAGE}.{kind.removesuffix('[]')}"
                if kind.endswith("[]"):
                    described.label = _Field.LABEL_REPEATED
            else:
                described.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Space"))


def _of_plane(plane: Any) -> GpuTrace | None:
    names = {entry.key: entry.value.name.lower() for entry in plane.event_metadata}
    kernels, copies = [], []
    for line in plane.lines:
        if line.name.startswith(_DERIVED):
            continue
        for event in line.events:
            name = names.get(event.metadata_id, "")
            start = line.timestamp_ns * 1000 + event.offset_ps
            if name.startswith(_COPIES):
                copies.append(name)
            else:
                kernels.append((start, start + event.duration_ps))
    if not kernels:
        return None
    begin, end = min(start for start, _ in kernels), max(end for _, end in kernels)
    if begin == end:
        return None
    return GpuTrace(
        (end - begin) / 1e12,
        _union(kernels) / 1e12,
        len(kernels),
        sum("h2d" in name for name in copies),
        sum("d2h" in name for name in copies),
    )


def _union(spans: Iterable[tuple[int, int]]) -> int:
    """The length of the union of (start, end) spans."""
    covered, reached = 0, 0
    for start, end in sorted(spans):
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered
