"""`kill -9` in every phase of training, through the real commands; `make torture` runs this.

Each command runs undisturbed once. Then it is started again and again with one `--run_dir` and
killed, at random moments and at random moments of chosen phases, until each phase was hit as often
as asked; the one start after the last kill finishes the run, and the run must be the undisturbed
one. A run that finishes between two kills is compared as well, and the next starts afresh.
"""

from __future__ import annotations

import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from cdisc_tfds.sample.competition import write_sample
from tests.helpers.finished_runs import assert_same_run
from tests.helpers.killing import POINTS
from tests.helpers.phases import LINGER, read_phase
from trainer.runs.folder import RunFolder

pytestmark = pytest.mark.torture

ROOT = pathlib.Path(__file__).parents[1]
_SEED = int(os.environ.get("TORTURE_SEED", "0"))
_COMMON = (
    *("--batch_size=16", "--checkpoint_steps=4", "--log_every_steps=3", "--augment=flip_shift"),
    *("--precision=float32", "--seed=5"),
)
COMMANDS = {
    "one_stage": (
        "trainer.main",
        *("--model=solution1_1", "--image_size=48", "--epochs=5", "--ema_momentum=0.9"),
        *("--schedule=cosine", "--early_stopping=2", "--learning_rate=0.003", "--dropout=0.3"),
    ),
    "transfer": (
        "trainer.main",
        *("--model=inception", "--weights=none", "--trainable=staged", "--image_size=75"),
        *("--head_epochs=1", "--epochs=2"),
    ),
    "two_stage": ("trainer.two_stage", "--model=solution1_1", "--image_size=48", "--epochs=2"),
    # A checkpoint is being written most of the time.
    "frequent": (
        *("trainer.main", "--model=solution1_1", "--image_size=48", "--epochs=2"),
        *("--checkpoint_steps=1", "--ema_momentum=0.9", "--dropout=0.3"),
    ),
}
# How many kills must hit a phase (the last part of its name), by command; "anywhere": moments
# spread over a whole start, wherever they hit.
KILLS = {
    "one_stage": {
        "anywhere": 6,
        "training": 2,
        "validation": 2,
        "weights file": 2,
        "checkpoint file half written": 1,
        "checkpoint file written": 1,
        "checkpoint renamed": 1,
        "checkpoint state.json replaced": 1,
    },
    "transfer": {
        **{"anywhere": 3, "head: features": 2, "head: training": 1},
        **{"head: validation": 1, "head: checkpoint file written": 1},
        **{"top_blocks: preparing the stage": 2, "top_blocks: checkpoint renamed": 1},
    },
    "two_stage": {
        **{"anywhere": 4, "level 1: training": 1, "level 1: checkpoint renamed": 1},
        **{
            "specialist: preparing the stage": 1,
            "specialist: training": 1,
            "specialist: validation": 1,
        },
        **{"specialist: checkpoint state.json replaced": 1, "between networks": 2},
    },
    "frequent": {"anywhere": 3, **{f"checkpoint {point}": 2 for point in POINTS}},
}
# Which of the first occurrences of a phase a kill hits, where they are many.
_OCCURRENCES = {"frequent": 8}
# No phase is worth more than this wait in it before the kill, in seconds.
_LONGEST_STAY = {
    **{f"checkpoint {point}": LINGER for point in POINTS},
    "weights file": 0.02,
    "validation": 0.3,
    "preparing the stage": 0.3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torture")
    write_sample(folder / "sample", products=160, test_products=20, categories=8, image_size=48)
    tfds = pathlib.Path(sys.executable).with_name("tfds")
    subprocess.run(
        [tfds, "build", "cdiscount", f"--manual_dir={folder / 'sample'}"]
        + [f"--data_dir={folder / 'data'}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


def _is_in(phase: str, name: str) -> bool:
    """Whether training, or the checkpoint that is being written meanwhile, is in a phase."""
    return any(part.endswith(phase) for part in name.split(", "))


class _Command:
    """A command of `COMMANDS` on the sample, in one run's folder."""

    def __init__(self, name: str, folder: pathlib.Path, run_dir: pathlib.Path):
        module, *flags = COMMANDS[name]
        flags = [*_COMMON, *flags, f"--data_dir={folder / 'data'}", f"--run_dir={run_dir}"]
        # Each run computes its own.
        self.features_dir = folder / f"{run_dir.name}.features"
        if name == "transfer":
            flags.append(f"--features_dir={self.features_dir}")
        self._words = [module, *flags]
        self._phase_file = folder / f"{run_dir.name}.phase"

    def finish(self) -> float:
        """Runs to the end, as a user would; returns the seconds."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", *self._words], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return time.monotonic() - started

    def kill_after(self, seconds: float) -> str | None:
        """Kills it `seconds` after its start; returns the phase, or None if it had finished."""
        return self._killed(lambda process: time.sleep(seconds))

    def kill_in(self, phase: str, occurrence: int, stay: float) -> str | None:
        """Kills it `stay` seconds into the given occurrence of a phase."""

        def wait(process: subprocess.Popen) -> None:
            seen, last = 0, 0
            while process.poll() is None:
                count, name = read_phase(self._phase_file)
                if count != last and _is_in(phase, name):
                    # The file's first line is there before any network; that is no "between".
                    seen += count > 1
                    if seen == occurrence:
                        time.sleep(stay)
                        return
                last = count
                time.sleep(0.001)

        return self._killed(wait)

    def _killed(self, wait) -> str | None:
        self._phase_file.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.phases", self._phase_file, *self._words],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait(process)
        process.send_signal(signal.SIGKILL)
        _, stderr = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), stderr
        return None if process.returncode == 0 else read_phase(self._phase_file)[1]


def _kill_all_phases(
    name: str, rng: random.Random, command: _Command, seconds: float, on_finished
) -> collections.Counter:
    """Starts and kills until every phase of `KILLS[name]` was hit; returns the kills by phase."""
    wanted, hit = collections.Counter(KILLS[name]), collections.Counter()
    for _ in range(4 * wanted.total()):
        if not (left := sorted(wanted)):
            return hit
        aim = rng.choice(left)
        if aim == "anywhere":
            phase = command.kill_after(rng.uniform(0.1, 0.7) * seconds)
        else:
            stay = rng.uniform(0, _LONGEST_STAY.get(aim.split(": ")[-1], 1.0))
            occurrences = _OCCURRENCES.get(name, 2 if ":" not in aim else 1)
            phase = command.kill_in(aim, 1 + rng.randrange(occurrences), stay)
        if phase is None:
            on_finished()
            continue
        hit[phase] += 1
        done = aim if aim == "anywhere" else next((w for w in left if _is_in(w, phase)), None)
        if done:
            wanted[done] -= 1
            wanted += collections.Counter()  # drops those that are done
    raise AssertionError(f"Never hit: {dict(wanted)}. Hit: {dict(hit)}")


def _runs(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path.parent.relative_to(folder) for path in folder.rglob("state.json"))


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_in_every_phase(name, folder, capsys):
    rng = random.Random(f"{_SEED} {name}")
    undisturbed, run_dir = folder / f"{name}-undisturbed", folder / f"{name}-killed"
    seconds = _Command(name, folder, undisturbed).finish()
    command = _Command(name, folder, run_dir)
    compared = []

    def compare() -> None:
        assert _runs(undisturbed) and _runs(run_dir) == _runs(undisturbed)
        for run in _runs(undisturbed):
            assert_same_run(RunFolder(undisturbed / run), RunFolder(run_dir / run))
        compared.append(run_dir.rename(folder / f"{name}-killed-{len(compared)}"))
        shutil.rmtree(command.features_dir, ignore_errors=True)

    started = time.monotonic()
    hit = _kill_all_phases(name, rng, command, seconds, compare)
    command.finish()
    compare()
    with capsys.disabled():
        print(
            f"\n{name}: {seconds:.0f} s undisturbed; {hit.total()} kills in "
            f"{time.monotonic() - started:.0f} s, {len(compared)} finished runs bit for bit equal"
        )
        for phase, count in sorted(hit.items()):
            print(f"  {count:3d}  {phase}")
