"""An index of similar products, where there is one, answers beside the categories."""

import numpy as np

from tests.helpers.running_service import running_service
from trainer.service.neighbours import Neighbour


class Reddest:
    """Stands for an index: names the sum of a product's pixels, and its number of pictures."""

    def near(self, pictures, ordinals):
        ((_, images),) = pictures.items()
        sums = np.bincount(ordinals, images.sum(axis=(1, 2, 3), dtype=np.int64))
        return [
            tuple(Neighbour(int(total), ("HOME", "<b>"), 0.5) for _ in range(count))
            for total, count in zip(sums, np.bincount(ordinals), strict=True)
        ]


def test_neighbours_are_those_of_the_product(runs, jpegs):
    with running_service(runs, Reddest()) as client:
        (one,) = client.classify(("a", jpegs[0])).json["products"]
        (other,) = client.classify(("a", jpegs[1])).json["products"]
        (both,) = client.classify(("a", jpegs[0]), ("b", jpegs[1])).json["products"]
    (first,), (second,) = one["neighbours"], other["neighbours"]
    assert first["path"] == ["HOME", "<b>"] and first["similarity"] == 0.5
    total = first["product_id"] + second["product_id"]
    assert [near["product_id"] for near in both["neighbours"]] == [total, total]
