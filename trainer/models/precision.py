"""Chooses the fastest arithmetic for the hardware of this machine."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping

PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")

# Lowest compute capabilities whose tensor cores multiply the format
# (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capabilities).
_GPU_BFLOAT16 = (8, 0)
_GPU_FLOAT16 = (7, 0)

# Instruction sets that multiply bfloat16, as /proc/cpuinfo names them, and whose processors train
# faster with it; None: of all makers. On two cores, `cnn` and `inception` trained 1.39 and 1.30
# times as fast as in float32 on an AMD EPYC, but 0.81 and 0.60 times on an Intel Xeon without AMX.
_CPU_BFLOAT16 = {"amx_bf16": None, "avx512_bf16": "AuthenticAMD"}


class PrecisionError(ValueError):
    """A precision that does not exist."""


@dataclasses.dataclass(frozen=True)
class Hardware:
    """The hardware to choose for.

    Attributes:
      gpus: compute capability of each, None if unknown.
      cpu_flags: instruction sets, as /proc/cpuinfo names them.
      cpu_vendor: maker of the processor, as /proc/cpuinfo names it.
      onednn: whether TensorFlow uses oneDNN, which has the fast operations.
    """

    gpus: tuple[tuple[int, int] | None, ...] = ()
    cpu_flags: frozenset[str] = frozenset()
    cpu_vendor: str = ""
    onednn: bool = True


def detect_hardware(
    cpuinfo: str | os.PathLike[str] = "/proc/cpuinfo",
    environ: Mapping[str, str] = os.environ,
) -> Hardware:
    """Gets the GPUs from TensorFlow and the CPU flags from Linux; other systems give no flags."""
    import tensorflow as tf  # takes a second or more; only `auto` needs it

    gpus = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    processor = _first_processor(cpuinfo)
    return Hardware(
        tuple(gpus),
        frozenset(processor.get("flags", "").split()),
        processor.get("vendor_id", ""),
        environ.get("TF_ENABLE_ONEDNN_OPTS") != "0",
    )


def _first_processor(cpuinfo: str | os.PathLike[str]) -> dict[str, str]:
    """What /proc/cpuinfo says of the first core."""
    path = pathlib.Path(cpuinfo)
    if not path.exists():  # not Linux
        return {}
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def resolve_precision(
    requested: str = "auto", hardware: Hardware | None = None, *, depthwise: bool = False
) -> str:
    """The dtype policy to train under: `requested`, or for `auto` the fastest on this hardware.

    Args:
      requested: one of `PRECISIONS`.
      hardware: the hardware, for `auto`; None: this machine's.
      depthwise: `ModelEntry.depthwise` of the network.

    Raises:
      PrecisionError: if there is no such precision.
    """
    return _choose(requested, hardware, depthwise)[0]


def describe(
    requested: str = "auto", hardware: Hardware | None = None, *, depthwise: bool = False
) -> str:
    """One line for the log: the policy and why. Arguments as in `resolve_precision`."""
    policy, reason = _choose(requested, hardware, depthwise)
    return f"{policy} ({reason})"


def _choose(requested: str, hardware: Hardware | None, depthwise: bool) -> tuple[str, str]:
    if requested not in PRECISIONS:
        raise PrecisionError(
            f"`precision` must be one of {', '.join(PRECISIONS)}. Received: {requested!r}."
        )
    if requested != "auto":
        return requested, "as asked"
    hardware = hardware or detect_hardware()
    if hardware.gpus:
        return _choose_for_gpus(hardware.gpus)
    if depthwise:
        return "float32", "processors are slow at depthwise convolutions of 16-bit floats"
    there = [flag for flag in _CPU_BFLOAT16 if flag in hardware.cpu_flags]
    for flag in there:
        if _CPU_BFLOAT16[flag] not in (None, hardware.cpu_vendor):
            continue
        if hardware.onednn:
            return "mixed_bfloat16", f"the processor has {flag}"
        return "float32", f"the processor has {flag}, but TF_ENABLE_ONEDNN_OPTS=0 forbids it"
    if there:
        return "float32", f"the processor has {there[0]}, but is faster without"
    return "float32", "the processor computes no 16-bit floats"


def _choose_for_gpus(gpus: tuple[tuple[int, int] | None, ...]) -> tuple[str, str]:
    known = [capability for capability in gpus if capability is not None]
    if len(known) < len(gpus):
        return "float32", "the GPU's compute capability is not known"
    oldest = min(known)  # every step uses all of them
    found = f"GPU of compute capability {oldest[0]}.{oldest[1]}"
    if oldest >= _GPU_BFLOAT16:
        return "mixed_bfloat16", found
    if oldest >= _GPU_FLOAT16:
        return "mixed_float16", found
    return "float32", found
