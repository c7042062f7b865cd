"""A bucket of Google Cloud Storage on loopback, as far as TensorFlow's client uses it.

The client's addresses are fixed, but it heeds `https_proxy` and `CURL_CA_BUNDLE`. So this is a
proxy that answers, with a certificate of its own, in place of `*.googleapis.com`:
https://cloud.google.com/storage/docs/json_api.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import re
import shutil
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

_HOSTS = ("www.googleapis.com", "storage.googleapis.com")
_OBJECTS = re.compile(r"/(upload/)?storage/v1/b/[^/]+/o(?:/([^/]*))?")


class ObjectStore:
    """The objects of all buckets together, by name.

    Attributes:
      objects: name -> (contents, number of the write).
      before_write: called with the name before an object appears; if it raises a ConnectionError,
        the object stays as it was.
      refuses: whether it refuses every request.
      environment: what points a process's TensorFlow here.
      requests: number of requests so far, by method.
    """

    def __init__(self, port: int, certificate: pathlib.Path):
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.before_write: Callable[[str], None] = lambda name: None
        self.refuses = False
        self.requests: dict[str, int] = {}
        self.environment = {
            "https_proxy": f"http://127.0.0.1:{port}",
            "CURL_CA_BUNDLE": str(certificate),
            "NO_GCE_CHECK": "true",  # else it asks for credentials for seconds
        }
        self._writes = 0
        self._lock = threading.Lock()

    def write(self, name: str, content: bytes) -> None:
        self.before_write(name)
        with self._lock:
            self._writes += 1
            self.objects[name] = content, self._writes

    def contents(self, prefix: str) -> dict[str, bytes]:
        """The objects below a folder, without the markers of folders; names are relative to it."""
        return {
            name.removeprefix(prefix): content
            for name, (content, _) in self.objects.items()
            if name.startswith(prefix) and not name.endswith("/")
        }


@contextlib.contextmanager
def object_store(folder: pathlib.Path) -> Iterator[ObjectStore]:
    """Runs a store in threads of this process; `folder` keeps its certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    if shutil.which("openssl") is None:
        pytest.skip("needs the command openssl, to make a certificate")
    names = ",".join(f"DNS:{host}" for host in _HOSTS)
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-subj", f"/CN={_HOSTS[0]}", "-addext", f"subjectAltName={names}"]
    words += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(_Handler):
        tls = context

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.store = ObjectStore(server.server_address[1], certificate)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Handler.store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: ObjectStore
    tls: ssl.SSLContext

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError):  # the client was killed
            self.close_connection = True

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        """Becomes the host that the client asked for."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.connection = self.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.close_connection = False

    def do_GET(self) -> None:
        place, query = self._split()
        if self.store.refuses:
            self._answer(403, {"error": {"message": "this account has no right to read"}})
            return
        if self.headers["Host"].startswith("storage."):
            self._download(urllib.parse.unquote(place.split("/", 2)[2]))
        elif (found := _OBJECTS.fullmatch(place)) is None:
            self._answer(200, {"name": "bucket", "location": "US"})
        elif found[2] is None:
            self._list(query)
        else:
            name = urllib.parse.unquote(found[2])
            if name not in self.store.objects:
                self._answer(404, {})
                return
            content, number = self.store.objects[name]
            updated = (
                f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
            )
            self._answer(
                200, {"size": str(len(content)), "generation": str(number), "updated": updated}
            )

    def do_POST(self) -> None:
        _, query = self._split()
        content = self._body()
        if query["uploadType"] == "media":
            self._written(query["name"], content)
            return
        session = urllib.parse.urlencode({"name": query["name"], "session": 1})
        self._answer(200, {}, Location=f"https://{_HOSTS[0]}/upload/storage/v1/b/b/o?{session}")

    def do_PUT(self) -> None:
        _, query = self._split()
        self._written(query["name"], self._body())

    def do_DELETE(self) -> None:
        place, _ = self._split()
        found = _OBJECTS.fullmatch(place)
        gone = found and self.store.objects.pop(urllib.parse.unquote(found[2] or ""), None)
        self._answer(404 if gone is None else 204, None)

    def _split(self) -> tuple[str, dict[str, str]]:
        """The path, still quoted, and the query."""
        self.store.requests[self.command] = self.store.requests.get(self.command, 0) + 1
        parts = urllib.parse.urlsplit(self.path)
        return parts.path, dict(urllib.parse.parse_qsl(parts.query))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while length := int(self.rfile.readline() or _gone(), 16):
                content += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _written(self, name: str, content: bytes) -> None:
        self.store.write(name, content)
        self._answer(200, {"name": name})

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        names = sorted(name for name in self.store.objects if name.startswith(prefix))
        folders = set()
        if delimiter:
            ends = {name: name.find(delimiter, len(prefix)) for name in names}
            folders = {name[: end + 1] for name, end in ends.items() if end >= 0}
            names = [name for name, end in ends.items() if end < 0]
        names = names[: int(query.get("maxResults", len(names)))]
        items = [{"name": name} for name in names]
        self._answer(200, {"items": items, "prefixes": sorted(folders)})

    def _download(self, name: str) -> None:
        if name not in self.store.objects:
            self._answer(404, {})
            return
        content = self.store.objects[name][0]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if wanted is None:
            self._answer(200, content)
        elif int(wanted[1]) >= len(content):
            self._answer(416, {})
        else:
            self._answer(206, content[int(wanted[1]) : int(wanted[2]) + 1])

    def _answer(self, status: int, content: object, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        body = b"" if status == 204 else body
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _gone() -> NoReturn:
    raise ConnectionResetError
