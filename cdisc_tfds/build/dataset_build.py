"""All splits of the data set, and the processes, disk space and progress that they share."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

from tensorflow_datasets.core.utils import shard_utils

from cdisc_tfds.build.folder import BuildFolder
from cdisc_tfds.build.progress import BuildProgress
from cdisc_tfds.manual_files import Source
from cdisc_tfds.build.page_cache import stays_in_page_cache
from cdisc_tfds.build.processes import Pool
from cdisc_tfds.build.split_build import MIN_PART_BYTES, BuildError, BuiltSplit, SplitJob, build_split

# Records are slightly larger than documents; and shards in the making, before the parts that they
# came from are cut.
_SPACE_FACTOR = 1.02
_SPACE_PER_PROCESS = 512 << 20


def build_splits(
    sources: Sequence[Source],
    categories_csv: str,
    folder: BuildFolder,
    *,
    num_processes: int,
    keep_going: bool,
    reread: bool | None,
    limit: int | None,
    shard_config: shard_utils.ShardConfig,
    shard_name: Callable[[str, int, int], str],
) -> dict[str, BuiltSplit]:
    """Builds each split in `folder`, or what is missing there; returns them by name.

    Args:
      sources, categories_csv: what to read.
      folder: where to work.
      num_processes: at most so many processes; fewer where the files are small.
      keep_going, limit: as in `SplitJob`.
      reread: as in `SplitJob`; None: True where the files stay in the page cache.
      shard_config: TFDS's rule for the number of shards.
      shard_name: (split, number of the shard, number of shards) -> file name.
    """
    total = sum(os.path.getsize(source.path) for source in sources)
    num_processes = max(1, min(num_processes, total // MIN_PART_BYTES))
    space = int(total * _SPACE_FACTOR) + min(total, num_processes * _SPACE_PER_PROCESS)
    if limit is None:
        folder.require_space(space)
    jobs = [
        SplitJob(
            source,
            categories_csv,
            folder.path / source.split,
            keep_going,
            limit,
            stays_in_page_cache(total) if reread is None else reread,
            reread is None,
            lambda records, num_bytes: _shard_lengths(shard_config, records, num_bytes),
            repr(shard_config),
            lambda number, shards, split=source.split: shard_name(split, number, shards),
        )
        for source in sources
    ]
    with (
        folder.clear_disk_errors(space),
        Pool(num_processes) as pool,
        BuildProgress(", ".join(source.split for source in sources), total) as progress,
    ):
        try:
            built = _build_all(jobs, pool, num_processes, progress)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise BuildError(
                "A process of the build was ended from outside: by a user, or by the system "
                f"because memory was short. The build used {num_processes}; use fewer with "
                "CDISCOUNT_NUM_PROCESSES. Started again, it continues."
            ) from error
    return {source.split: one for source, one in zip(sources, built)}


def _build_all(
    jobs: list[SplitJob], pool: Pool, num_processes: int, progress: BuildProgress
) -> list[BuiltSplit]:
    """All splits; with several processes at the same time, so that none waits for a split's end."""
    if num_processes == 1:
        return [build_split(job, pool, num_processes, progress) for job in jobs]
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as threads:
        try:
            results = [
                threads.submit(build_split, job, pool, num_processes, progress) for job in jobs
            ]
            concurrent.futures.wait(results, return_when=concurrent.futures.FIRST_EXCEPTION)
            for result in results:
                if result.done():  # if not, another has failed
                    result.result()
            return [result.result() for result in results]
        except BaseException:
            pool.cancel()  # ends the other splits
            raise


def _shard_lengths(config: shard_utils.ShardConfig, records: int, num_bytes: int) -> list[int]:
    """How many records each shard has: what TFDS's own writer would do."""
    boundaries = shard_utils.get_shard_boundaries(
        records, config.get_number_shards(num_bytes, records)
    )
    return [end - begin for begin, end in zip([0, *boundaries], boundaries)]


def join_files(paths: Iterable[pathlib.Path], target: pathlib.Path) -> None:
    """Writes the files end to end to `target`, unless all are empty."""
    paths = [path for path in paths if path.stat().st_size]
    if paths:
        with open(target, "wb") as joined:
            for path in paths:
                with open(path, "rb") as file:
                    while block := file.read(1 << 20):
                        joined.write(block)
