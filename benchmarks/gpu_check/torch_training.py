"""The section of a peer: PyTorch's `DataLoader` and torchvision's InceptionV3.

    python -m benchmarks.gpu_check.torch_training FOLDER BATCH_SIZE WORKERS SECONDS PRECISION

prints pictures/s. PyTorch may be in another Python than TensorFlow, so what is measured imports
neither TensorFlow nor the trainer.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

from PIL import Image

from benchmarks import peer_torch

ROOT = pathlib.Path(__file__).parents[2]
_PEER = "PyTorch DataLoader, torchvision's inception_v3"
_WARM_UP = 20


def measure(task: Any, report: Any) -> None:
    """A row: our rate on the pipeline against PyTorch's.

    Args:
      task: a `Task`.
      report: a `Report`.
    """
    from benchmarks.data import picture_files
    from benchmarks.gpu_check.keras_fit import peer_row
    from benchmarks.table import Row
    from cdisc_tfds.machine import num_cores

    what = task.pipeline_row
    if task.network != "inception":
        note = "not measured: of these networks, torchvision has InceptionV3 alone"
        report.row(Row("peer", what, _PEER, note=note))
        return
    if missing := _missing(task.torch_python):
        note = f"not measured: {missing} (--torch_python=PATH names a Python that has them)"
        report.row(Row("peer", what, _PEER, note=note))
        return
    folder = picture_files(task.settings, task.settings.products)
    width = Image.open(next(folder.rglob("*.jpg"))).width
    if width != task.settings.image_size:
        note = f"not measured: the files are {width} pixels wide, and the peer does not resize"
        report.row(Row("peer", what, _PEER, note=note))
        return
    arguments = [folder, task.batch_size, num_cores(), task.settings.seconds, task.precision]
    command = [task.torch_python, "-m", "benchmarks.gpu_check.torch_training", *arguments]
    answer = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        env=_environment(task.torch_python),
    )
    result = json.loads(answer.stdout.splitlines()[-1])
    note = f"PyTorch {result['torch']}, eager, on {result['device']}"
    report.row(peer_row(task, _PEER, result["rate"], note))


def _environment(python: str) -> dict[str, str]:
    """Without this Python's packages, which another Python cannot load."""
    if python == sys.executable:
        return dict(os.environ)
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _missing(python: str) -> str:
    """What that Python lacks; empty if it has PyTorch and torchvision."""
    code = "import torch, torchvision, PIL, numpy"
    try:
        answer = subprocess.run(
            [python, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env=_environment(python),
        )
    except OSError as error:
        return str(error)
    return answer.stderr.strip().splitlines()[-1] if answer.returncode else ""


class TorchTraining:
    """Trains torchvision's InceptionV3 on picture files, as PyTorch's documentation recommends.

    Channels last, automatic mixed precision, pinned memory, a worker a core; no auxiliary output,
    as in our network.

    Args:
      folder: contains one folder of pictures per class.
      batch_size: pictures per step.
      workers: number of the loader's processes.
      precision: key of `benchmarks.gpu_check.task.PRECISIONS`.
    """

    def __init__(self, folder: str, batch_size: int, workers: int, precision: str):
        import torch
        import torchvision

        self._torch, self._batch_size = torch, batch_size
        self.has_gpu = torch.cuda.is_available()
        self._device = torch.device("cuda" if self.has_gpu else "cpu")
        tf32 = precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        loader = torch.utils.data.DataLoader(
            peer_torch.PictureFiles(folder),
            batch_size=batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=True,
            pin_memory=self.has_gpu,
            drop_last=True,
        )
        self._stream = _endless(loader)
        next(self._stream)  # starts the workers, which are forked, before CUDA's threads exist
        classes = sum(1 for path in pathlib.Path(folder).iterdir() if path.is_dir())
        self._model = torchvision.models.inception_v3(
            weights=None, aux_logits=False, init_weights=False, num_classes=classes
        ).to(self._device, memory_format=torch.channels_last)
        self._optimizer = torch.optim.Adam(self._model.parameters(), fused=self.has_gpu)
        self._loss = torch.nn.CrossEntropyLoss()
        reduced = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}
        self._dtype = reduced.get(precision)
        is_half = precision == "mixed_float16"
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=is_half)

    def step(self) -> None:
        """Trains on the next batch."""
        torch, device = self._torch, self._device
        pictures, labels = next(self._stream)
        pictures = pictures.to(device, non_blocking=True).permute(0, 3, 1, 2)
        pictures = pictures.to(torch.float32).div_(127.5).sub_(1)
        labels = labels.to(device, non_blocking=True)
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, self._dtype, enabled=self._dtype is not None):
            loss = self._loss(self._model(pictures), labels)
        self._scaler.scale(loss).backward()
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def rate(self, seconds: float) -> float:
        """Pictures/s, after some steps of warm-up."""
        at_once = _WARM_UP if self.has_gpu else 1
        for _ in range(2 * at_once):
            self.step()
        self._wait()
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            for _ in range(at_once):
                self.step()
            steps += at_once
            self._wait()
        return steps * self._batch_size / (time.perf_counter() - start)

    def _wait(self) -> None:
        if self.has_gpu:
            self._torch.cuda.synchronize()


def _endless(loader: Any) -> Any:
    while True:
        yield from loader


def main(folder: str, batch_size: str, workers: str, seconds: str, precision: str) -> None:
    import torch

    training = TorchTraining(folder, int(batch_size), int(workers), precision)
    rate = training.rate(float(seconds))
    card = torch.cuda.get_device_name() if training.has_gpu else "the processor"
    print(json.dumps({"rate": rate, "torch": torch.__version__, "device": card}), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        from benchmarks.gpu_check.task import run_section

        run_section(measure)
    else:
        main(*sys.argv[1:])
