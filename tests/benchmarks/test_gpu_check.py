"""The parts of `python -m benchmarks.gpu`: what they count, what they conclude, how they end."""

import json
import pathlib
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from benchmarks import gpu
from benchmarks.gpu_check import network, plan, running, tests
from benchmarks.gpu_check.conclusions import EPOCH_PICTURES, advice, projections
from benchmarks.gpu_check.decoding_rows import decoding_row
from benchmarks.gpu_check.flops import forward_flops, training_flops
from benchmarks.gpu_check.gpu_trace import GpuTrace, read_trace, space_type
from benchmarks.gpu_check.peaks import peak_tflops
from benchmarks.gpu_check.running import FAILED, MEASURED, NOT_MEASURED, RunningSection
from benchmarks.gpu_check.task import PRECISIONS, Report, Result, Task
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from benchmarks.training import train_with
from tests.helpers.small_data import SmallData, make_products, small_config

# Operations.


def test_operations_are_counted_by_hand():
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(5, 3, strides=2)])  # 3x3 places
    x = pictures = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3, depth_multiplier=1, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(inner(x))
    model = keras.Model(pictures, layers.Dense(7)(x))
    depthwise, convolution, dense = 64 * 9 * 3, 9 * 9 * 3 * 5, 45 * 7
    assert forward_flops(model) == 2 * (depthwise + convolution + dense)
    assert training_flops(model) == 3 * forward_flops(model)


def test_groups_of_a_convolution_and_separable_ones():
    pictures = keras.Input((4, 4, 8))
    grouped = keras.Model(pictures, layers.Conv2D(6, 1, groups=2)(pictures))
    assert forward_flops(grouped) == 2 * 16 * 4 * 6
    separable = keras.Model(pictures, layers.SeparableConv2D(5, 3, padding="same")(pictures))
    assert forward_flops(separable) == 2 * 16 * (9 * 8 + 8 * 5)


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 4090", 165),
        ("Tesla T4", 65),
        ("NVIDIA L40S", None),
        ("NVIDIA T400", None),
    ],
)
def test_peaks_of_cards(card, peak):
    assert peak_tflops(card) == peak


# The trace.


def write_trace(folder: pathlib.Path, planes: list[tuple[str, list]]) -> None:
    """Writes a trace; lines are (name, start in ns, [(event name, offset and duration in ps)])."""
    space = space_type()()
    for plane_name, lines in planes:
        plane = space.planes.add(name=plane_name)
        names: dict[str, int] = {}
        for name, start, events in lines:
            line = plane.lines.add(name=name, timestamp_ns=start)
            for event, offset, duration in events:
                number = names.setdefault(event, len(names) + 1)
                line.events.add(metadata_id=number, offset_ps=offset, duration_ps=duration)
        for name, number in names.items():
            entry = plane.event_metadata.add(key=number)
            entry.value.id, entry.value.name = number, name
    (folder / "plugins").mkdir()
    (folder / "plugins" / "host.xplane.pb").write_bytes(space.SerializeToString())


def test_kernels_that_overlap_count_once_and_copies_are_no_work(tmp_path):
    compute = [("conv", 0, 100_000), ("add", 600_000, 400_000), ("MemcpyH2D", 100_000, 300_000)]
    other = ("Stream #2", 10, [("conv", 40_000, 100_000), ("MemcpyD2H", 0, 5)])
    derived = ("XLA Modules", 10, [("cluster", 0, 1_000_000)])
    gpu_lines = [("Stream #1", 10, compute), other, derived]
    write_trace(tmp_path, [("/host:CPU", [("a", 0, [("b", 0, 7)])]), ("/device:GPU:0", gpu_lines)])
    trace = read_trace(tmp_path)
    assert trace.seconds == pytest.approx(1e-6)
    assert trace.busy == pytest.approx(0.54e-6)  # 0 to 140 ns, and 600 to 1000 ns
    assert trace.idle_share == pytest.approx(0.46)
    assert (trace.kernels, trace.copies_to_device, trace.copies_to_host) == (3, 1, 1)


def test_a_trace_without_a_gpu(tmp_path):
    write_trace(tmp_path, [("/host:CPU", [("a", 0, [("b", 0, 7)])]), ("/device:GPU:0", [])])
    assert read_trace(tmp_path) is None
    assert read_trace(tmp_path / "nothing") is None


