"""Similar products for a service in a test, from features that `trainer.embed` writes."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import pytest

from tests.helpers.small_data import SmallData
from trainer.prediction.embedding_options import EmbeddingOptions
from trainer.prediction.loaded_runs import LoadedRuns
from trainer.prediction.made_embeddings import make_embeddings
from trainer.runs.embedding_origin import EmbeddingFile, FeatureRun
from trainer.service.similar import Similar, load_similar
from trainer.service.similar_options import SimilarOptions


def small_similar(
    runs: LoadedRuns,
    run_dirs: Sequence[pathlib.Path],
    data: SmallData,
    spec: str,
    output: pathlib.Path,
    **flags: Any,
) -> Similar:
    """The products of a split of small data, compared with by the features of the last run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("trainer.prediction.made_embeddings", "trainer.service.similar"):
            patch.setattr(f"{name}.open_dataset", lambda data_dir: data)
        make_embeddings(run_dirs[-1], spec, EmbeddingOptions()).write(output)
        options = SimilarOptions(similar=str(output), neighbours=3, **flags)
        named = [FeatureRun(str(run_dir)) for run_dir in run_dirs]
        return load_similar(EmbeddingFile.open(output), options, runs, named)
