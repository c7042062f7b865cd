"""The benchmarks compare what they say: same pictures, fair turns, and a table that holds."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import bson
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks import (
    build,
    build_parts,
    checkpoint,
    data,
    floor_jpeg,
    head,
    inference,
    memory,
    peer_kaggle,
    peer_keras,
    peer_tfds,
    peer_torch,
    precision,
    start,
    steps,
    training,
)
from benchmarks import input as input_part
from benchmarks.measure import cpu_seconds, picture_rate, take_turns
from benchmarks.run import PARTS, PartError, main
from benchmarks.settings import Settings
from benchmarks.table import Row, compare, table
from cdisc_tfds.bson_file import read_documents
from tests.conftest import CATEGORY_IDS, CATEGORY_NAMES, write_bson
from trainer.data.tf_decoding import decode_jpeg
from trainer.runs.folder import RunFolder
from trainer.runs.state import EpochRow
from trainer.training.hooks import Hook

SIZE = 32
PRODUCTS = 60


def noisy_jpeg(seed: int) -> bytes:
    """A picture on which decoders differ, if they do."""
    pixels = np.random.default_rng(seed).integers(0, 256, [SIZE // 4, SIZE // 4, 3], np.uint8)
    pixels = np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return tf.io.encode_jpeg(pixels, quality=90).numpy()


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    """The smallest settings, with a small competition; what is made from it is shared."""
    folder = tmp_path_factory.mktemp("input")
    (folder / "category_names.csv").write_text(CATEGORY_NAMES, encoding="utf-8")
    for split, products in (("train", 20), ("test", 10)):
        documents = [
            {"_id": i, "imgs": [{"picture": noisy_jpeg(4 * i + k)} for k in range(1 + i % 4)]}
            | ({"category_id": CATEGORY_IDS[i % 5]} if split == "train" else {})
            for i in range(products)
        ]
        write_bson(folder / f"{split}.bson", documents)
    return Settings(
        tmp_path_factory.mktemp("work"),
        folder,
        repeats=2,
        seconds=0.05,
        build_products=PRODUCTS,
        products=PRODUCTS,
        networks=("cnn",),
        image_size=SIZE,
        shuffle_buffer=64,
    )


def pixels_of(settings: Settings) -> dict[bytes, np.ndarray]:
    """The training pictures, decoded as the trainer does; keys are the JPEGs."""
    jpegs = set(input_part.training_jpegs(settings, 10_000))
    return {jpeg: decode_jpeg(jpeg, SIZE).numpy() for jpeg in jpegs}


# The table.


def test_a_target_is_met_from_its_value_on():
    assert Row("p", "w", ratio=0.9, at_least=0.9).reached is True
    assert Row("p", "w", ratio=0.899, at_least=0.9).reached is False
    assert Row("p", "w", ours=1.5, at_most=1.5).reached is True
    assert Row("p", "w", ours=1.51, at_most=1.5).reached is False
    assert Row("p", "w", ours=3.0).reached is None
    assert Row("p", "w", at_most=1.5, note="not measured").reached is None


def test_the_ratio_is_the_median_of_the_turns():
    row = compare("p", "w", "peer", "s", [1, 10, 4], [2, 5, 4], at_least=1)
    assert (row.ours, row.theirs, row.ratio) == (4, 4, 1)
    assert row.spread == (0.5, 2)


def test_rows_survive_json():
    rows = [compare("p", "w", "peer", "s", [1, 10], [2, 5], at_most=1, note="n"), Row("p", "w")]
    texts = [json.dumps(row.to_json()) for row in rows]
    assert [Row.from_json(json.loads(text)) for text in texts] == rows
    assert json.loads(texts[0])["target"] == "<= 1"
    assert json.loads(texts[0])["reached"] is False


def test_the_table_has_a_line_a_row_and_the_notes():
    text = table(
        [
            compare("input", "batches", "a peer", "pictures/s", [9000.0], [4500.0], at_least=1),
            Row("input", "batches", "another", note="not measured: there is none"),
            Row("build", "memory", unit="GB", ours=1.5678, at_most=1.5),
        ]
    )
    header, rule, first, second, third, empty, note = text.splitlines()
    for cell in ("input: batches", "a peer", "9,000", "4,500", "2.00", ">= 1", "reached"):
        assert cell in first
    assert first.index("a peer") == second.index("another") == header.index("against")
    assert second.endswith("*") and "reached" not in second
    assert "1.57" in third and "MISSED" in third
    assert note == "* input, batches against another: not measured: there is none"


# Measuring.


def test_runs_take_turns_and_each_is_first_once():
    calls = []
    runs = {name: lambda n=name: calls.append(n) or len(calls) for name in "abc"}
    results = take_turns("part", runs, 3)
    assert "".join(calls) == "abcbcacab"
    assert results == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


def test_the_rate_counts_pictures_behind_the_warm_up():
    batches = itertools.repeat((np.zeros([64, 2]),))
    assert picture_rate(batches, 0.05) > 64 * 1000
    assert picture_rate(itertools.repeat((np.zeros([1, 2]),)), 0.05) > 1000


def test_busy_time_is_that_of_this_process():
    def busy():
        while True:
            end = time.process_time() + 0.002
            while time.process_time() < end:
                pass
            yield (np.zeros([2, 1]),)

    assert cpu_seconds(busy(), 5, warm_up=1) == pytest.approx(0.001, rel=0.2)
    idle = ((time.sleep(0.005), np.zeros([1, 1]))[1:] for _ in itertools.count())
    assert cpu_seconds(idle, 5, warm_up=1) < 0.003


# The data.


def test_replicated_products_have_new_ids_and_the_same_pictures(settings):
    folder = data.competition(settings, PRODUCTS)
    ids = []
    for split, number in (("train", 40), ("test", 20)):
        source = [d for _, _, d in read_documents(settings.input_dir / f"{split}.bson")]
        copies = [d for _, _, d in read_documents(folder / f"{split}.bson")]
        assert len(copies) == number
        ids += [copy.pop("_id") for copy in copies]
        for original in source:
            del original["_id"]
        assert copies == (source * 2)[:number]
    assert sorted(ids) == list(range(PRODUCTS))


def test_an_id_in_the_middle_of_a_document_is_replaced(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "category_names.csv").write_text(CATEGORY_NAMES, encoding="utf-8")
    document = {"imgs": [{"picture": b"x"}], "_id": 1 << 40, "category_id": 5}
    for split in data.SPLITS:
        write_bson(tmp_path / "in" / f"{split}.bson", [document])
    data.replicate(tmp_path / "in", tmp_path / "out", 6)
    written = [d for _, _, d in read_documents(tmp_path / "out" / "test.bson")]
    assert written == [document | {"_id": i} for i in (3, 4, 5)]


def test_what_is_made_halfway_is_made_again(settings, monkeypatch, tmp_path):
    other = dataclasses.replace(settings, work_dir=tmp_path)

    def fails(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(data, "replicate", fails)
        with pytest.raises(OSError, match="the disk is full"):
            data.competition(other, 9)
    assert list(tmp_path.iterdir()) == []
    assert len(bson.decode_all((data.competition(other, 9) / "train.bson").read_bytes())) == 6


def test_too_large_a_competition_is_told(settings):
    assert data.without_room(settings, PRODUCTS) is None
    note = data.without_room(settings, 10**12)
    assert note.startswith("not measured: it needs ") and "--work_dir" in note


# The peers deliver the pictures that we deliver.


def test_our_batches(settings):
    known = {pixels.tobytes() for pixels in pixels_of(settings).values()}
    batches = input_part.our_batches(settings)
    for _ in range(3):
        for picture in next(batches)[0].numpy():
            assert picture.tobytes() in known


def test_the_floor_decodes_to_our_pixels(settings):
    pytest.importorskip("simplejpeg", reason=floor_jpeg.MISSING)
    for jpeg, pixels in pixels_of(settings).items():
        np.testing.assert_array_equal(floor_jpeg.decode(jpeg), pixels)
    jpegs = list(pixels_of(settings))
    assert floor_jpeg.decoding_rate(jpegs, threads=2, seconds=0.05) > 100
    assert 0 < floor_jpeg.cpu_seconds(jpegs) < 0.01


def test_kagglers_generator_gives_our_pixels(settings):
    train = data.competition(settings, PRODUCTS) / "train.bson"
    rows = peer_kaggle.offset_table(train)
    documents = [document for _, _, document in read_documents(train)]
    jpegs = [image["picture"] for document in documents for image in document["imgs"]]
    generator = peer_kaggle.BsonGenerator(train, rows, batch_size=7, image_size=SIZE)
    pictures, labels = generator.batch(np.arange(len(rows)))
    ours = pixels_of(settings)
    np.testing.assert_array_equal(pictures, np.stack([ours[jpeg] for jpeg in jpegs]))
    expected = [d["category_id"] for d in documents for _ in d["imgs"]]
    assert list(np.unique(rows["category"])[labels]) == expected
    generator.close()


def test_kagglers_generator_yields_each_picture_once_an_epoch(settings):
    train = data.competition(settings, PRODUCTS) / "train.bson"
    rows = peer_kaggle.offset_table(train)
    generator = peer_kaggle.BsonGenerator(train, rows, batch_size=10, image_size=SIZE)
    batches = generator.batches(threads=2)
    seen = [p.tobytes() for _ in range(len(rows) // 10) for p in next(batches)[0]]
    everything = [p.tobytes() for p in generator.batch(np.arange(len(rows)))[0]]
    assert sorted(seen) == sorted(everything) and seen != everything
    batches.close()
    generator.close()


def nearest(picture: np.ndarray, pixels: dict[bytes, np.ndarray]) -> float:
    """The largest difference in level to the picture that is nearest to this one."""
    stack = np.stack(list(pixels.values())).astype(np.float32)
    return np.abs(stack - picture).max(axis=(1, 2, 3)).min()


def test_tfds_and_keras_give_our_pictures_but_for_rounding(settings):
    folder = pathlib.Path(data.data_dir(settings, PRODUCTS)) / "cdiscount" / "1.0.0"
    pixels = pixels_of(settings)
    for batches in (
        peer_tfds.batches(folder, 8),
        peer_keras.batches(data.picture_files(settings, PRODUCTS), 8, SIZE),
    ):
        pictures, labels = next(batches)
        assert pictures.shape == (8, SIZE, SIZE, 3) and labels.shape == (8,)
        # TensorFlow's default for JPEGs is up to 5 levels off on photographs.
        assert max(nearest(picture, pixels) for picture in pictures.numpy()) <= 16


def test_torch_reads_our_pixels(settings):
    pytest.importorskip("torch", reason=peer_torch.MISSING)
    folder = data.picture_files(settings, PRODUCTS)
    known = {pixels.tobytes() for pixels in pixels_of(settings).values()}
    files = peer_torch.PictureFiles(folder)
    assert len(files) == sum(1 for _ in folder.rglob("*.jpg"))
    assert {files[i][0].numpy().tobytes() for i in range(len(files))} == known
    assert peer_torch.measured_rate(folder, 8, 1, 0.05) > 10


def test_peers_that_are_not_installed_are_named(settings, monkeypatch):
    monkeypatch.setattr(floor_jpeg, "simplejpeg", None)
    monkeypatch.setattr(peer_torch, "installed", lambda: False)
    rows = input_part.run(dataclasses.replace(settings, repeats=1))
    measured = [row.peer for row in rows if row.ratio]
    assert [name.split()[0] for name in measured] == ["TFDS", "Keras", "Kagglers'"]
    missing = {row.peer: row for row in rows if row.ours is None}
    assert set(missing) == {input_part.FLOOR, input_part.TORCH}
    for peer, name in ((input_part.FLOOR, "simplejpeg"), (input_part.TORCH, "torch")):
        assert missing[peer].note.startswith("not measured: ")
        assert f"is not installed (`pip install {name}`" in missing[peer].note
    assert all(row.reached is None for row in missing.values())


def test_what_is_below_the_floor_is_explained(settings, monkeypatch):
    pytest.importorskip("simplejpeg", reason=floor_jpeg.MISSING)
    monkeypatch.setattr(input_part, "_FLOOR_JPEGS", 200)
    note = input_part._why_below(settings)
    costs = [int(number) for number in re.findall(r"(\d+) us", note)]
    assert len(costs) == 4 and all(0 < cost < 100_000 for cost in costs)


# The trainer's training, opened up.


def test_the_clock_takes_the_steps_behind_the_warm_up(settings, tmp_path):
    small_data = training.training_data(settings)
    config = training.training_config(settings, small_data, "logistic", batch_size=4, epochs=1)
    places, steps, pauses = [], [], []

    class Slow(Hook):
        def before_step(self, place):
            places.append(place.step)
            time.sleep(0.5 if place.step < 2 else 0.05)

        def close(self):
            pauses.append(time.sleep(0.5))

    def answer(epoch):
        epoch = dataclasses.replace(epoch, hooks=(*epoch.hooks, Slow()))
        steps.append(epoch.steps_left)
        pace = epoch.timed(3, warm_up=2)
        assert places == [0, 1, 2, 3, 4]
        # Two of the three pauses, and neither those of the warm-up nor closing the hooks.
        assert 0.1 < 3 / pace.steps_per_second < 0.45
        assert len(pauses) == 1

    training.train_with(config, small_data, tmp_path / "run", answer)
    pictures = small_data.split(config.train_split).num_pictures
    assert steps == [-(-pictures // 4)]


def test_the_batch_in_memory_is_the_pipelines_and_has_no_hooks(settings, tmp_path):
    small_data = training.training_data(settings)
    config = training.training_config(settings, small_data, "logistic", batch_size=4)
    epoch = training.first_epoch_in_memory(config, small_data)
    assert epoch.hooks == ()
    known = {pixels.tobytes() for pixels in pixels_of(settings).values()}
    first, second = (pictures.numpy() for pictures, _ in epoch.batches.take(2))
    np.testing.assert_array_equal(first, second)
    assert len(first) == 4 and all(picture.tobytes() in known for picture in first)
    before = [variable.numpy() for variable in epoch.step.trained_variables()]
    epoch.run(2)
    after = [variable.numpy() for variable in epoch.step.trained_variables()]
    assert int(epoch.step.optimizer.iterations.numpy()) == 2
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


# The parts.


def test_each_part_of_the_build_is_left_out_in_turn(settings, monkeypatch, capsys):
    builds = []

    def measured(manual_dir, num_processes, reread):
        assert (manual_dir / "train.bson").exists()
        [folder] = [p for p in sys_path() if (p / "sitecustomize.py").exists()] or [None]
        code = (folder / "sitecustomize.py").read_text() if folder else ""
        builds.append((reread, *(name for name in build_parts.PLAIN if f".{name}" in code)))
        return 0.5, 2e9

    def sys_path():
        return map(pathlib.Path, os.environ.get("PYTHONPATH", "").split(os.pathsep))

    monkeypatch.setattr(build_parts, "measure_build", measured)
    flags = [f"--work_dir={settings.work_dir}", f"--input_dir={settings.input_dir}"]
    assert build_parts.main([*flags, f"--products={PRODUCTS}", "--repeats=1"]) == 0
    direct = "direct_writes"
    assert builds == [(True,), (True, direct), (False,), (False, direct)]
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split("  ")[0] for line in lines] == list(build_parts.variants())
    assert all(line.split()[-5:-1] == ["120", "120", "120", "2.00"] for line in lines)


@pytest.mark.parametrize("name", list(build_parts.PLAIN))
def test_a_plain_way_takes_the_place_of_a_module(name):
    module = f"cdisc_tfds.build.{name}"
    code = f"import {module} as m; print(getattr(m, '__file__', 'plain'), *sorted(vars(m)))"
    command = [sys.executable, "-c", code]

    def imported():
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        return result.stdout.split()

    real = imported()
    with build_parts.without(name):
        plain = imported()
    assert plain[0] == "plain" and real[0].endswith(f"{name}.py")
    public = {word for word in plain[1:] if not word.startswith("_")}
    assert public and public < set(real[1:])
    assert imported() == real


def test_both_writers_are_timed(settings, tmp_path):
    manual_dir = str(data.competition(settings, PRODUCTS))
    assert 0 < build.build_once(manual_dir, str(tmp_path / "ours"), num_processes=1) < 60
    assert 0 < build.build_once(manual_dir, str(tmp_path / "stock"), stock_writer=True) < 60
    assert build.measure_copy(pathlib.Path(manual_dir)) > 0


@pytest.mark.torture
def test_steps_precision_and_inference(settings, monkeypatch):
    # Two names of one network share a row.
    (row,) = steps.run(dataclasses.replace(settings, networks=("cnn", "solution1_2")))
    assert row.what.startswith("cnn, solution1_2 (") and row.ours > 0 and row.theirs > 0
    for part in (precision, inference):
        monkeypatch.setattr(part, "NETWORKS", ("logistic",))
    settings = dataclasses.replace(settings, networks=("logistic",))
    (row,) = precision.run(settings)
    assert row.peer == "float32" and row.ours > 0 and row.theirs > 0
    rows = inference.run(settings)
    assert [row.what.split()[0] for row in rows] == ["evaluation", "submission"]
    # So few pictures take no longer than fewer: their rate is noise.
    assert all(row.theirs == rows[0].theirs > 0 for row in rows)


def test_the_start_of_a_pipeline_is_not_counted(settings, monkeypatch):
    small_data = inference.training_data(settings)
    few, many = (inference.first_products(small_data, "train", pictures) for pictures in (8, 40))
    clock = [0.0]
    monkeypatch.setattr(inference.time, "perf_counter", lambda: clock[0])

    def work(split):
        clock[0] += 3.0 + split.num_pictures / 50

    assert inference._rate_beyond(work, few, many) == pytest.approx(50)


def test_what_shared_cores_allow():
    # 2 cores, 1 ms of network and 1 ms of decoding: 1000 pictures/s where memory gave 2000.
    text = steps.shared_cores(1e-3, 1e-3, 2, 2000.0)
    assert "kept 100% of the cores busy" in text and "the ratio can be 0.500 at most" in text
    # The network keeps one of two cores busy: decoding has the other.
    assert "the ratio can be 1.000 at most" in steps.shared_cores(1e-3, 1e-3, 2, 1000.0)


@pytest.mark.torture
def test_the_trainers_first_step_is_timed(settings):
    folder = data.data_dir(settings, PRODUCTS)
    arguments = [f"--data_dir={folder}", "--model=logistic", f"--image_size={SIZE}"]
    assert 0 < start.seconds_of("trainer_first_step", [*arguments, "--batch_size=8"]) < 120
    with pytest.raises(RuntimeError, match="(?s)did not reach its first step.*--no_such_flag"):
        start.seconds_of("trainer_first_step", ["--no_such_flag"])


@pytest.mark.torture
def test_memory_of_training_is_told(settings, monkeypatch, capsys):
    monkeypatch.setattr(memory, "_PICTURES", 300)
    folder = data.data_dir(settings, PRODUCTS)
    memory.train_and_tell(str(folder), "64", str(SIZE))
    assert 0.1 < float(capsys.readouterr().out.split()[-1]) < 20


def test_a_checkpoint_is_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CLASSES", 7)
    alone, meanwhile = checkpoint.measure("logistic", SIZE, tmp_path).splitlines()
    assert re.match(r"logistic +32 px +\d+ MB  checkpoint +\d+\.\d+ s \(.*% of 10 minutes; ", alone)
    spread = r"-?\d+\.\d+ s \(.*\)"
    assert re.fullmatch(
        rf" +training waits {spread} if it writes itself, {spread} while a thread writes, which "
        rf"costs it {spread} in all",
        meanwhile,
    )
    run = RunFolder(tmp_path)
    assert run.state.newest.position.epoch == 1  # the one that the thread wrote
    sizes = [path.stat().st_size for path in run.checkpoints.glob("state-*.npy")]
    pictures = 3 * SIZE**2
    # Two are kept: the weights and Adam's two moments, float32.
    assert len(sizes) == 2 and min(sizes) >= 3 * 4 * 7 * pictures


def _head_run(monkeypatch, settings, weights: str) -> list[Row]:
    """The rows of the part, of which nothing trains."""

    def row(epoch: int, cached: bool) -> EpochRow:
        seconds, accuracy = (0.5, 0.25) if cached else (20.0, 0.2)
        return EpochRow(epoch, "head", 1, 0.5, 1, accuracy, accuracy, 0.5, 0.01, 100, seconds)

    def trained(settings, data, cache_features):
        return tuple(row(epoch, cache_features) for epoch in range(3)), 60.0

    monkeypatch.setattr(head, "_trained", trained)
    changes = {"networks": ("inception",), "head_products": 24, "weights": weights}
    return head.run(dataclasses.replace(settings, **changes))


def test_accuracy_behind_a_random_base_is_not_compared(settings, monkeypatch):
    speed, accuracy = _head_run(monkeypatch, settings, "none")
    assert speed.ratio == 40 and speed.reached is True
    assert accuracy.ours is None and accuracy.reached is None
    assert accuracy.note.startswith("not measured: needs --weights=FILE")


def test_accuracy_behind_a_pretrained_base_is_compared(settings, monkeypatch):
    _, accuracy = _head_run(monkeypatch, settings, "imagenet")
    assert accuracy.what == "validation accuracy by picture after 3 epochs"
    assert (accuracy.ours, accuracy.theirs, accuracy.ratio) == (0.25, 0.2, 1.25)
    assert accuracy.reached is True


def test_the_noise_of_an_accuracy():
    assert head._noise(0.5, 10_000) == pytest.approx(0.028, abs=1e-3)
    assert head._noise(0.0, 100) == 1.0


def test_the_command_writes_the_table_as_json(settings, tmp_path, capsys):
    path = tmp_path / "result.json"
    flags = [f"--work_dir={settings.work_dir}", f"--input_dir={settings.input_dir}"]
    flags += [f"--products={PRODUCTS}", f"--image_size={SIZE}", "--networks=logistic"]
    flags += ["--repeats=1", "--seconds=0.05", "--shuffle_buffer=64", f"--json={path}"]
    assert main(["--only=steps", *flags]) == 0
    result = json.loads(path.read_text())
    (row,) = result["rows"]
    assert row["what"].startswith("logistic") and f"{row['target']}" == ">= 0.97"
    assert result["machine"]["cores"] >= 1 and result["machine"]["versions"]["tensorflow"]
    assert row["what"] in capsys.readouterr().out


def test_a_part_that_fails_is_told_and_the_others_run(tmp_path, capsys):
    flags = [f"--work_dir={tmp_path}", f"--input_dir={tmp_path / 'nowhere'}"]
    assert main(["--only=build,input", *flags]) == 1
    out = capsys.readouterr().out
    assert out.count("failed with exit status 1") == 2


def test_an_unknown_part_is_refused_by_name():
    with pytest.raises(PartError, match="build, beam, input, .*Received also: speed"):
        main(["--only=speed,input"])


def test_each_part_is_a_command():
    folder = pathlib.Path(build.__file__).parent
    for part in PARTS:
        assert f'main(only="{part}")' in (folder / f"{part}.py").read_text()
    command = [sys.executable, "-m", "benchmarks.run", "--help"]
    help_text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert all(f"--{field.name}" in help_text for field in dataclasses.fields(Settings))
