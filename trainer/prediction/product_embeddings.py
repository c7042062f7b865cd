"""What a network sees in products: numbers that are alike for products that look alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cdisc_tfds.progress_line import ProgressLine
from trainer.data.dataset import Split
from trainer.prediction.averaging import groups_of, whole_products
from trainer.prediction.joining_rules import Groups
from trainer.prediction.loading import require_both_stages
from trainer.prediction.member_bases import load_base, load_members
from trainer.prediction.picture_features import FeatureBases, FeatureReader
from trainer.prediction.views import Views
from trainer.runs.embedding_file import Embeddings
from trainer.runs.folder import RunFolder


class EmbeddingError(ValueError):
    """A run that has no features of products."""


def load_bases(run: RunFolder, checkpoint: str, flip: bool) -> FeatureBases:
    """The bases of a run: its own without the last layer, or those of a fused run's members.

    Args:
      run: a plain or a fused run.
      checkpoint: `best` or `last`; the members of a fused run always have their best.
      flip: whether features are the means of those of a picture and of its mirror image.

    Raises:
      EmbeddingError: for a run of two stages, whose networks see products differently.
      Also the errors of `load_base` and `load_members`.
    """
    run.require()
    require_both_stages(run)
    if run.is_two_stage:
        raise EmbeddingError(
            f"{run.path} is a run of two stages: it has many networks, and none sees all products. "
            "Choose a plain or a fused run, for example its level 1: "
            f"--run_dir={run.level1_path}."
        )
    if run.config.fusion is not None:
        return FeatureBases(load_members(run), Views(), flip)
    return FeatureBases((load_base(run, checkpoint=checkpoint),), Views(), flip)


def embed(reader: FeatureReader, split: Split, category_ids: np.ndarray) -> Embeddings:
    """The features of all products of a split with a readable picture, as `product_features`.

    Memory: 2 bytes for each feature and product.

    Args:
      reader: computes the features of pictures.
      split: the products.
      category_ids: int64, `category_id` of each category label.

    Raises:
      EmbeddingError: if no product has a readable picture, or features are not finite.
      Also the errors of `FeatureReader.pictures`.
    """
    parts, ordinals, counts = [], [], []
    line, done = ProgressLine(f"embedding {split.spec}", split.num_pictures, "pictures"), 0
    sizes = [member.base.output_shape[-1] for member in reader.bases.members]
    pictures = reader.pictures(split, np.arange(split.num_products))
    for owners, rows in whole_products(pictures):
        if not len(owners):
            continue
        groups = groups_of(owners)
        parts.append(product_features(rows, groups, sizes).astype(np.float16))
        ordinals.append(owners[groups.starts])
        counts.append(groups.counts)
        done += len(owners)
        line.update(done)
    line.close()
    if not parts:
        raise EmbeddingError(
            f"Features need products with a readable picture. The split {split.spec!r} has none."
        )
    places = np.concatenate(ordinals)
    labels = split.index.category[places]
    return Embeddings(
        product_id=split.index.product_id[places],
        category_id=np.where(labels < 0, -1, category_ids[np.maximum(labels, 0)]),
        num_pictures=np.concatenate(counts),
        features=np.concatenate(parts),
    )


def product_features(rows: np.ndarray, groups: Groups, sizes: Sequence[int]) -> np.ndarray:
    """The features of products from those of their pictures.

    Each base's features of a picture get the length 1, so that none outweighs the others; the
    product's are the mean over its pictures, again with the length 1.

    Args:
      rows: float32 [pictures, f], from all bases side by side.
      groups: the pictures of each product.
      sizes: number of features of each base; f in all.

    Returns:
      float32 [products, f].

    Raises:
      EmbeddingError: if features are not finite.
    """
    parts = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    rows = np.concatenate([unit(part) for part in parts], axis=1)
    if not np.isfinite(rows).all():
        raise EmbeddingError(
            "Features must be finite numbers. This network gives NaN: its weights have "
            "diverged. Use the best checkpoint (--checkpoint=best)."
        )
    return unit(np.add.reduceat(rows, groups.starts) / groups.counts[:, None])


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows with the length 1, float32 [n, f]; zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, np.finfo(np.float32).tiny)
