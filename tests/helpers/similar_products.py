"""Similar products for a service in a test, from features that `trainer.embed` writes."""

from __future__ import annotations

import pathlib

import pytest

from tests.helpers.small_data import SmallData
from trainer.prediction.embedding_options import EmbeddingOptions
from trainer.prediction.loaded_runs import LoadedRuns
from trainer.prediction.made_embeddings import make_embeddings
from trainer.runs.embedding_origin import EmbeddingFile
from trainer.service.similar import Similar, load_similar
from trainer.service.similar_options import SimilarOptions


def small_similar(
    runs: LoadedRuns, run_dir: pathlib.Path, data: SmallData, spec: str, output: pathlib.Path
) -> Similar:
    """The products of a split of small data, compared with by the features of a run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("trainer.prediction.made_embeddings", "trainer.service.similar"):
            patch.setattr(f"{name}.open_dataset", lambda data_dir: data)
        make_embeddings(run_dir, spec, EmbeddingOptions()).write(output)
        options = SimilarOptions(similar=str(output), neighbours=3)
        return load_similar(EmbeddingFile.open(output), options, runs, run_dir)
