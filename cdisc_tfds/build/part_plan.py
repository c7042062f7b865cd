"""How a split's files are divided into parts."""

from __future__ import annotations

import dataclasses
import os

from cdisc_tfds.build.sorted_parts import PartTask
from cdisc_tfds.build.source_files import SourceFiles
from cdisc_tfds.manual_files import Source


@dataclasses.dataclass(frozen=True)
class PartPlan:
    """The parts of a split. It is small, so that it can travel to other machines.

    Attributes:
      source: the split, its files, and whether it is labelled.
      files: the identity of those files.
      categories_csv: path of the build's own copy of category_names.csv.
      folder: the split's own folder.
      keep_going: skip damaged stretches instead of stopping.
      part_bytes: bytes of the files in each part; the last one may have fewer.
      reread: parts have a table only, because the shards are written from the files themselves.
    """

    source: Source
    files: SourceFiles
    categories_csv: str
    folder: str
    keep_going: bool
    part_bytes: int
    reread: bool

    def __len__(self) -> int:
        return -(-self.files.num_bytes // self.part_bytes)

    def task(self, number: int) -> PartTask:
        """The task to make a part, counted from 0 in the order of the files."""
        begin = number * self.part_bytes
        end = min(begin + self.part_bytes, self.files.num_bytes)
        path = os.path.join(self.folder, f"part-{number:05d}")
        return PartTask(
            files=self.files.joined.within(begin, end),
            begin=begin,
            end=end,
            split=self.source.split,
            labelled=self.source.labelled,
            keep_going=self.keep_going,
            categories_csv=self.categories_csv,
            records=None if self.reread else f"{path}.records",
            table=f"{path}.npz",
        )

    def tasks(self) -> list[PartTask]:
        """All tasks, in the order of the files."""
        return [self.task(number) for number in range(len(self))]
