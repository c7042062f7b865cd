"""Reads the bodies of requests within the service's limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from http import HTTPStatus
from typing import TypeVar

from aiohttp import BodyPartReader, web

from trainer.service.options import MEGABYTE, ServiceOptions
from trainer.service.pictures import Picture
from trainer.service.refusals import RefusalError, overloaded, too_large, wrong

_CHUNK = 1 << 16
_Read = TypeVar("_Read")


class HeldBytes:
    """The bytes of all requests that are in work; what has arrived counts, not what is announced.

    Args:
      most: limit on their sum.
    """

    def __init__(self, most: int):
        self._most, self.held = most, 0

    def take(self, number: int) -> None:
        """Counts bytes that have arrived; raises RefusalError beyond the limit."""
        if self.held + number > self._most:
            raise overloaded(
                f"The requests that this service is working on have {self._most // MEGABYTE} MB, "
                "which is its limit. Try again in a second."
            )
        self.held += number

    def release(self, number: int) -> None:
        """Takes bytes off the count."""
        self.held -= number


class Body:
    """The body of one request; a context that counts its bytes as held until the answer.

    Args:
      request: the request.
      options: the limits.
      held: the count of the service.
    """

    def __init__(self, request: web.Request, options: ServiceOptions, held: HeldBytes):
        self._request, self._options, self._held = request, options, held
        self._size = 0

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.release(self._size)

    async def read(self) -> bytes:
        """All of it.

        Raises:
          RefusalError: if it is too large, or takes too long to arrive.
        """
        self._require_length()
        return await self._in_time(self._read())

    async def pictures(self) -> list[Picture]:
        """The files of a form (`multipart/form-data`); its other fields are ignored.

        Raises:
          RefusalError: as in `read`, or if it is no such form.
        """
        self._require_length()
        return await self._in_time(self._pictures())

    async def _read(self) -> bytes:
        return b"".join([chunk async for chunk in self._chunks(self._request.content.iter_any())])

    async def _pictures(self) -> list[Picture]:
        pictures: list[Picture] = []
        try:
            async for part in await self._request.multipart():
                if not isinstance(part, BodyPartReader):
                    raise wrong("A form with photos must not hold another form.")
                data = b"".join([chunk async for chunk in self._chunks(_part_chunks(part))])
                if part.filename is not None:
                    where = f"picture {len(pictures) + 1} ({part.filename})"
                    if not data:
                        raise wrong(f"{where} is empty.")
                    pictures.append(Picture(data, where))
        except RefusalError:
            raise
        except ValueError as error:  # what the framework raises for damaged forms
            raise wrong(f"The body must be a form with files. It cannot be read: {error}") from None
        if not pictures:
            raise wrong("A form must have at least one file, a photo of the product.")
        return pictures

    async def _chunks(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._require_size(self._size + len(chunk))
            self._held.take(len(chunk))
            self._size += len(chunk)
            yield chunk

    def _require_length(self) -> None:
        self._require_size(self._request.content_length or 0)

    def _require_size(self, size: int) -> None:
        if size > self._options.max_body_mb * MEGABYTE:
            raise too_large(
                f"A request may have at most {self._options.max_body_mb} MB. Received: "
                f"{size / MEGABYTE:.1f} MB or more. Send fewer or smaller pictures."
            )

    async def _in_time(self, reading: Awaitable[_Read]) -> _Read:
        seconds = self._options.client_timeout
        try:
            return await asyncio.wait_for(reading, seconds)
        except asyncio.TimeoutError:
            raise RefusalError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"A request must arrive within {seconds:g} seconds. Received after that: "
                f"{self._size:,} bytes.",
                reason="slow",
            ) from None


async def _part_chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(_CHUNK):
        yield chunk
