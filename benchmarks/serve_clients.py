"""Clients of a service that ask as fast as they are answered, in a process of their own.

    python -m benchmarks.serve_clients ADDRESS JPEGS CLIENTS SECONDS PID

ADDRESS is host:port/path of the predict method; JPEGS is a folder of pictures; PID is the service's
process. Prints JSON: the seconds of each request, the time that they took together, the processor
time of the service meanwhile, and how many answers were lost or were those of another picture.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import itertools
import json
import pathlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import psutil

# Batches of other sizes add up in another order. Even an untrained network tells pictures further
# apart.
_TOLERANCE = 1e-4


@dataclasses.dataclass
class Tally:
    """What the clients saw.

    Attributes:
      latencies: seconds from sending a request to the end of its answer.
      lost: requests without an answer of status 200.
      mixed_up: answers that are not those that the picture got alone.
      seconds: from the first request to the last answer.
      service_seconds: processor time of the service meanwhile, of all cores.
    """

    latencies: list[float] = dataclasses.field(default_factory=list)
    lost: int = 0
    mixed_up: int = 0
    seconds: float = 0.0
    service_seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many were sent."""
        return len(self.latencies)


def ask(connection: http.client.HTTPConnection, path: str, body: bytes) -> list[float] | None:
    """The highest probabilities of a request's only picture; None if there was no answer."""
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return None
    return json.loads(content)["predictions"][0]["probability"] if response.status == 200 else None


def tally(
    address: str, jpegs: Sequence[bytes], clients: int, seconds: float, service: psutil.Process
) -> Tally:
    """Lets clients ask for some seconds, each one picture at a time on its own connection."""
    host, _, path = address.partition("/")
    bodies = [
        json.dumps({"instances": [{"b64": base64.b64encode(jpeg).decode()}]}).encode()
        for jpeg in jpegs
    ]
    with contextlib.closing(http.client.HTTPConnection(host, timeout=120)) as connection:
        alone = [ask(connection, f"/{path}", body) for body in bodies]
    result, lock = Tally(), threading.Lock()
    end = time.perf_counter() + seconds

    def work(first: int) -> None:
        for number, sent, done, answer in _asked(host, f"/{path}", bodies, first, end):
            with lock:
                result.latencies.append(done - sent)
                result.seconds = max(result.seconds, done - start)
                expected = alone[number]
                if answer is None or expected is None:
                    result.lost += 1
                elif any(abs(a - b) > _TOLERANCE * b for a, b in zip(answer, expected)):
                    result.mixed_up += 1

    threads = [threading.Thread(target=work, args=[client]) for client in range(clients)]
    # Not earlier: each picture was asked for alone, which is no load.
    before, start = sum(service.cpu_times()[:2]), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result.service_seconds = sum(service.cpu_times()[:2]) - before
    return result


def _asked(
    host: str, path: str, bodies: Sequence[bytes], first: int, end: float
) -> Iterator[tuple[int, float, float, list[float] | None]]:
    """(number of the picture, when it was sent, when it was answered, the answer)."""
    with contextlib.closing(http.client.HTTPConnection(host, timeout=120)) as connection:
        for number in itertools.count(first * 7):
            sent = time.perf_counter()
            if sent >= end:
                return
            answer = ask(connection, path, bodies[number % len(bodies)])
            yield number % len(bodies), sent, time.perf_counter(), answer


if __name__ == "__main__":
    pictures = [path.read_bytes() for path in sorted(pathlib.Path(sys.argv[2]).iterdir())]
    seen = tally(
        sys.argv[1],
        pictures,
        int(sys.argv[3]),
        float(sys.argv[4]),
        psutil.Process(int(sys.argv[5])),
    )
    print(json.dumps(dataclasses.asdict(seen)))
