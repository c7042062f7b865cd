"""What every source of a catalogue offers: a survey, and products to encode."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from cdisc_tfds.catalogue.encoding import Opener
from cdisc_tfds.catalogue.plan import Plan, PlannedProduct

# (kind, place, offset, product's id, reason) of what cannot be used, as in `CatalogueRejection`.
OnRejected = Callable[[str, int, int | None, str | None, str], None]


@dataclasses.dataclass(frozen=True)
class Found:
    """A product to encode.

    Attributes:
      product: as planned.
      offset: of its document in a dump, or None.
      payload: what the opener needs.
    """

    product: PlannedProduct
    offset: int | None
    payload: Any


class Source(Protocol):
    """A table, a folder or a dump.

    Attributes:
      path: its file or folder.
      notes: what the user should know of how it was read; complete after `survey`.
    """

    path: str
    notes: list[str]

    def survey(
        self, plan: Plan, on_rejected: OnRejected, on_progress: Callable[[int], None]
    ) -> None:
        """Adds a row per line, file or document to the plan.

        Args:
          plan: where to.
          on_rejected: called for what cannot be used.
          on_progress: called with the number of rows so far.
        """
        ...

    def products(self, plan: Plan) -> Iterator[Found]:
        """The products, in order, after the survey."""
        ...

    def opener(self) -> Opener:
        """Gets the pictures of the products."""
        ...

    def made_from(self) -> dict[str, Any]:
        """The source's identity, as JSON values."""
        ...
