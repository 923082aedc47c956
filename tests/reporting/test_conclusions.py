"""What a comparison says, in numbers and in sentences."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest
import scipy.stats

from glojax import losses, models
from glojax.records import summary
from glojax.records.run import Run
from glojax.reporting import comparison_section, conclusions, page
from glojax.reporting.blocks import Table
from glojax.tasks.task import Task

NOISE = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
OTHER_NOISE = np.array([0.01, -0.02, 0.02, -0.01, 0.0])


def with_scores(run: summary.RunSummary, test: dict[str, np.ndarray]) -> summary.RunSummary:
    """The run where each loss has these test scores at its best rate, with a best known loss if it is among them."""
    rows, comparison = [], {**run.comparison}
    if "best known loss" in test:
        asked = {**comparison["asked"]}
        asked["losses"] = {**asked["losses"], "best known loss": ["x * sqrt(y)", [1.0] * 4, False]}
        comparison["asked"] = asked
        comparison["rows"] = [*comparison["rows"], {**comparison["rows"][0], "name": "best known loss"}]
    for row in comparison["rows"]:
        scores = np.array(row["scores"])
        scores[:, -1, 1] = test[row["name"].removesuffix(", best rate")]
        rows.append({**row, "scores": scores.tolist()})
    known = [{"label": "Brier", "rate": 3.0, "scores": [0.5], "final": True}]
    return dataclasses.replace(run, comparison={**comparison, "rows": rows}, known=known)


def in_full(run: summary.RunSummary, test: dict[str, np.ndarray]) -> summary.RunSummary:
    """The run with full trainings that end with these test scores."""
    rows = [
        {"name": name, "rate": 1.0, "scores": np.stack([values, values], -1)[:, None].tolist()}
        for name, values in test.items()
    ]
    return dataclasses.replace(run, full={"steps": [300], "rows": rows})


def test_sentences_tell_chance_from_more(made: Path) -> None:
    run = summary.read(made)
    base = {"cross-entropy": 0.8 + NOISE, "found": 0.8 + NOISE}
    for ours, drawn, first, last in (
        (0.9, 0.8, "The loss is better than cross-entropy: the difference is", "the loss is significantly better"),
        (0.805, 0.8, "This comparison cannot tell the loss from cross-entropy", "the lead of the loss may be chance"),
        (0.7, 0.8, "Cross-entropy is better than the loss: the difference is", "evolution gained nothing here"),
    ):
        said = conclusions.sentences(
            with_scores(run, {**base, "found, tuned": ours + OTHER_NOISE, "random search": drawn + NOISE})
        )
        assert said[0].startswith(first)
        assert last in said[2]


@pytest.mark.parametrize(
    ("ours", "known", "verdict", "beside"),
    [
        (0.9, 0.8, "The loss is better than cross-entropy and the best known loss (Brier): both differences are "
         "significant at the 5% level, corrected for 4 comparisons.", "0.8000; the loss is significantly better (p"),
        (0.9, 0.9, "The loss is better than cross-entropy, but does not beat the best known loss (Brier): that "
         "difference may be chance.", "cannot be told (p = 1), so the search may have gained nothing over it."),
        (0.9, 0.99, "The loss is better than cross-entropy, but does not beat the best known loss (Brier), which is "
         "better: both differences are significant", "which is significantly better (p"),
        (0.7, 0.99, "Cross-entropy is better than the loss: the difference is significant", "no search was needed"),
    ],
)  # fmt: skip
def test_a_loss_must_beat_the_best_known_one(made: Path, ours: float, known: float, verdict: str, beside: str) -> None:
    test = {"cross-entropy": 0.8 + NOISE, "found": 0.8 + NOISE, "random search": 0.8 + NOISE}
    run = with_scores(
        summary.read(made), {**test, "found, tuned": ours + OTHER_NOISE, "best known loss": known + NOISE}
    )
    said = conclusions.sentences(run)
    assert said[0].startswith(verdict)
    assert said[2].startswith("The best known loss (Brier) reaches")
    assert beside in said[2]


def test_differences_are_paired_and_corrected(made: Path) -> None:
    test = {"cross-entropy": 0.80 + NOISE, "found": 0.801 + NOISE, "random search": 0.79 + OTHER_NOISE}
    ours = 0.803 + NOISE + 0.001 * OTHER_NOISE
    found = conclusions.differences(with_scores(summary.read(made), {**test, "found, tuned": ours}))
    raw = {name: scipy.stats.ttest_rel(ours, values).pvalue for name, values in test.items()}
    assert raw["cross-entropy"] < 1e-6 < 0.05 < scipy.stats.ttest_ind(ours, test["cross-entropy"]).pvalue
    ordered = sorted(raw, key=lambda name: raw[name])
    expected, largest = {}, 0.0
    for place, name in enumerate(ordered):
        largest = max(largest, (3 - place) * raw[name])
        expected[name] = min(1, largest)
    assert {name: one.p for name, one in found.items()} == pytest.approx(expected)
    assert found["random search"].difference.mean == pytest.approx(0.013)


@pytest.mark.parametrize(
    ("cross_entropy", "known", "said"),
    [
        (0.7, 0.7, "There it is better than cross-entropy (p < 0.0001). There it is better than the best known loss"),
        (0.9, 0.7, "There it cannot be told from cross-entropy (p = 1): its gain is only there under the search's own"),
        (0.99, 0.9, "There cross-entropy is better (p < 0.0001): its gain is only there under the search's own"),
    ],
)
def test_a_gain_that_full_trainings_do_not_have_is_named(
    made: Path, cross_entropy: float, known: float, said: str
) -> None:
    test = {"cross-entropy": 0.8 + NOISE, "found": 0.8 + NOISE, "random search": 0.8 + NOISE}
    run = with_scores(
        summary.read(made), {**test, "found, tuned": 0.9 + NOISE / 2, "best known loss": 0.9 + OTHER_NOISE}
    )
    run = in_full(
        run,
        {"cross-entropy": cross_entropy + NOISE / 9, "found, tuned": 0.9 + OTHER_NOISE / 9,
         "best known loss": known + NOISE / 9},
    )  # fmt: skip
    text = " ".join(conclusions.sentences(run))
    assert "Trained as a user would, for 300 steps with a cosine decay and scored with the last weights" in text
    assert said in text
    if known == 0.9:  # there was no gain over the best known loss before
        assert "cannot be told from the best known loss (p = 1)." in text


def test_where_one_prediction_for_all_does_as_well_nothing_was_learned(made: Path) -> None:
    run = summary.read(made)
    assert run.task.constant == pytest.approx(0.13, abs=0.05)  # the largest of ten classes
    names = ("cross-entropy", "found", "found, tuned", "random search")
    run = with_scores(run, {name: 0.12 + NOISE / 20 * (place + 1) for place, name in enumerate(names)})
    run = dataclasses.replace(run, task=run.task._replace(constant=0.13))
    assert conclusions.sentences(run)[0] == (
        "Nothing was learned: one prediction for all examples has a test accuracy of 0.1300, and no loss is better."
    )
    learned = dataclasses.replace(run, task=run.task._replace(constant=0.11))
    assert not conclusions.sentences(learned)[0].startswith("Nothing")


def test_a_comparison_of_another_loss_is_not_taken_for_its_own(
    make_run: Callable[..., Path], tmp_path: Path, no_images: None
) -> None:
    run = summary.read(make_run(tmp_path, losses={"cross-entropy": losses.cross_entropy, "found": losses.baikal}))
    assert run.found_in_comparison is None
    assert conclusions.sentences(run)[0] == "The recorded comparison is of an earlier result, not of this loss."
    assert "(this loss)" not in page.write_report(tmp_path).read_text()


@pytest.mark.slow
def test_an_error_is_better_where_it_is_less_and_infinite_where_a_training_failed(
    make_run: Callable[..., Path], tmp_path: Path, no_images: None, parsed_page: Any
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 3)).astype(np.float32)
    split = (x, x.sum(axis=1))
    task = Task(
        models.MLP((4, 1)), split, split, split, optimizer=optax.sgd(0.1), batch_size=10, steps=30, kind="regression",
        metric="rmse", name="sums",
    )  # fmt: skip
    directory = make_run(tmp_path / "run", task)
    run = summary.read(directory)
    assert run.task.is_error
    base, other = run.compared[0].best, run.compared[2].best
    found = conclusions.differences(run)["cross-entropy" if base.name.startswith("cross") else run.compared[0].name]
    errors = [1 / row.test - 1 for row in (base, other)]
    assert found.difference.mean == pytest.approx(errors[1].mean() - errors[0].mean())
    assert found.gain == pytest.approx(-found.difference.mean)
    assert "test rmse" in parsed_page(page.write_report(directory)).text

    for row in run.comparison["rows"]:
        if row["name"].startswith("found, tuned"):
            row["scores"] = [[[0.0, 0.0]] * 3] * 5
    with Run(directory, "comparison", task, {}, resume=True) as record:
        record.save("scores", run.comparison)
    text = parsed_page(page.write_report(directory)).text
    assert "a training failed, so its rmse is infinite" in text
    assert "5 of 5" in text


def test_a_loss_whose_networks_answer_one_class_is_called_that_and_wins_nothing(
    made: Path, parsed_page: Any, tmp_path: Path
) -> None:
    run = summary.read(made)
    assert len(run.task.one_class) > 1
    largest = max(run.task.one_class)
    one_class = np.where(np.arange(5) < 3, largest, 0.5)
    run = with_scores(
        run, {"cross-entropy": NOISE / 9, "found": NOISE / 9, "found, tuned": one_class, "random search": NOISE / 9}
    )
    said = conclusions.about_comparison(run)
    assert said[0].startswith("The loss makes networks that answer one class: in 3 of 5 trainings the test accuracy is")
    assert not any("The loss is better" in sentence for sentence in said)
    rows = next(block for block in comparison_section.comparison_blocks(run) if isinstance(block, Table)).rows
    assert rows[0][0] == "found, tuned (this loss): answers one class"
    assert rows[1][0] == "cross-entropy"


@pytest.mark.parametrize(
    ("weighted", "said"),
    [(0.8, "the loss is significantly better"), (0.9, "cannot be told"), (0.99, "it is significantly better")],
)
def test_weighted_cross_entropy_is_told_of_where_it_was_compared(made: Path, weighted: float, said: str) -> None:
    run = summary.read(made)
    rows = [{**row, "name": "weighted cross-entropy"} for row in run.comparison["rows"][:1]]
    asked = {**run.comparison["asked"]}
    asked["losses"] = {**asked["losses"], "weighted cross-entropy": ["function weighted {}", [], False]}
    comparison = {**run.comparison, "asked": asked, "rows": [*run.comparison["rows"], *rows]}
    run = with_scores(
        dataclasses.replace(run, comparison=comparison),
        {"cross-entropy": 0.8 + NOISE, "found": 0.8 + NOISE, "found, tuned": 0.9 + OTHER_NOISE / 9,
         "random search": 0.8 + NOISE, "weighted cross-entropy": weighted + NOISE / 9},
    )  # fmt: skip
    (sentence,) = (text for text in conclusions.sentences(run) if text.startswith("Cross-entropy with balanced class"))
    assert said in sentence


def test_with_few_seeds_means_are_told_and_nothing_is_better(made: Path) -> None:
    run = with_scores(
        summary.read(made),
        {"cross-entropy": 0.8 + NOISE, "found": 0.8 + NOISE, "found, tuned": 0.9 + NOISE, "random search": 0.7 + NOISE},
    )
    rows = [{**row, "scores": row["scores"][:4]} for row in run.comparison["rows"]]
    said = conclusions.about_comparison(dataclasses.replace(run, comparison={**run.comparison, "rows": rows}))
    assert said[:2] == [
        "Too few seeds to say whether the loss is better: 4, of at least 5.",
        "Its mean test accuracy is 0.8950; cross-entropy 0.7950, found 0.7950, random search 0.6950. Each loss is at "
        "its best learning rate.",
    ]
    text = " ".join(said)
    assert not any(word in text for word in ("p =", "p <", "significant", "as good or better"))


def test_a_difference_without_spread_is_not_called_0() -> None:
    assert conclusions.detectable_in_words(0.0) == "The difference is the same for every seed"
    assert "0.0000" not in conclusions.detectable_in_words(1e-6)
