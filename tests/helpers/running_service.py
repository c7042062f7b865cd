"""Runs a service within the test's process, and talks HTTP to it with the standard library."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trainer.prediction.loaded_runs import LoadedRuns
from trainer.service.application import Model, Service
from trainer.service.engine import Engine
from trainer.service.metrics import Metrics
from trainer.service.options import ServiceOptions
from trainer.service.page import page
from trainer.service.server import Server, bound_socket
from trainer.service.similar import Similar

_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Reply:
    """An answer: status, headers with names in lower case, and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json["error"]


@dataclasses.dataclass(frozen=True)
class Client:
    """Sends requests to a port of this machine, each on a connection of its own.

    Attributes:
      port: of the service.
      stop: asks the service to stop, and returns at once.
    """

    port: int
    stop: Callable[[], object]

    def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        headers = {} if content_type is None else {"Content-Type": content_type}
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            return read_reply(connection)

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def predict(self, content: Any, name: str = "run") -> Reply:
        """Posts JSON to the model, without a content type, as TensorFlow Serving allows."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.request("POST", f"/v1/models/{name}:predict", body)

    def classify(self, *files: tuple[str, bytes]) -> Reply:
        """Posts a form with files: (name, content) of each."""
        boundary = b"a-boundary-that-is-in-no-picture"
        parts = [
            b'--%s\r\nContent-Disposition: form-data; name="picture"; filename="%s"\r\n\r\n%s\r\n'
            % (boundary, name.encode(), content)
            for name, content in files
        ]
        body = b"".join(parts) + b"--%s--\r\n" % boundary
        kind = f"multipart/form-data; boundary={boundary.decode()}"
        return self.request("POST", "/classify", body, kind)

    def metric(self, name: str) -> float:
        """The value of a metric, by its name with labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        values = [line.rpartition(" ")[2] for line in lines if line.rpartition(" ")[0] == name]
        return float(values[0]) if values else 0.0

    def connect(self) -> socket.socket:
        """An open connection, for requests that are no good."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS)


def read_reply(connection: http.client.HTTPConnection) -> Reply:
    """Reads the answer on a connection."""
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def b64(data: bytes) -> dict[str, str]:
    """A file as the JSON interfaces take it."""
    return {"b64": base64.b64encode(data).decode()}


def instances(pictures: Sequence[bytes]) -> dict[str, Any]:
    """A request with a row for each picture."""
    return {"instances": [b64(picture) for picture in pictures]}


@contextlib.contextmanager
def running_service(
    runs: LoadedRuns, similar: Similar | None = None, **options: Any
) -> Iterator[Client]:
    """A service of these runs, whose model is called `run`, on a free port."""
    settings = ServiceOptions(**options)
    settings.require_consistent()
    metrics = Metrics()
    engine = Engine(runs, settings, metrics, similar)
    engine.warm_up()
    sock = bound_socket("127.0.0.1", 0)
    port, ready = sock.getsockname()[1], threading.Event()
    stop: list[Any] = []

    async def serve() -> bool:
        described = None if similar is None else similar.description
        about = page("A <run>", "Looks at photos.", described)
        service = Service(engine, Model("run", "7"), settings, metrics, about)
        server, asked = Server(sock, engine, service, settings, metrics), asyncio.Event()
        stop.extend([asyncio.get_running_loop(), asked])
        await server.start()
        ready.set()
        await server.wait(asked)
        return await server.stop(asyncio.Event())

    def ask() -> None:
        loop, asked = stop
        if not loop.is_closed():
            loop.call_soon_threadsafe(asked.set)

    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(serve())))
    thread.start()
    assert ready.wait(_SECONDS)
    try:
        yield Client(port, ask)
    finally:
        ask()
        thread.join(_SECONDS)
    assert results == [True], "requests in work were not finished"
