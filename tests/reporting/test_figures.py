"""Figures: what is drawn."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from glojax import losses, statistics
from glojax.records.candidates import Record
from glojax.records.genealogy import Ancestor
from glojax.reporting import figures, style


def record(fitness: float, scores: tuple[float, ...] = (), fate: str = "trained", name: str = "x * y") -> Record:
    return Record(name, name, (), fitness, scores, 1.0, fate, (), 0, 100, 0.1)


def lines(figure: Figure, place: int = 0) -> list[np.ndarray]:
    return [np.asarray(line.get_ydata(), float) for line in figure.axes[place].lines]


def test_fitness_is_the_best_of_each_generation_and_the_mean_of_what_could_be_trained() -> None:
    generations = [
        [record(0.5, (0.4, 0.6), name="a"), record(0.2, (0.2, 0.2), name="b"), record(0.0, (0.0, 0.0), name="c")],
        [record(0.6, (0.7, 0.7), "elite", "a"), record(0.1, (0.1, 0.1), name="d"), record(0.0, (), "invalid", "e")],
    ]
    figure = style.panel(figures.fitness, generations, "accuracy", rows=2)
    np.testing.assert_allclose(lines(figure)[0], [0.5, 0.6])
    np.testing.assert_allclose(lines(figure, 1)[0], [0.35, 0.35])
    # Of the second generation's best, all four trainings count.
    summary = statistics.summarize(np.array([0.4, 0.6, 0.7, 0.7]))
    drawn = figure.axes[0].collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(np.unique(drawn[drawn[:, 0] == 1, 1]), [summary.low, summary.high])
    assert not (drawn[:, 0] == 0).any()  # the first generation's best has two, which say nothing


def test_the_best_loses_the_scores_of_trainings_that_halving_stopped() -> None:
    generations = [[record(0.3, (0.2, 0.4), "dropped")], [record(0.8, (0.7, 0.9), "elite")]]
    figure = style.panel(figures.fitness, generations, "accuracy", rows=2)
    np.testing.assert_allclose(lines(figure)[0], [0.3, 0.8])


def test_searches_are_drawn_by_what_they_spent() -> None:
    searches = {"search": [[record(0.4), record(0.1)], [record(0.3), record(0.2)]], "random search": [[record(0.35)]]}
    figure = style.panel(figures.best_by_steps, searches, "accuracy")
    bred, drawn = figure.axes[0].lines
    np.testing.assert_array_equal(bred.get_data(), [[200, 400], [0.4, 0.4]])
    np.testing.assert_array_equal(drawn.get_data(), [[100], [0.35]])


def test_the_funnel_has_a_bar_a_stage() -> None:
    figure = style.panel(figures.funnel_bars, {"drawn": 1200, "trained": 9})
    (axes,) = figure.axes
    bars = axes.containers[0].patches  # type: ignore[attr-defined]
    assert [(round(bar.get_y() + bar.get_height() / 2), bar.get_width()) for bar in bars] == [(0, 1200), (1, 9)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["drawn", "trained"]
    assert "1k" in [label.get_text() for label in axes.get_xticklabels()]


def test_the_ranking_shows_every_score_the_mean_and_its_interval() -> None:
    shown = [("x * log(y)", (0.9, 0.8, 0.7)), ("x * y", (0.5, 0.5, 0.5))]
    (axes,) = style.panel(figures.ranking, shown, "accuracy").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x * log(y)", "x * y"]
    np.testing.assert_array_equal(axes.lines[0].get_data(), [(0.9, 0.8, 0.7), [1, 1, 1]])
    middle, _, (bars,) = axes.containers[0]
    assert middle.get_xdata() == pytest.approx([0.8])
    ((low, _), (high, _)) = bars.get_segments()[0]
    summary = statistics.summarize(np.array(shown[0][1]))
    assert (low, high) == pytest.approx((summary.low, summary.high))


def test_learning_curves_leave_out_what_is_infinite() -> None:
    values = np.array([[3.0, np.inf, 1.0], [5.0, 2.0, 1.5]])
    (axes,) = style.panel(figures.learning_curves, [10, 20, 30], {"found": values}, "rmse").axes
    np.testing.assert_array_equal(axes.lines[0].get_data(), [[10, 30], [4.0, 1.25]])


def test_ancestors_are_joined_to_their_parents_and_the_main_line_is_one() -> None:
    family = [
        Ancestor(record(0.9), 2, (1, 2)), Ancestor(record(0.8), 1, (3,)), Ancestor(record(0.85), 1, ()),
        Ancestor(record(0.7, fate="dropped"), 0, ()),
    ]  # fmt: skip
    (axes,) = style.panel(figures.family_map, family, "accuracy").axes
    joins = [path.vertices.tolist() for path in axes.collections[0].get_paths()]  # type: ignore[union-attr]
    assert joins == [[[2, 0.9], [1, 0.8]], [[2, 0.9], [1, 0.85]], [[1, 0.8], [0, 0.7]]]
    assert np.asarray(axes.lines[0].get_data()).T.tolist() == [[2, 0.9], [1, 0.8], [0, 0.7]]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert texts == ["trained to the end", "stopped early by halving", "main line"]


def test_a_curve_is_scaled_to_its_range_in_the_middle() -> None:
    curves = {"this loss": losses.baikal, "cross-entropy": losses.cross_entropy}
    (axes,) = style.panel(figures.loss_curves, curves).axes
    assert [line.get_label() for line in axes.lines] == list(curves)
    for line in axes.lines:
        y, drawn = (np.asarray(data, float) for data in line.get_data())
        middle = drawn[(y > 0.1) & (y < 0.9)]
        assert (middle.min(), middle.max()) == pytest.approx((0, 1))


def test_the_slope_is_that_of_the_scaled_curve() -> None:
    (axes,) = style.panel(figures.loss_slopes, {"cross-entropy": losses.cross_entropy}).axes
    y, slope = (np.asarray(data, float) for data in axes.lines[0].get_data())
    middle = (y > 0.2) & (y < 0.8)
    shown = (y > 0.1) & (y < 0.9)
    np.testing.assert_allclose(slope[middle] * y[middle], -1 / np.ptp(np.log(y[shown])), rtol=1e-3)


def test_the_binary_curve_is_the_loss_of_two_classes() -> None:
    y = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(figures.binary_curve(losses.cross_entropy, y), -np.log(y))
    np.testing.assert_allclose(figures.binary_curve(losses.baikal, y), -np.log(y) + 1 / y - np.log(1 - y))
    np.testing.assert_allclose(figures.binary_curve(losses.brier, y), 2 * (1 - y) ** 2)


@pytest.mark.parametrize("loss", [losses.baikal_cma, losses.Loss("log(x) + y")], ids=str)
def test_figures_are_images_of_their_size(tmp_path: Path, loss: losses.Loss) -> None:
    style.save(figures.loss_figure(loss), tmp_path / "new" / "loss.png")
    assert matplotlib.image.imread(tmp_path / "new" / "loss.png").shape[:2] == (570, 1350)
    generations = [[record(0.4, (0.4, 0.4))]]
    figure = figures.search_figure(generations, {"drawn": 5}, [], {"this loss": loss})
    style.save(figure, tmp_path / "search.png")
    image = matplotlib.image.imread(tmp_path / "search.png")
    assert image.shape[:2] == (900, 1500)
    assert len(np.unique(image)) > 2


def test_a_figure_is_of_the_format_that_its_ending_names(tmp_path: Path) -> None:
    style.save(figures.loss_figure(losses.baikal), tmp_path / "loss.pdf")
    assert (tmp_path / "loss.pdf").read_bytes().startswith(b"%PDF")
