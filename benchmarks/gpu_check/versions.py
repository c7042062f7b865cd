"""The section `versions`: hardware and libraries that the figures depend on."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
from typing import Any

import tensorflow as tf

from benchmarks.gpu_check.task import Report, Task, run_section
from cdisc_tfds.machine import num_cores

_LIBRARIES = ("keras", "numpy", "tensorflow-datasets", "pillow", "torch")
_DALI = "nvidia-dali-cuda"


def measure(task: Task, report: Report) -> None:
    """Facts: `gpus` (may be empty), `machine`, `libraries`, `devices`."""
    gpus = tf.config.list_physical_devices("GPU")
    report.facts(
        gpus=[_gpu(gpu) for gpu in gpus],
        machine={
            "cores": num_cores(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "processor": _processor(),
            "platform": platform.platform(),
            "nvidia_smi": _nvidia_smi(),
        },
        libraries=_libraries(),
        devices=[device.name for device in tf.config.list_logical_devices()],
    )


def _gpu(gpu: tf.config.PhysicalDevice) -> dict[str, Any]:
    details = tf.config.experimental.get_device_details(gpu)
    capability = details.get("compute_capability")
    return {
        "name": details.get("device_name", gpu.name),
        "compute_capability": None if capability is None else ".".join(map(str, capability)),
    }


def _libraries() -> dict[str, str | None]:
    build = tf.sysconfig.get_build_info()
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "tensorflow was built with CUDA": build.get("cuda_version"),
        "tensorflow was built with cuDNN": build.get("cudnn_version"),
    }
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    dali = [one for one in importlib.metadata.distributions() if _is_dali(one)]
    found["dali"] = f"{dali[0].metadata['Name']} {dali[0].version}" if dali else None
    return found


def _is_dali(distribution: importlib.metadata.Distribution) -> bool:
    return (distribution.metadata["Name"] or "").lower().startswith(_DALI)


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _nvidia_smi() -> str | None:
    """Name, driver, memory and power limit of each GPU, from NVIDIA's own tool, if it is here."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = "--query-gpu=name,driver_version,memory.total,power.limit"
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return (answer.stdout or answer.stderr).strip()


if __name__ == "__main__":
    run_section(measure)
