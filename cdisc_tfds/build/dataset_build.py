"""Builds all splits of the data set, which share processes, disk space and a progress bar."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping

from tensorflow_datasets.core.utils import shard_utils

from cdisc_tfds.build.beam_build import build_on_beam, folder_of
from cdisc_tfds.build.beam_runner import BeamRunner
from cdisc_tfds.build.categories_file import CategoriesFile
from cdisc_tfds.build.folder import BuildFolder
from cdisc_tfds.build.options import BuildOptions
from cdisc_tfds.build.page_cache import stays_in_page_cache
from cdisc_tfds.build.processes import Pool
from cdisc_tfds.build.progress import BuildProgress
from cdisc_tfds.build.source_files import SourceFiles
from cdisc_tfds.build.split_build import BuildError, build_split
from cdisc_tfds.build.split_job import MIN_PART_BYTES, BuiltSplit, SplitJob
from cdisc_tfds.build.unpacked_file import FOLDER as UNPACKED
from cdisc_tfds.manual_files import Source

# Records are slightly larger than documents. In addition, each process writes shards before the
# build truncates the parts that they came from.
_SPACE_FACTOR = 1.02
_SPACE_PER_PROCESS = 512 << 20


def build_splits(
    files: Mapping[Source, SourceFiles],
    categories: CategoriesFile,
    folder: BuildFolder,
    *,
    options: BuildOptions,
    limit: int | None,
    shard_config: shard_utils.ShardConfig,
    shard_name: Callable[[str, int, int], str],
    beam: BeamRunner | None = None,
) -> list[tuple[SplitJob, BuiltSplit]]:
    """Builds each split in `folder`, or the missing pieces of it; returns jobs and results.

    Args:
      files: the `.bson` files of each split, and their identity.
      categories: the categories, and the build's copy of their file.
      folder: the build's working folder.
      options: its `num_processes` is an upper bound: small files use fewer.
      limit: as in `SplitJob`.
      shard_config: TFDS's rule for the number of shards.
      shard_name: (split, shard number, number of shards) -> file name.
      beam: the runner of a build on Beam; None builds with processes of this machine.
    """
    total = sum(identity.num_bytes for identity in files.values())
    wanted = max(1, min(options.num_processes, total // MIN_PART_BYTES))
    space = space_for(total, wanted if beam is None else None)
    space += _bytes_within(files.values(), folder.path)
    reread = options.reread
    if reread is None:  # other machines have none of the file in their memory
        reread = beam is None and stays_in_page_cache(total)
    jobs = [
        SplitJob(
            source=source,
            files=identity,
            categories_csv=os.fspath(categories.path),
            categories_digest=categories.digest,
            folder=folder.path / source.split,
            keep_going=options.keep_going,
            limit=limit,
            reread=reread,
            keep_reread=options.reread is None,
            sharding=functools.partial(_shard_lengths, shard_config),
            sharding_id=repr(shard_config),
            shard_name=functools.partial(shard_name, source.split),
        )
        for source, identity in files.items()
    ]
    if beam is not None:
        jobs = [folder_of(job) for job in jobs]
    folder.keep_only([job.folder.name for job in jobs] + [UNPACKED])
    if limit is None:
        folder.require_space(space)
    with (
        folder.clear_disk_errors(space),
        BuildProgress(", ".join(source.split for source in files), total) as progress,
    ):
        if beam is not None:
            return list(zip(jobs, build_on_beam(jobs, beam, progress)))
        return list(zip(jobs, _build_here(jobs, wanted, progress)))


def _build_here(
    jobs: list[SplitJob], num_processes: int, progress: BuildProgress
) -> list[BuiltSplit]:
    """Builds all splits with processes of this machine."""
    with Pool(num_processes) as pool:
        try:
            return _build_all(jobs, pool, progress)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise BuildError(
                "A process of the build was ended from outside: by a user, or by the system "
                f"because memory was short. The build used {num_processes}; use fewer with "
                "CDISCOUNT_NUM_PROCESSES. Started again, it continues."
            ) from error


def space_for(total: int, num_processes: int | None) -> int:
    """Bytes that a build of files with `total` bytes needs in its folder.

    On Beam (None), it holds all parts and all shards at the end: they are finished in any order.
    """
    if num_processes is None:
        return int(2 * total * _SPACE_FACTOR)
    return int(total * _SPACE_FACTOR) + min(total, num_processes * _SPACE_PER_PROCESS)


def _bytes_within(splits: Iterable[SourceFiles], folder: pathlib.Path) -> int:
    """Bytes of the files in the build's own folder: those that it unpacked."""
    files = (file for identity in splits for file in identity.files)
    return sum(file.num_bytes for file in files if pathlib.Path(file.path).is_relative_to(folder))


def _build_all(jobs: list[SplitJob], pool: Pool, progress: BuildProgress) -> list[BuiltSplit]:
    """Builds all splits, concurrently if there are several processes, to avoid idle time."""
    if pool.num_processes == 1:
        return [build_split(job, pool, progress) for job in jobs]
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as threads:
        try:
            results = [threads.submit(build_split, job, pool, progress) for job in jobs]
            concurrent.futures.wait(results, return_when=concurrent.futures.FIRST_EXCEPTION)
            for result in results:
                if result.done():  # if not, another has failed
                    result.result()
            return [result.result() for result in results]
        except BaseException:
            pool.cancel()  # ends the other splits
            raise


def _shard_lengths(config: shard_utils.ShardConfig, records: int, num_bytes: int) -> list[int]:
    """The number of records in each shard, as TFDS's own writer would choose it."""
    boundaries = shard_utils.get_shard_boundaries(
        records, config.get_number_shards(num_bytes, records)
    )
    return [end - begin for begin, end in zip([0, *boundaries], boundaries)]


def join_files(paths: Iterable[pathlib.Path], target: pathlib.Path) -> None:
    """Concatenates the files into `target`, unless all are empty."""
    paths = [path for path in paths if path.stat().st_size]
    if paths:
        with open(target, "wb") as joined:
            for path in paths:
                with open(path, "rb") as file:
                    while block := file.read(1 << 20):
                        joined.write(block)
