"""Requests that the service refuses: a status code and a sentence."""

from __future__ import annotations

from http import HTTPStatus


class RefusalError(ValueError):
    """A request is refused.

    Args:
      status: the HTTP status code.
      text: a sentence for the person who wrote the client.
      reason: one word for the metrics.
      retry_after: seconds after which the same request may succeed; None: it never will.
    """

    def __init__(
        self,
        status: HTTPStatus,
        text: str,
        *,
        reason: str = "request",
        retry_after: int | None = None,
    ):
        super().__init__(text)
        self.status, self.text, self.reason, self.retry_after = status, text, reason, retry_after


def wrong(text: str) -> RefusalError:
    """A request that is not as the interface says: 400."""
    return RefusalError(HTTPStatus.BAD_REQUEST, text)


def too_large(text: str) -> RefusalError:
    """A request beyond a limit of this service: 413."""
    return RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text, reason="size")


def wrong_media(text: str) -> RefusalError:
    """Bytes of a format that the service does not read: 415."""
    return RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, reason="format")


def overloaded(text: str) -> RefusalError:
    """More work than the service takes at once: 429."""
    return RefusalError(HTTPStatus.TOO_MANY_REQUESTS, text, reason="load", retry_after=1)


def stopping() -> RefusalError:
    """The service is about to end: 503."""
    return RefusalError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This service is stopping and takes no more requests. Send this one to another, or again "
        "when it is back.",
        reason="stopping",
        retry_after=5,
    )
