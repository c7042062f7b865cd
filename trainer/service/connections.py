"""Guards the service's connections: how many there are, and how long a client may take.

The web framework sees a request once its headers are whole, and forgets it once its answer is
handed to the system. A client that sends half a header, or never reads its answer, would keep a
connection for ever.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from trainer.service.metrics import Metrics

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nRetry-After: 1\r\nContent-Length: %d\r\n\r\n%s"
)
_TEXT = b'{"error": "This service has as many connections as it takes. Try again in a second."}'

_LATE = 1.0  # seconds that the event loop may be late


@dataclasses.dataclass
class Connections:
    """The open connections of a service.

    Attributes:
      most: how many there may be.
      client_timeout: seconds for a request's headers to arrive, and for an answer to be taken.
      metrics: what is counted.
      open: the transports of those that are open.
    """

    most: int
    client_timeout: float
    metrics: Metrics
    open: set[asyncio.Transport] = dataclasses.field(default_factory=set)

    def opened(self, transport: asyncio.Transport) -> None:
        """Counts a connection."""
        self.open.add(transport)
        self.metrics.connections.set(len(self.open))

    def closed(self, transport: asyncio.Transport) -> None:
        """Takes a connection off the count."""
        self.open.discard(transport)
        self.metrics.connections.set(len(self.open))

    def abort(self) -> None:
        """Closes all of them at once; what was not sent is lost."""
        for transport in tuple(self.open):
            transport.abort()


class GuardedConnection(asyncio.Protocol):
    """A connection: hands everything to the web framework, and closes what takes too long.

    Args:
      framework: makes the framework's own protocol.
      connections: of the service.
    """

    def __init__(self, framework: Callable[[], asyncio.Protocol], connections: Connections):
        self._framework, self._connections = framework, connections
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection, or refuses it."""
        assert isinstance(transport, asyncio.Transport)
        if len(self._connections.open) >= self._connections.most:
            transport.write(_FULL % (len(_TEXT), _TEXT))
            transport.close()
            return
        self._transport, self._inner = transport, self._framework()
        self._connections.opened(transport)
        self._inner.connection_made(transport)
        self._wait()

    def request_began(self) -> None:
        """The headers of a request are here: the application watches its body."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def request_ended(self) -> None:
        """The answer is on its way; the client has to take it, and may send another request."""
        self._wait()

    def data_received(self, data: bytes) -> None:
        """As in asyncio.Protocol."""
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """As in asyncio.Protocol."""
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        """As in asyncio.Protocol."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """As in asyncio.Protocol."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """As in asyncio.Protocol."""
        self.request_began()  # no timer any more
        if self._inner is not None and self._transport is not None:
            self._connections.closed(self._transport)
            self._inner.connection_lost(exc)

    def _wait(self) -> None:
        """Ends the connection unless a whole request begins in time."""
        self.request_began()
        assert self._transport is not None
        if not self._transport.is_closing():
            loop, seconds = asyncio.get_running_loop(), self._connections.client_timeout
            self._timer = loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        # On a busy machine, this may be called before what has arrived in time is handled.
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LATE, self._transport.abort)
