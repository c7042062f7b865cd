"""Clients that send half a request, too much, or go away: they cost nothing, and others go on."""

import contextlib
import dataclasses
import gzip
import http.client
import json
import socket
import threading
import time

import numpy as np
import pytest

from tests.helpers.running_service import Client, instances, read_reply, running_service

HEADERS = "POST /v1/models/run:predict HTTP/1.1\r\nHost: here\r\n"


@dataclasses.dataclass
class HeldRuns:
    """Runs whose network works only while it is not held."""

    runs: object
    began: threading.Event = dataclasses.field(default_factory=threading.Event)
    free: threading.Event = dataclasses.field(default_factory=threading.Event)

    def __getattr__(self, name):
        return getattr(self.runs, name)

    def predict(self, pictures, ordinals):
        self.began.set()
        assert self.free.wait(30)
        return self.runs.predict(pictures, ordinals)

    @contextlib.contextmanager
    def held(self, client: Client, request):
        """Within the block, the network works on `request`, and waits."""
        self.began.clear()
        self.free.clear()
        replies = []
        thread = threading.Thread(target=lambda: replies.append(client.predict(request)))
        thread.start()
        assert self.began.wait(30)
        try:
            yield
        finally:
            self.free.set()
            thread.join(30)
        assert [reply.status for reply in replies] == [200]


@pytest.fixture
def held_runs(runs):
    held = HeldRuns(runs)
    held.free.set()
    return held


def await_metric(client, name, value):
    """Waits until a metric has a value."""
    deadline = time.monotonic() + 20
    while client.metric(name) != value:
        assert time.monotonic() < deadline, f"{name} is {client.metric(name)}, not {value}"
        time.sleep(0.02)


def await_refusal(client):
    """Waits until nobody can connect any more."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            client.connect().close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # just then
            continue
    raise AssertionError("the port still takes connections")


def closed(connection) -> bytes:
    """What arrives on a socket until the service closes it."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("sent", [b"", b"POST /v1/mod", (HEADERS + "X-Rest: ").encode()])
def test_half_a_header_ends_the_connection(runs, jpegs, sent):
    with running_service(runs, client_timeout=0.5) as client, client.connect() as connection:
        connection.sendall(sent)
        start = time.monotonic()
        assert client.predict(instances(jpegs[:1])).status == 200  # others go on
        assert closed(connection) == b""
        assert time.monotonic() - start < 30
        await_metric(client, "classifier_connections", 1)  # the one that asks


def test_half_a_body_ends_the_request(runs, jpegs):
    with running_service(runs, client_timeout=0.5) as client, client.connect() as connection:
        connection.sendall(f'{HEADERS}Content-Length: 1000\r\n\r\n{{"insta'.encode())
        assert client.predict(instances(jpegs[:1])).status == 200
        reply = closed(connection)
        assert reply.startswith(b"HTTP/1.1 408 ")
        assert b"must arrive within 0.5 seconds. Received after that: 7 bytes." in reply
        assert client.metric('classifier_refusals_total{reason="slow"}') == 1
        assert client.metric("classifier_pictures_in_work") == 0


def test_a_second_request_may_stop_halfway_too(runs):
    with running_service(runs, client_timeout=0.5) as client, client.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\nGET /hea")
        reply = closed(connection)
        assert reply.count(b"HTTP/1.1 200 OK") == 1 and reply.endswith(b'{"status": "ok"}')


def test_what_is_no_http_is_refused(runs):
    with running_service(runs) as client, client.connect() as connection:
        connection.sendall(b"\x16\x03\x01 is this TLS?\r\n\r\n")
        assert closed(connection).startswith(b"HTTP/1.0 400 ")
        assert client.get("/healthz").status == 200


@pytest.mark.parametrize("sends", ["half a body", "a whole request"])
def test_a_client_that_goes_away_costs_nothing(held_runs, jpegs, sends):
    with running_service(held_runs, max_batch=1) as client:
        with held_runs.held(client, instances(jpegs[:1])):
            body = json.dumps(instances(jpegs[1:4])).encode()
            sent = body[:100] if sends == "half a body" else body
            with client.connect() as connection:
                connection.sendall(f"{HEADERS}Content-Length: {len(body)}\r\n\r\n".encode() + sent)
                if sends == "a whole request":
                    await_metric(client, "classifier_pictures_in_work", 4)
            await_metric(client, "classifier_clients_gone_total", 1)
            await_metric(client, "classifier_pictures_in_work", 1)
        await_metric(client, "classifier_pictures_in_work", 0)
        # The network has not seen the pictures of the one who left.
        assert client.metric("classifier_pictures_total") == 1
        assert client.predict(instances(jpegs[:2])).status == 200
        assert client.metric("classifier_pictures_total") == 3


