"""The rows about the build on Beam."""

import pathlib

from benchmarks import beam
from benchmarks.settings import Settings


def test_what_beam_costs(monkeypatch):
    """The row says how much of the difference is also there with few products."""
    seconds = {("beam", 60): 20.0, ("local", 60): 8.0, ("beam", 20): 10.0, ("local", 20): 0.5}

    def measure(products, beam=None, **options):
        assert options["reread"] is False
        return seconds["beam" if beam else "local", products], 0

    monkeypatch.setattr(beam, "_FEW", 20)
    monkeypatch.setattr(beam, "competition", lambda settings, products: products)
    monkeypatch.setattr(beam, "measure_build", measure)
    large, small = beam.run(Settings(pathlib.Path(), build_products=60, repeats=2))
    assert (large.ours, large.theirs, large.ratio) == (20.0, 8.0, 2.5)
    assert large.note.startswith("Beam costs 12.0 s here, 9.5 s of them also with 20 products: ")
    assert (small.ours, small.theirs, small.note) == (10.0, 0.5, "")
