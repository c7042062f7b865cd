"""The command as a process: where it listens, what it prints, how it ends."""

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.running_service import Client, instances, read_reply
from trainer.data.tf_decoding import decode_jpeg
from trainer.serve import Options, main
from trainer.service.options import ServiceOptions, name_of
from trainer.service.server import AddressError, bound_socket, url_of
from trainer.terminal.option import OptionError

ROOT = pathlib.Path(__file__).parents[3]


def command(*flags):
    return [sys.executable, "-m", "trainer.serve", *map(str, flags)]


@pytest.fixture
def process(run_folder):
    """The service in a process of its own: (process, client)."""
    service = subprocess.Popen(
        command(f"--run_dir={run_folder.path}", "--port=0", "--max_batch=8"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = [service.stdout.readline() for _ in range(5)]
        found = re.search(r"http://127\.0\.0\.1:(\d+)/$", lines[1].rstrip())
        assert found, (lines, service.stderr.read())
        assert lines[0] == "Serving run, 6 classes. Ctrl-C or SIGTERM ends it.\n"
        assert lines[3].endswith("/v1/models/run:predict\n")
        yield service, Client(int(found[1]), service.terminate)
    finally:
        service.kill()
        service.communicate()


class Caller:
    """Asks again and again, on one connection, until the service ends."""

    def __init__(self, client, jpegs, seed):
        self._client, self._jpegs, self._rng = client, jpegs, np.random.default_rng(seed)
        self.answers: list[tuple[np.ndarray, list]] = []  # (pictures, probabilities)
        self.lost: list[float] = []  # when requests without an answer were sent
        self.refused = 0

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._client.port, timeout=60)
        with contextlib.closing(connection):
            while True:
                places = self._rng.integers(0, len(self._jpegs), self._rng.integers(1, 5))
                body = json.dumps(instances([self._jpegs[place] for place in places]))
                sent = time.monotonic()
                try:
                    connection.request("POST", "/v1/models/run:predict", body)
                    sent = time.monotonic()
                    reply = read_reply(connection)
                except OSError:
                    self.lost.append(sent)
                    return
                if reply.status == 503:
                    self.refused += 1
                    return
                assert reply.status == 200, reply
                rows = reply.json["predictions"]
                self.answers.append((places, [row["probabilities"] for row in rows]))


def test_a_signal_under_load_loses_nothing(process, runs, jpegs):
    service, client = process
    predictor = runs.members[0].predictor
    size = predictor.image_size
    expected = predictor.probabilities(tf.stack([decode_jpeg(jpeg, size) for jpeg in jpegs]))
    callers = [Caller(client, jpegs, seed) for seed in range(12)]
    with concurrent.futures.ThreadPoolExecutor(len(callers)) as threads:
        running = [threads.submit(caller.run) for caller in callers]
        while sum(len(caller.answers) for caller in callers) < 100:
            time.sleep(0.05)
            assert service.poll() is None
        signalled = time.monotonic()
        service.send_signal(signal.SIGTERM)
        for one in running:
            one.result(60)
    out, err = service.communicate(timeout=60)
    assert (service.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "Stopped. All requests in work were answered."
    # Whatever was sent before the signal was answered.
    assert all(sent > signalled for caller in callers for sent in caller.lost)
    answers = [answer for caller in callers for answer in caller.answers]
    for places, rows in answers:
        np.testing.assert_allclose(rows, expected[places], atol=1e-6)


def test_a_port_in_use_is_told_before_the_network_is_loaded(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AddressError, match=f"--port must be free.*{port} on 127.0.0.1") as one:
            bound_socket("127.0.0.1", port)
        assert "--port=0 takes any free port." in str(one.value)
        # There is no run in this folder: the port comes first.
        with pytest.raises(AddressError, match="--port must be free"):
            main(Options(run_dir=str(tmp_path), port=port))


def test_a_wrong_address_is_told():
    for host in ("no such host", "203.0.113.1"):
        with pytest.raises(AddressError, match="--host must be a name or an address of this mach"):
            bound_socket(host, 0)


def test_addresses_for_a_browser():
    with bound_socket("127.0.0.1", 0) as sock:
        assert url_of(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}/"
    if socket.has_ipv6:
        with contextlib.suppress(AddressError), bound_socket("::1", 0) as sock:
            assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}/"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "a/b"}, "--name must consist of letters"),
        ({"max_pictures": 9, "max_waiting": 8}, "--max_waiting must be at least --max_pictures"),
        ({"max_body_mb": 9, "max_memory_mb": 8}, "--max_memory_mb must be at least --max_body_mb"),
    ],
)
def test_options_that_contradict_are_refused(options, text):
    with pytest.raises(OptionError, match=text):
        ServiceOptions(**options).require_consistent()


def test_names_that_fit_an_address():
    assert name_of("inception-adam_2.1") == "inception-adam_2.1"
    assert name_of("mon réseau/2") == "mon-r-seau-2"
    assert name_of("ж") == "model"


def test_missing_packages_are_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    text = "The service needs the package aiohttp. Install .*: pip install 'cdiscount.*\\[serve\\]'"
    with pytest.raises(OptionError, match=text):
        main(Options(run_dir=str(tmp_path)))
