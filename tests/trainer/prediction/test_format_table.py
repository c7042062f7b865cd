import pytest

from trainer.prediction import format_table
from trainer.prediction.format_table import FormatOptions
from trainer.terminal.option import OptionError


def test_a_saved_model_needs_no_packages():
    assert FormatOptions().file_format is None


@pytest.mark.parametrize("name", ["saved_model", "onnx"])
def test_integers_are_for_litert(name):
    with pytest.raises(OptionError, match=f"--int8 is for --format=litert.*--format={name}"):
        _ = FormatOptions(format=name, int8=True).file_format


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(
        format_table.importlib.util, "find_spec", lambda name: None if name != "onnx" else name
    )
    with pytest.raises(OptionError, match=r"not installed: tf2onnx, onnxruntime\. .*\[formats\]"):
        _ = FormatOptions(format="onnx").file_format
    with pytest.raises(OptionError, match="not installed: ai-edge-litert"):
        _ = FormatOptions(format="litert", int8=True).file_format


def test_a_format_with_its_packages(monkeypatch):
    monkeypatch.setattr(format_table.importlib.util, "find_spec", lambda name: name)
    assert FormatOptions(format="onnx").file_format.file == "model.onnx"
    assert FormatOptions(format="litert", int8=True).file_format.file == "model.tflite"
