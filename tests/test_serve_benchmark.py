"""The benchmark of the service counts what it says."""

from __future__ import annotations

import base64
import dataclasses
import http.server
import itertools
import json
import re
import subprocess
import threading

import psutil
import pytest

from benchmarks import serve, serve_clients
from benchmarks.settings import Settings
from tests.conftest import write_competition

PICTURES = 5


@pytest.mark.torture
def test_the_service_is_measured(tmp_path, monkeypatch):
    (tmp_path / "input").mkdir()
    (tmp_path / "work").mkdir()
    settings = Settings(
        tmp_path / "work",
        write_competition(tmp_path / "input"),
        repeats=1,
        seconds=0.5,
        products=60,
        networks=("logistic",),
        image_size=32,
        shuffle_buffer=64,
    )
    monkeypatch.setattr(serve, "NETWORKS", ("logistic",))
    rows = serve.run(settings)
    assert [row.unit for row in rows] == ["pictures/s", "ms", "ms", "ms"]
    assert all(row.ours > 0 for row in rows) and all(row.theirs > 0 for row in rows[:3])
    assert re.search(r"the 50th is \d+ ms; [\d,]+ requests, none lost or mixed up", rows[3].note)


class Answers(http.server.BaseHTTPRequestHandler):
    """A service whose networks take a picture's bytes for probabilities.

    Every fourth answer is lost, and every fourth is of another picture.
    """

    protocol_version = "HTTP/1.1"
    count = itertools.count(-PICTURES)  # the first requests ask for each picture alone

    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        (instance,) = content["instances"]
        number = next(self.count)
        picture = base64.b64decode(instance["b64"])
        if number >= 0 and number % 4 == 1:
            picture = picture[::-1]
        body = json.dumps({"predictions": [{"probability": list(picture)}]}).encode()
        self.send_response(500 if number >= 0 and number % 4 == 2 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_answers_that_are_lost_or_mixed_up_are_counted():
    pictures = [bytes([number + 1, 200]) for number in range(PICTURES)]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"127.0.0.1:{server.server_port}/v1/models/run:predict"
        tally = serve_clients.tally(
            address, pictures, clients=3, seconds=0.3, service=psutil.Process()
        )
        server.shutdown()
    assert tally.requests >= 8
    assert abs(tally.lost - tally.requests / 4) <= 1
    assert abs(tally.mixed_up - tally.requests / 4) <= 1
    assert serve.rate(tally) == pytest.approx(tally.requests / tally.seconds)
    assert 0 < serve.percentile(tally, 50) <= serve.percentile(tally, 99) < 1000 * tally.seconds


def test_a_service_that_gives_wrong_answers_ends_the_benchmark(tmp_path, monkeypatch):
    seen = serve_clients.Tally([0.1, 0.2], lost=1, mixed_up=0, seconds=0.5)
    result = subprocess.CompletedProcess([], 0, json.dumps(dataclasses.asdict(seen)), "")
    monkeypatch.setattr(serve.subprocess, "run", lambda *_, **__: result)
    with pytest.raises(serve.ServeError, match="Of 2 requests of 4 clients, 1 were lost and 0"):
        serve.asked("here", tmp_path, 4, 1.0, psutil.Process())
