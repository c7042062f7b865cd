"""Runs the service: binds the port, answers until a signal comes, and then finishes its work."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web

from trainer.service.application import Service
from trainer.service.connections import Connections, GuardedConnection
from trainer.service.engine import Engine
from trainer.service.metrics import Metrics
from trainer.service.options import ServiceOptions
from trainer.terminal.signals import heeded_signals

_BACKLOG = 1024
_KEEP_ALIVE = 75.0  # seconds that a connection may wait for its next request
_LAST_CALL = 0.1  # seconds in which a request that was sent before the signal still begins


class AddressError(ValueError):
    """The service cannot listen where it was told to."""


def bound_socket(host: str, port: int) -> socket.socket:
    """Takes the address before the networks are loaded; nobody can connect yet.

    Raises:
      AddressError: if the address is taken, forbidden, or not of this machine.
    """
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise _foreign(host, error) from None
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise _foreign(host, error) from None
        raise AddressError(
            f"--port must be free, and yours to take. Received: {port} on {host} "
            f"({error.strerror}). Choose another one, or stop the program that listens there; "
            "--port=0 takes any free port."
        ) from None
    return sock


def _foreign(host: str, error: Exception) -> AddressError:
    return AddressError(
        f"--host must be a name or an address of this machine. Received: {host} ({error})."
    )


def url_of(sock: socket.socket) -> str:
    """The address of a bound socket, for a browser."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


class Server:
    """A service that answers on a socket; its coroutines belong to one event loop.

    Args:
      sock: from `bound_socket`.
      engine, service: what answers.
      options: limits and times.
      metrics: what is counted.
    """

    def __init__(
        self,
        sock: socket.socket,
        engine: Engine,
        service: Service,
        options: ServiceOptions,
        metrics: Metrics,
    ):
        self._sock, self._engine, self._service = sock, engine, service
        self._options = options
        self._connections = Connections(options.max_connections, options.client_timeout, metrics)
        self._runner = web.AppRunner(
            service.application(),
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE,
            handler_cancellation=True,
            shutdown_timeout=options.client_timeout,
        )

    async def start(self) -> None:
        """Clients can connect from now on."""
        await self._runner.setup()
        framework = self._runner.server
        assert framework is not None
        self._listener = await asyncio.get_running_loop().create_server(
            functools.partial(GuardedConnection, framework, self._connections),
            sock=self._sock,
            backlog=_BACKLOG,
        )
        self._batches = asyncio.create_task(self._engine.run())

    async def wait(self, asked: asyncio.Event) -> None:
        """Waits for the event; raises if batches can no longer be formed."""
        signal = asyncio.ensure_future(asked.wait())
        await _first(signal, self._batches)
        signal.cancel()
        if self._batches.done():
            self._batches.result()

    async def stop(self, again: asyncio.Event) -> bool:
        """Takes no new requests, and finishes those in work.

        Args:
          again: whoever asked to stop asks again: wait no longer.

        Returns:
          Whether all of them were answered within `options.grace` seconds.
        """
        await asyncio.sleep(_LAST_CALL)
        self._listener.close()
        stopping = asyncio.ensure_future(self._service.stop(self._options.grace))
        impatient = asyncio.ensure_future(again.wait())
        await _first(stopping, impatient)
        impatient.cancel()
        finished = stopping.done() and stopping.result()
        if not finished:
            stopping.cancel()
            self._connections.abort()
        await self._runner.cleanup()  # sends the last answers
        self._batches.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._batches
        return finished


async def serve(server: Server, ready: Callable[[], None]) -> bool:
    """Answers until a signal comes, then as `Server.stop`; a second signal ends the waiting.

    Args:
      server: what answers.
      ready: called when clients can connect.
    """
    asked, again = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (again if asked.is_set() else asked).set()

    for number in heeded_signals():
        asyncio.get_running_loop().add_signal_handler(number, signalled)
    await server.start()
    ready()
    await server.wait(asked)
    return await server.stop(again)


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
