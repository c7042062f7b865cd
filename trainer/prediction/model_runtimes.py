"""Runs exported files on one thread of the processor, as their users would."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.prediction.picture_network import INPUT, OUTPUT
from trainer.terminal.hidden_output import hidden_stderr

# uint8 [b, s, s, 3] -> float32 [b, classes]
Runtime = Callable[[np.ndarray], np.ndarray]


def open_onnx(path: str | os.PathLike[str]) -> Runtime:
    """ONNX Runtime on a file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        os.fspath(path), options, providers=["CPUExecutionProvider"]
    )

    def predict(pictures: np.ndarray) -> Any:
        return session.run([OUTPUT], {INPUT: pictures})[0]

    return predict


def open_litert(path: str | os.PathLike[str]) -> Runtime:
    """LiteRT's interpreter on a file."""
    from ai_edge_litert.interpreter import Interpreter

    with hidden_stderr():  # it says that it uses XNNPACK
        interpreter = Interpreter(model_path=os.fspath(path), num_threads=1)
        interpreter.allocate_tensors()
    signature = interpreter.get_signature_runner()

    def predict(pictures: np.ndarray) -> Any:
        return signature(**{INPUT: pictures})[OUTPUT]

    return predict


RUNTIMES: dict[str, Callable[[str | os.PathLike[str]], Runtime]] = {
    "onnx": open_onnx,
    "litert": open_litert,
}