def test_the_reader_reads_what_tensorflow_writes(tmp_path):
    code = """
        import sys, tensorflow as tf
        tf.profiler.experimental.start(sys.argv[1])
        tf.matmul(tf.ones([64, 64]), tf.ones([64, 64]))
        tf.profiler.experimental.stop()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], check=True)
    [path] = tmp_path.rglob("*.xplane.pb")
    planes = {plane.name: plane for plane in space_type().FromString(path.read_bytes()).planes}
    host = planes["/host:CPU"]
    names = {entry.key: entry.value.name for entry in host.event_metadata}
    seen = {names[event.metadata_id] for line in host.lines for event in line.events}
    assert any("MatMul" in name for name in seen)


# Conclusions.


def pipeline_row(ours: float, theirs: float) -> Row:
    task = Task(Settings(pathlib.Path()), network="cnn", precision="tf32")
    what, peer = task.pipeline_row, "one batch in memory"
    return compare("network", what, peer, "pictures/s", [ours], [theirs], at_least=0.97)


def test_hours_of_an_epoch():
    assert projections([Row("network", "cnn: time to the first step", unit="s", ours=3)]) == []
    [row] = projections([pipeline_row(EPOCH_PICTURES / 7200, 4000)])
    assert row.ours == pytest.approx(2)
    assert row.what == "12,371,293 pictures with cnn (tf32, batch 20)"


def test_what_to_do_names_the_limit():
    def decoding(decoder, rate):
        return Row("decoding", decoding_row(decoder), unit="pictures/s", ours=rate)

    slow = pipeline_row(900, 1000)
    assert advice([pipeline_row(990, 1000), decoding("tf", 1)]) == []
    [line] = advice([slow, decoding("tf", 950)])
    assert "the input is the limit" in line and "--decoder=dali" in line
    [line] = advice([slow, decoding("tf", 950), decoding("dali", 1100)])
    assert "the input is the limit" in line and "--decoder" not in line
    [line] = advice([slow, decoding("tf", 5000)])
    assert "--steps_per_call" in line
    [line] = advice([slow])
    assert "--profile_input" in line


def test_rows_of_every_part_have_advice():
    for part in ("idle", "peer", "tests", "decoding"):
        [line] = advice([Row(part, "w", "p", ours=2, at_most=1)])
        assert "no advice" not in line


# One network.


def test_the_rows_of_a_network_on_a_gpu(tmp_path, monkeypatch):
    """With a card that only pretends; the steps, the clock and the profiler are real."""
    data = SmallData(tmp_path)
    data.add("train", make_products(np.arange(60) % 6))
    data.add("validation", make_products(np.arange(12) % 6, seed=1, first_id=1000))
    traces = []

    def trace(folder):
        traces.extend(pathlib.Path(folder).rglob("*.xplane.pb"))
        return GpuTrace(seconds=2.0, busy=1.5, kernels=10, copies_to_device=3, copies_to_host=0)

    monkeypatch.setattr(network, "_has_gpu", lambda: True)
    monkeypatch.setattr(network, "_card", lambda: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(network, "_WARM_UP", 2)
    monkeypatch.setattr(network, "_TRACED_STEPS", 5)
    monkeypatch.setattr(network, "read_trace", trace)
    memory = {"current": 1, "peak": 3 * 10**9}
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", {"GPU:0": memory}.get)
    settings = Settings(tmp_path, repeats=2, seconds=0.05)
    task = Task(settings, network="logistic", batch_size=8, began=time.time() - 5)
    config = small_config(steps_per_call=4)
    measurement = network._EpochMeasurement(task, Report(tmp_path / "result.json"))
    with pytest.raises(network._Measured):
        train_with(config, data, tmp_path / "run", measurement)
    first, rates, peak, idle, share = Result.read(tmp_path / "result.json").rows
    assert 5 < first.ours < 300 and peak.ours == 3
    assert rates.target == ">= 0.97" and rates.spread[0] <= rates.ratio <= rates.spread[1]
    assert rates.note == "decoded on the processor, up to 4 steps per call"
    assert idle.ours == 0.25 and idle.reached is False and "3 copies to the GPU" in idle.note
    operations = 3 * 2 * 16 * 16 * 3 * 6  # forwards and backwards, of the only layer
    assert share.ours == pytest.approx(rates.ours * operations / 989e12)
    assert len(traces) == 1


def test_the_step_is_traced_once_for_pipeline_and_memory(tmp_path):
    """With several steps per call, as on a GPU; XLA compiles a network for half a minute."""
    data = SmallData(tmp_path)
    data.add("train", make_products(np.arange(60) % 6))
    data.add("validation", make_products(np.arange(12) % 6, seed=1, first_id=1000))
    counts, calls = [], []

    def answer(epoch):
        function = epoch.step._function
        epoch.step._function = lambda *arguments: calls.append(1) or function(*arguments)
        for one in (epoch, epoch.in_memory()):
            one.timed(4, 4)
            counts.append(function.experimental_get_tracing_count())

    config = small_config(augment="flip_shift", steps_per_call=4)
    train_with(config, data, tmp_path / "run", answer)
    assert counts == [1, 1]
    assert len(calls) == 4  # twice 4 steps of warm-up and 4 timed ones


# The plan.


@pytest.mark.parametrize("has_gpu", [True, False])
def test_the_plan_has_every_part_once_and_modules_for_them(has_gpu):
    base = Task(Settings(pathlib.Path()))
    planned = plan.sections(base, plan.NETWORKS, has_gpu, short=False)
    names = [section.name for section in planned]
    assert len(set(names)) == len(names)
    assert {section.task.network for section in planned} >= set(plan.NETWORKS)
    if has_gpu:
        measured = {(s.task.network, s.task.precision) for s in planned if s.module == "network"}
        assert measured == {(n, p) for n in plan.NETWORKS for p in PRECISIONS}
    folder = pathlib.Path(plan.__file__).parent
    for section in planned:
        assert "run_section(measure)" in (folder / f"{section.module}.py").read_text()


def test_a_task_survives_json():
    row = compare("network", "w", "p", "s", [1.0], [2.0])
    changes = (("xla", "off"), ("steps_per_call", 1))
    task = Task(
        Settings(pathlib.Path("/w"), pathlib.Path("/i")), "cnn", "tf32", 7, changes, earlier=(row,)
    )
    assert Task.from_json(task.to_json()) == task
    assert task.label == "cnn (tf32, batch 7, xla=off, steps_per_call=1)"
    assert task.rate("w") == 1 and task.rate("other") is None


# Sections that end badly.


@pytest.fixture
def section(monkeypatch, tmp_path):
    """Starts a section that runs the given code after it has reported a row."""
    begin = """
        import os, subprocess, sys, time
        sys.path.insert(0, os.getcwd())
        from benchmarks.gpu_check.task import run_section
        from benchmarks.table import Row
        def measure(task, report):
            report.row(Row("part", "before", ours=1.0))
    """

    def start(code: str) -> RunningSection:
        text = textwrap.dedent(begin) + textwrap.indent(code, "    ") + "\nrun_section(measure)\n"
        program = tmp_path / "program.py"
        program.write_text(text)
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {program} "$@"\n')
        python.chmod(0o755)
        monkeypatch.setattr(running.sys, "executable", str(python))
        return RunningSection("name", "module", Task(Settings(tmp_path)), tmp_path / "section")

    return start


def test_a_section_that_ends_well_reports(section):
    outcome = section("report.facts(one=1)").wait(60)
    assert (outcome.status, outcome.reason, outcome.output) == (MEASURED, "", "")
    assert outcome.result.facts == {"one": 1}
    assert [row.what for row in outcome.result.rows] == ["before"]


@pytest.mark.parametrize(
    ("code", "reason", "output"),
    [
        ("raise MemoryError('all of it')", "exit status 1", "MemoryError: all of it"),
        ("print('x' * 9, flush=True); os.abort()", "exit status -6", "xxxxxxxxx"),
        ("print('said'); report.failed('its own reason')", "its own reason", "said"),
    ],
)
def test_a_section_that_fails_keeps_its_rows_and_shows_its_output(section, code, reason, output):
    outcome = section(code).wait(60)
    assert outcome.status == FAILED
    assert reason in outcome.reason and output in outcome.output
    assert [row.what for row in outcome.result.rows] == ["before"]


def test_a_section_out_of_time_ends_with_all_its_processes(section, tmp_path):
    child = tmp_path / "child"
    code = f"process = subprocess.Popen(['sleep', '300']); open({str(child)!r}, 'w').write("
    running_section = section(f"{code}str(process.pid)); time.sleep(300)")
    while not (child.exists() and child.read_text()):
        time.sleep(0.01)
    outcome = running_section.wait(0.0)
    assert outcome.status == NOT_MEASURED and "its time limit" in outcome.reason
    assert [row.what for row in outcome.result.rows] == ["before"]
    deadline = time.monotonic() + 10
    while _runs(int(child.read_text())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(int(child.read_text()))


def _runs(pid: int) -> bool:
    status = pathlib.Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_what_does_not_fit_into_the_time_is_listed(tmp_path, capsys):
    path = tmp_path / "gpu.json"
    check = gpu.Check(gpu._parse(["--minutes=0.5", f"--json={path}"]), tmp_path)
    check._measure(plan.Section("long one", "network", Task(Settings(tmp_path)), 40))
    assert check._conclude() == 0
    reason = "30 s were left, and it takes about 40 s"
    assert f"NOT MEASURED long one: {reason}" in capsys.readouterr().out
    [section] = json.loads(path.read_text())["sections"]
    assert (section["status"], section["reason"]) == (NOT_MEASURED, reason)


def test_results_of_pytest_are_counted():
    xml = """<testsuites><testsuite tests="9" failures="2" errors="1" skipped="2">
        <testcase><skipped message="no GPU"/></testcase>
        <testcase><skipped message="no GPU"/></testcase></testsuite></testsuites>"""
    row = tests._row("tests/gpu", xml)
    assert row.what == "tests/gpu: 4 passed, 2 skipped"
    assert row.ours == 3 and row.reached is False and row.note == "skipped: no GPU"
