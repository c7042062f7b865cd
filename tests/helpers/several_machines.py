"""Starts the workers of a training as processes of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 900  # seconds, on a machine that others use


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def tf_config(ports: Sequence[int], index: int) -> str:
    """TF_CONFIG of one worker."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


class Machines:
    """The workers of `python -m MODULE FLAGS`.

    Args:
      count: number of workers.
      module: the command.
      flags: its flags, alike for all, but for the number of a worker in place of `{index}`.
      own_flags: more flags of a worker, by its number.
    """

    def __init__(
        self,
        count: int,
        module: str,
        flags: Sequence[str],
        own_flags: dict[int, Sequence[str]] | None = None,
    ):
        self.ports = free_ports(count)
        self.processes = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", module),
                    *(flag.replace("{index}", str(index)) for flag in flags),
                    *(own_flags or {}).get(index, ()),
                ],
                cwd=ROOT,
                env=os.environ | {"TF_CONFIG": tf_config(self.ports, index)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in range(count)
        ]

    def results(self) -> list[tuple[int, str]]:
        """(exit status, what it said on stderr) of each worker, when all have ended."""
        until = time.monotonic() + LIMIT
        try:
            said = [
                process.communicate(timeout=max(1.0, until - time.monotonic()))[1]
                for process in self.processes
            ]
        finally:
            self.kill()
        return [
            (process.returncode, text) for process, text in zip(self.processes, said, strict=True)
        ]

    def kill(self) -> None:
        """Kills the workers that are still there."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def machines(*args, **kwargs) -> Iterator[Machines]:
    """The workers, none of which outlives the block."""
    started = Machines(*args, **kwargs)
    try:
        yield started
    finally:
        started.kill()


def wait_for(path: pathlib.Path, started: Machines) -> None:
    """Waits until a file appears, while the workers run."""
    until = time.monotonic() + LIMIT
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not appear"
        assert started.processes[0].poll() is None, started.results()
        time.sleep(0.01)