def test_a_client_that_does_not_take_its_answer_is_cut_off(runs, jpegs):
    """An answer is larger than what the system keeps for a connection."""
    with running_service(runs, client_timeout=2, max_pictures=2000, max_waiting=2000) as client:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", client.port))
            body = json.dumps(instances(jpegs[:1] * 2000)).encode()
            connection.sendall(f"{HEADERS}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await_metric(client, 'classifier_requests_total{endpoint="predict",status="200"}', 1)
            assert client.metric("classifier_connections") == 2
            await_metric(client, "classifier_connections", 1)
            assert len(closed(connection)) < 1_000_000  # not all of it


@pytest.mark.parametrize("framing", ["length", "chunks", "gzip"])
def test_a_body_beyond_the_limit_is_refused(runs, framing):
    """gzip: a megabyte of zeros in a kilobyte, twice."""
    with running_service(runs, max_body_mb=1) as client:
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        headers, body = {}, bytes(1 << 21)
        if framing == "chunks":
            body = (bytes(1 << 16) for _ in range(32))
        if framing == "gzip":
            headers, body = {"Content-Encoding": "gzip"}, gzip.compress(body)
            assert len(body) < 10_000
        path = "/v1/models/run:predict"
        with contextlib.closing(connection):
            connection.request("POST", path, body, headers, encode_chunked=framing == "chunks")
            reply = read_reply(connection)
        assert reply.status == 413
        assert reply.error.startswith("A request may have at most 1 MB. Received: ")
        assert client.metric('classifier_refusals_total{reason="size"}') == 1


def test_a_large_form_is_refused(runs):
    with running_service(runs, max_body_mb=1) as client:
        assert client.classify(("a.jpg", bytes(1 << 21))).status == 413


def test_bodies_of_all_requests_have_a_limit(held_runs, jpegs):
    with running_service(held_runs, max_body_mb=1, max_memory_mb=1) as client:
        large = instances(jpegs[:1]) | {"comment": "x" * 700_000}
        with held_runs.held(client, large):
            reply = client.predict(large)
            assert reply.status == 429 and reply.headers["retry-after"] == "1"
            assert "have 1 MB, which is its limit. Try again in a second." in reply.error
        assert client.predict(large).status == 200


def test_a_full_queue_is_told_and_empties(held_runs, jpegs):
    with running_service(held_runs, max_pictures=4, max_waiting=4) as client:
        with held_runs.held(client, instances(jpegs[:3])):
            reply = client.predict(instances(jpegs[:2]))
            assert reply.status == 429 and reply.headers["retry-after"] == "1"
            rule = "has 3 pictures in work and takes at most 4. Received 2 more."
            assert rule in reply.error
            assert client.metric('classifier_refusals_total{reason="load"}') == 1
        assert client.predict(instances(jpegs[:4])).status == 200


def test_too_many_connections_are_told(runs):
    with running_service(runs, max_connections=2) as client:
        with client.connect() as first, client.connect() as second, client.connect() as third:
            reply = closed(third)
            assert reply.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"as many connections as it takes" in reply
            first.close()
            second.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert closed(second).startswith(b"HTTP/1.1 200 OK")
        assert client.get("/healthz").status == 200


def test_requests_in_work_are_finished_and_new_ones_refused(held_runs, jpegs):
    """What SIGTERM asks for, within one process."""
    replies = []
    with running_service(held_runs) as client:
        waits = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        waits.request("GET", "/healthz")
        read_reply(waits)  # the connection stays open
        held_runs.began.clear()
        held_runs.free.clear()
        thread = threading.Thread(
            target=lambda: replies.append(client.predict(instances(jpegs[:2])))
        )
        thread.start()
        assert held_runs.began.wait(30)
        try:
            client.stop()
            await_refusal(client)
            waits.request("GET", "/healthz")
            reply = read_reply(waits)
            assert reply.status == 503 and "is stopping" in reply.error
            assert reply.headers["connection"] == "close"
        finally:
            held_runs.free.set()
            thread.join(30)
    (reply,) = replies
    assert reply.status == 200 and reply.headers["connection"] == "close"
    assert np.isfinite(reply.json["predictions"][0]["probabilities"]).all()
