import io

import numpy as np
import pytest
from PIL import Image

from cdisc_tfds.pages.page_figures import Figures
from tests.helpers.fake_runs import history, write_evaluation, write_run
from tests.helpers.small_data import SmallData, make_products
from trainer.reporting import probability_sections
from trainer.reporting.reliability_chart import reliability_chart
from trainer.reporting.reported_evaluations import evaluations
from trainer.reporting.reported_runs import load_runs
from trainer.runs.calibration_file import Calibration
from trainer.runs.evaluation_parts import Acceptance, Reliability, ReliabilityBin

RELIABILITY = Reliability(
    0.0213,
    0.0789,
    (ReliabilityBin(50, 0.25, 0.2), ReliabilityBin(50, 0.75, 0.85)),
    (Acceptance(0.9, 0.6125, 0.4567, 0.9012), Acceptance(0.99, None, 0.0, 0.0)),
)
CALIBRATION = Calibration(1.25, 1.5, "train[80%:]", 100, 200, 1.0, 0.9)


@pytest.fixture
def folder(tmp_path):
    data = SmallData(tmp_path)
    data.add("train", make_products([0, 1]))
    return write_run(tmp_path / "run", data, history([0.5]))


def test_the_thresholds_that_a_shop_asks_for(folder):
    write_evaluation(folder, reliability=RELIABILITY, calibration=CALIBRATION)
    figures = Figures()
    html = probability_sections.probabilities(evaluations(load_runs([folder.path])), figures)
    assert list(figures.pngs) == ["reliability-run-validation.png"]
    assert (
        "Calibration error 0.0213 with temperature 1.250, fitted on train[80%:]; 0.0789 without."
    ) in html
    for row in (("90%", "0.6125", "45.7%", "90.1%"), ("99%", "–", "–", "–")):
        assert "\n".join(f'<td class="number">{cell}</td>' for cell in row) in html


def test_without_temperature(folder):
    plain = Reliability(0.0789, None, RELIABILITY.bins, ())
    write_evaluation(folder, reliability=plain)
    html = probability_sections.probabilities(evaluations(load_runs([folder.path])), Figures())
    assert "Calibration error 0.0789.</figcaption>" in html


def test_evaluations_of_earlier_versions_have_none(folder):
    write_evaluation(folder)
    runs = load_runs([folder.path])
    assert probability_sections.probabilities(evaluations(runs), Figures()) == ""


def test_bars_shrink_with_the_number_of_products():
    heights = []
    for count in (10, 1000):
        chart = reliability_chart([ReliabilityBin(count, 0.2, 0.6)], "#ff0000")
        pixels = np.asarray(Image.open(io.BytesIO(chart)).convert("RGB")).astype(int)
        red = (pixels[..., 0] > 200) & (pixels[..., 1:].max(axis=-1) < 60)
        heights.append(int(red.any(axis=1).sum()))
    assert heights[0] > 1.5 * heights[1]


def test_the_chart_follows_the_bins():
    charts = [
        reliability_chart([ReliabilityBin(5, 0.5, accuracy)], "#0072B2") for accuracy in (0.2, 0.9)
    ]
    assert charts[0] != charts[1]
    first, second = (np.asarray(Image.open(io.BytesIO(chart)).convert("L")) for chart in charts)
    # The marker of the second is higher on the page.
    assert np.argmax(np.abs(first.astype(int) - second).max(axis=1) > 50) < first.shape[0] / 2
