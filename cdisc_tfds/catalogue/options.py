"""What the user asked for, and the error that tells them what is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

from cdisc_tfds.catalogue.fitted_picture import DEFAULT_MAX_SIZE

# What a picture file in a category's folder belongs to.
PRODUCT_RULES = ("file", "name", "folder")
SPLITS = ("train", "test")


class CatalogueError(ValueError):
    """The catalogue cannot be made; the message says why, and what to do."""


@dataclasses.dataclass(frozen=True)
class CatalogueOptions:
    """The options of one run.

    Attributes:
      output_dir: folder of the files to write.
      csv: path of a table of products, or None.
      images: folder that the picture files of a table or of a dump are in; None: the table's.
      folders: a folder with a folder per category, or None.
      dump: what mongodump wrote, or None. Exactly one of `csv`, `folders` and `dump` is set.
      collection: the collection to read from an archive, "DB.NAME"; None if there is only one.
      product_id, category_id: column or field; None: found by its usual names. Of a table, `row` as
        the first numbers the rows.
      category, pictures: columns or fields; empty: found by their usual names.
      category_separator: what stands between the levels of a category's path.
      picture_separator: what stands between several files in a cell; None: | or ; or a comma.
      delimiter: what stands between the cells of the table; None: found out.
      category_names: path of a file in the format of category_names.csv whose categories to use.
      product: one of `PRODUCT_RULES`.
      split: one of `SPLITS`; None: products with a category are train, the others test.
      test_share: share of the products with a category to set aside as test, from 0 to below 1.
      max_size: longest side of a picture, in pixels.
      keep_going: use what can be used, even if that is less than half of it.
      overwrite: replace what an earlier run wrote.
      num_processes: number of processes.
    """

    output_dir: str
    csv: str | None = None
    images: str | None = None
    folders: str | None = None
    dump: str | None = None
    collection: str | None = None
    product_id: str | None = None
    category_id: str | None = None
    category: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    category_separator: str = ">"
    picture_separator: str | None = None
    delimiter: str | None = None
    category_names: str | None = None
    product: str = "file"
    split: str | None = None
    test_share: float = 0.0
    max_size: int = DEFAULT_MAX_SIZE
    keep_going: bool = False
    overwrite: bool = False
    num_processes: int = 1

    def __post_init__(self) -> None:
        """Raises CatalogueError for values that do not fit together."""
        sources = [name for name in ("csv", "folders", "dump") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise CatalogueError(
                "A catalogue is made from one of --csv, --folders and --dump. Received: "
                f"{' and '.join(f'--{name}' for name in sources) or 'none of them'}."
            )
        _require(self.max_size >= 1, "--max_size must be 1 or more", self.max_size)
        _require(self.num_processes >= 1, "--processes must be 1 or more", self.num_processes)
        _require(
            0 <= self.test_share < 1, "--test_share must be from 0 to below 1", self.test_share
        )
        _require(
            not self.test_share or self.split is None,
            "--test_share divides the products with a category, so it goes without --split",
            f"--split={self.split}",
        )
        _require(bool(self.category_separator), "--category_separator must not be empty", "''")
        if self.folders is not None:
            self._refuse_with("folders", "images", "product_id", "category_id", "category")
            self._refuse_with("folders", "pictures", "picture_separator", "delimiter", "collection")
        elif self.product != "file":
            raise CatalogueError("--product says how to read folders, so it needs --folders.")
        if self.csv is not None:
            self._refuse_with("csv", "collection")
        if self.dump is not None:
            self._refuse_with("dump", "delimiter")

    def _refuse_with(self, source: str, *names: str) -> None:
        for name in names:
            if getattr(self, name):
                raise CatalogueError(f"--{name} has no meaning with --{source}. Leave it out.")

    def that_shape_the_files(self) -> dict[str, Any]:
        """The options that the contents of the files depend on, as JSON values."""
        values = dataclasses.asdict(self)
        for name in ("output_dir", "keep_going", "overwrite", "num_processes"):
            del values[name]
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def _require(holds: bool, rule: str, received: object) -> None:
    if not holds:
        raise CatalogueError(f"{rule}. Received: {received}.")
