"""The folder that a catalogue is written to, and what is said there of how it was made.

train.bson, test.bson   products, as in the competition's files
category_names.csv      their categories
product_ids.csv         `product_id,id`: the shop's id of each number, if the ids are no numbers
solution.csv            `_id,category_id`: the categories of test products, where they are known
rejected.jsonl          what was left out
catalogue.json          what each file was made from; written last
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pathlib
import secrets
from collections.abc import Iterator
from typing import Any

from cdisc_tfds.catalogue import rejections
from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.file_lock import locked
from cdisc_tfds.manual_files import CATEGORIES
from cdisc_tfds.whole_files import can_create, write_json

ABOUT = "catalogue.json"
PRODUCT_IDS = "product_ids.csv"
PRODUCT_IDS_HEADER = ("product_id", "id")
SOLUTION = "solution.csv"
SPLIT_FILES = {"train": "train.bson", "test": "test.bson"}
FILES = (*SPLIT_FILES.values(), CATEGORIES, PRODUCT_IDS, SOLUTION, rejections.FILE)
# What a run for the test split alone writes; the rest stays.
TEST_FILES = (SPLIT_FILES["test"], SOLUTION)

_FORMAT = 1


class OutputFolder:
    """The folder, locked by one run.

    Attributes:
      path: the folder.
      test_only: whether the run writes the test split alone, beside what is there.
      about: contents of catalogue.json; empty without one. Known once it is locked.
    """

    def __init__(self, path: str, test_only: bool):
        self.path = pathlib.Path(path)
        self.test_only = test_only
        self.about: dict[str, Any] = {}

    def _read_about(self) -> dict[str, Any]:
        try:
            about = json.loads((self.path / ABOUT).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise CatalogueError(
                f"{self.path / ABOUT} must say what the files beside it were made from. Received: "
                f"one that cannot be read ({error}). Choose another --output_dir, or remove the "
                "files of the catalogue."
            ) from None
        if not isinstance(about, dict) or about.get("format") != _FORMAT:
            raise CatalogueError(
                f"{self.path / ABOUT} must have format {_FORMAT}. Received: another version's. "
                "Choose another --output_dir."
            )
        return about

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Creates the folder; locks out other runs; removes what killed ones have left."""
        if not can_create(self.path / "x"):
            raise CatalogueError(
                "--output_dir must be a folder that can be written to, or a new one within such a "
                f"folder. Received: {self.path}."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        refusal = CatalogueError(
            f"One run at a time may write to {self.path}. Another one is running. Wait for it, or "
            "choose another --output_dir."
        )
        with locked(self.path / ".catalogue.lock", refusal):
            for name in (*FILES, ABOUT, "plan"):
                for left in self.path.glob(f".{name}.*.partial"):
                    left.unlink()
            self.about = self._read_about()
            yield

    @contextlib.contextmanager
    def plan_path(self) -> Iterator[pathlib.Path]:
        """The path of a new database, which is removed at the end."""
        path = self.path / f".plan.{secrets.token_hex(4)}.partial"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def require_free(self, overwrite: bool, made_from: dict[str, Any]) -> None:
        """Raises CatalogueError if the run would replace files and must not.

        Args:
          overwrite: whether it may replace what an earlier run wrote.
          made_from: what the new files would be made from.
        """
        mine = TEST_FILES if self.test_only else FILES
        there = [name for name in mine if (self.path / name).exists()]
        made = self.about.get("files", {})
        foreign = [name for name in there if name not in made]
        if foreign:
            raise CatalogueError(
                "A catalogue is never written over files that this command did not make. "
                f"{self.path} already has {', '.join(foreign)}. Choose another --output_dir."
            )
        there = [name for name in there if name in made]
        if not there or overwrite:
            return
        told = ", ".join(_told(name, made[name]) for name in there)
        if not self.about["finished"]:
            origin = "left by a run that did not finish"
        elif all(_untimed(made[name]["made_from"]) == _untimed(made_from) for name in there):
            origin = "made from the same input with the same options"
        else:
            origin = "made from another input, or with other options"
        raise CatalogueError(
            f"{self.path} already holds {told}, {origin}. To make them again, add --overwrite; to "
            "keep them, choose another --output_dir."
        )

    def known_ids(self) -> Iterator[tuple[str, int]] | None:
        """(the shop's id, number) from an earlier run that this one adds test products to."""
        path = self.path / PRODUCT_IDS
        if not self.test_only or not path.exists():
            return None
        return _read_ids(path)

    @property
    def least_id(self) -> int:
        """The smallest number that is free for a product without a number of its own."""
        return int(self.about.get("largest_product_id", 0)) + 1 if self.test_only else 1

    def kept_rejections(self) -> Iterator[str]:
        """The lines of an earlier list about the split that stays."""
        path = self.path / rejections.FILE
        if self.test_only and path.exists():
            with open(path, encoding="utf-8") as lines:
                yield from (line for line in lines if json.loads(line)["split"] != "test")

    def begin_replacement(self, written: dict[str, dict[str, int]]) -> None:
        """Notes that files are about to appear; removes earlier ones that are not written again.

        Args:
          written: counts of each file to appear, by its name.
        """
        (self.path / rejections.FAILED_FILE).unlink(missing_ok=True)
        made = self.about.get("files", {})
        self._save({**made, **written}, finished=False)
        for name in TEST_FILES if self.test_only else FILES:
            if name in made and name not in written:
                (self.path / name).unlink(missing_ok=True)

    def end_replacement(
        self, written: dict[str, dict[str, int]], made_from: dict[str, Any], largest_id: int
    ) -> None:
        """Notes what the files were made from. Args: written: as before."""
        kept = self.about.get("files", {}) if self.test_only else {}
        files = {name: about for name, about in kept.items() if (self.path / name).exists()}
        for name, counts in written.items():
            size = os.path.getsize(self.path / name)
            files[name] = {"bytes": size, **counts, "made_from": made_from}
        self._save(files, finished=True, largest_id=max(largest_id, self.least_id - 1))

    def _save(self, files: dict[str, Any], *, finished: bool, largest_id: int = 0) -> None:
        about = {
            "format": _FORMAT,
            "finished": finished,
            "largest_product_id": largest_id or self.least_id - 1,
            "files": files,
        }
        write_json(self.path / ABOUT, about)


def _untimed(made_from: dict[str, Any]) -> dict[str, Any]:
    """Without the times of files: their contents count."""
    return {
        what: {key: known for key, known in value.items() if key != "modified"}
        if isinstance(value, dict)
        else value
        for what, value in made_from.items()
    }


def _told(name: str, about: dict[str, Any]) -> str:
    counts = [
        f"{about[what]:,} {what}"
        for what in ("products", "pictures", "categories")
        if what in about
    ]
    return f"{name} ({', '.join(counts)})" if counts else name


def _read_ids(path: pathlib.Path) -> Iterator[tuple[str, int]]:
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            if tuple(next(rows, ())) != PRODUCT_IDS_HEADER:
                raise ValueError("its header is another")
            for number, name in rows:
                yield name, int(number)
        except (ValueError, csv.Error) as error:
            raise CatalogueError(
                f"{path} must be the table that this command wrote: "
                f"{','.join(PRODUCT_IDS_HEADER)}. Received: another ({error})."
            ) from None
