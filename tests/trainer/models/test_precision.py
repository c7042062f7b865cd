import pytest

from trainer.models.precision import (
    PRECISIONS,
    Hardware,
    PrecisionError,
    describe,
    detect_hardware,
    resolve_precision,
)

A100, V100, PASCAL = (8, 0), (7, 0), (6, 1)


@pytest.mark.parametrize(
    ("hardware", "line"),
    [
        (Hardware(), "float32 (the processor computes no 16-bit floats)"),
        (
            Hardware(cpu_flags=frozenset({"avx512f", "avx2"})),
            "float32 (the processor computes no 16-bit floats)",
        ),
        (
            Hardware(cpu_flags=frozenset({"avx512_bf16"}), cpu_vendor="AuthenticAMD"),
            "mixed_bfloat16 (the processor has avx512_bf16)",
        ),
        (
            Hardware(cpu_flags=frozenset({"avx512_bf16"}), cpu_vendor="GenuineIntel"),
            "float32 (the processor has avx512_bf16, but is faster without)",
        ),
        (
            Hardware(cpu_flags=frozenset({"amx_bf16", "avx512_bf16"})),
            "mixed_bfloat16 (the processor has amx_bf16)",
        ),
        (
            Hardware(cpu_flags=frozenset({"avx512_bf16"}), cpu_vendor="AuthenticAMD", onednn=False),
            "float32 (the processor has avx512_bf16, but TF_ENABLE_ONEDNN_OPTS=0 forbids it)",
        ),
        (Hardware(gpus=(A100,)), "mixed_bfloat16 (GPU of compute capability 8.0)"),
        (Hardware(gpus=((9, 0),)), "mixed_bfloat16 (GPU of compute capability 9.0)"),
        (Hardware(gpus=(V100,)), "mixed_float16 (GPU of compute capability 7.0)"),
        (Hardware(gpus=(A100, V100)), "mixed_float16 (GPU of compute capability 7.0)"),
        # The GPU decides, whatever the processor can do.
        (
            Hardware(gpus=(PASCAL,), cpu_flags=frozenset({"avx512_bf16"})),
            "float32 (GPU of compute capability 6.1)",
        ),
        (Hardware(gpus=(A100, None)), "float32 (the GPU's compute capability is not known)"),
    ],
)
def test_auto_takes_what_the_hardware_computes(hardware, line):
    assert describe("auto", hardware) == line
    assert resolve_precision("auto", hardware) == line.split()[0]


def test_depthwise_networks_stay_in_float32_on_processors():
    hardware = Hardware(cpu_flags=frozenset({"amx_bf16", "avx512_bf16"}))
    assert describe("auto", hardware, depthwise=True) == (
        "float32 (processors are slow at depthwise convolutions of 16-bit floats)"
    )
    assert resolve_precision("mixed_bfloat16", hardware, depthwise=True) == "mixed_bfloat16"
    assert resolve_precision("auto", Hardware(gpus=(A100,)), depthwise=True) == "mixed_bfloat16"


@pytest.mark.parametrize("requested", [name for name in PRECISIONS if name != "auto"])
def test_a_request_is_kept_on_any_hardware(requested):
    assert resolve_precision(requested, Hardware()) == requested
    assert resolve_precision(requested, Hardware(gpus=(A100,))) == requested
    assert describe(requested, Hardware()) == f"{requested} (as asked)"


def test_unknown_precisions_are_refused():
    with pytest.raises(
        PrecisionError,
        match="`precision` must be one of auto, float32, mixed_float16, mixed_bfloat16. Received: "
        "'float8'",
    ):
        resolve_precision("float8")


def test_the_processors_flags_and_maker_are_read(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: X flags\n"
        "flags\t\t: fpu avx2 avx512_bf16\nbugs\t\t: spectre_v1\nprocessor\t: 1\nflags\t\t: fpu\n"
    )
    found = detect_hardware(cpuinfo)
    assert found.cpu_flags == {"fpu", "avx2", "avx512_bf16"}
    assert found.cpu_vendor == "AuthenticAMD"
    for path in (tmp_path / "not_linux", cpuinfo):
        cpuinfo.write_text("processor\t: 0\n")
        found = detect_hardware(path)
        assert (found.cpu_flags, found.cpu_vendor) == (frozenset(), "")


@pytest.mark.parametrize(
    ("environ", "onednn"), [({}, True), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, False)]
)
def test_onednn_can_be_switched_off_by_the_environment(tmp_path, environ, onednn):
    assert detect_hardware(tmp_path / "none", environ).onednn is onednn


def test_gpus_are_asked_for_their_compute_capability(tmp_path, monkeypatch):
    import tensorflow as tf

    details = {"GPU:0": {"compute_capability": (8, 9)}, "GPU:1": {}}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(details))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    assert detect_hardware(tmp_path / "none").gpus == ((8, 9), None)


def test_this_machine_has_an_answer():
    assert resolve_precision() in PRECISIONS[1:]
