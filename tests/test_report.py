"""Figures: what is drawn."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from glojax import controls, losses, report
from glojax.evolution import Generation
from glojax.exhaustive import Exhausted
from glojax.fitness import Control, Known
from glojax.trees import parse

GENERATIONS = [
    Generation(
        number, (parse("x"),) * 3, np.array(fitness), np.ones(3), ("trained",) * 3, np.full(3, 500),
        {"drawn": 100, "trained": 3}, 0.1,
    )
    for number, fitness in enumerate([[0.0, 0.2, 0.4], [0.6, 0.0, 0.0], [0.5, 0.5, 0.2]])
]  # fmt: skip


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    kept: list[Figure] = []
    monkeypatch.setattr(report, "_save", lambda figure, path: kept.append(figure))
    return kept


def test_the_search_figure_shows_the_running_best_and_the_means(figures: list[Figure]) -> None:
    report.search_figure("unused.png", GENERATIONS, [np.array([0.7]), np.array([0.0, 0.9])], losses.baikal)
    searched, funnel, tuned, curves = figures[0].axes
    assert [(bar.get_y() + bar.get_height() / 2, bar.get_width()) for bar in funnel.patches] == [(0, 300), (1, 9)]
    assert [label.get_text() for label in funnel.get_yticklabels()] == ["drawn", "trained"]
    lines = {line.get_label(): np.asarray(line.get_ydata(), float) for line in searched.lines}
    np.testing.assert_allclose(lines["best so far"], [0.4, 0.6, 0.6])
    np.testing.assert_allclose(lines["mean of the trainable"], [0.3, 0.6, 0.4])
    np.testing.assert_allclose(lines["mean of all"], [0.2, 0.2, 0.4])
    np.testing.assert_allclose(np.asarray(tuned.lines[0].get_ydata(), float), [0.7, 0.9])
    assert [line.get_label() for line in curves.lines] == ["cross-entropy", "found"]


def test_the_ranking_figure_shows_means_intervals_and_known_names(figures: list[Figure]) -> None:
    ranking = [
        Known(parse("x * log(y)"), 2.0, (0.9, 0.8, 0.7), True), Known(parse("x * y"), 1.0, (0.5, 0.5, 0.5), True),
    ]  # fmt: skip
    control = Control(10.0, 0.8, 100)
    exhausted = Exhausted(
        ranking[0].tree, 2.0, 0.8, ranking, {"cross_entropy": 1}, {"drawn": 80, "trained": 2}, 80, control, 500
    )
    report.ranking_figure("unused.png", exhausted)
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x * log(y)  (cross_entropy)", "x * y"]
    drawn = [container[0] for container in axes.containers]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in drawn] == [
        (pytest.approx(0.8), 1), (0.5, 2),
    ]  # fmt: skip
    ((low, _), (high, _)) = axes.containers[0][2][0].get_segments()[0]
    summary = controls.summarize(np.array(ranking[0].scores))
    assert (low, high) == pytest.approx((summary.low, summary.high))


def test_a_curve_is_scaled_to_its_range_in_the_middle(figures: list[Figure]) -> None:
    report.loss_figure("unused.png", losses.baikal)
    for line in figures[0].axes[0].lines:
        y, drawn = (np.asarray(data, float) for data in line.get_data())
        middle = drawn[(y > 0.1) & (y < 0.9)]
        assert (middle.min(), middle.max()) == pytest.approx((0, 1))


def test_the_binary_curve_is_the_loss_of_two_classes() -> None:
    y = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(report.binary_curve(losses.cross_entropy, y), -np.log(y))
    np.testing.assert_allclose(report.binary_curve(losses.baikal, y), -np.log(y) + 1 / y - np.log(1 - y))
    np.testing.assert_allclose(report.binary_curve(losses.brier, y), 2 * (1 - y) ** 2)


@pytest.mark.parametrize("loss", [losses.baikal_cma, losses.Loss("log(x) + y")], ids=str)
def test_figures_are_images_of_their_size(tmp_path: Path, loss: losses.Loss) -> None:
    report.loss_figure(tmp_path / "new" / "loss.png", loss)
    report.search_figure(tmp_path / "search.png", GENERATIONS[:1], (), loss)
    assert matplotlib.image.imread(tmp_path / "new" / "loss.png").shape[:2] == (570, 1350)
    image = matplotlib.image.imread(tmp_path / "search.png")
    assert image.shape[:2] == (1080, 1800)
    assert len(np.unique(image)) > 2
