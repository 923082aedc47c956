"""What a search says and ends with: arithmetic on values written out, and old names that warn."""

from typing import Any

import numpy as np
import pytest

from glojax.discovery.exhaustive import ExhaustiveResult
from glojax.discovery.results import Baseline, Event, Known, Result
from glojax.expressions.trees import parse
from glojax.losses.loss import Loss
from glojax.records.candidates import Record

KNOWN = Known(parse("x * log(y)"), 3.0, (0.25, 0.75), True)


def test_the_fitness_of_a_tree_is_the_mean_of_its_scores() -> None:
    assert KNOWN.fitness == 0.5
    assert KNOWN._replace(scores=(0.125,)).fitness == 0.125


def test_more_scores_add_to_finished_trainings_and_replace_those_that_were_stopped() -> None:
    assert KNOWN.with_more([1.0]) == Known(KNOWN.tree, 3.0, (0.25, 0.75, 1.0), True)
    assert KNOWN._replace(finished=False).with_more([1.0, 0.5]) == Known(KNOWN.tree, 3.0, (1.0, 0.5), True)
    assert KNOWN.scores == (0.25, 0.75)


@pytest.mark.parametrize("fate", ["trained", "dropped"])
def test_a_record_has_the_tree_as_it_is_and_its_canonical_form(fate: str) -> None:
    assert KNOWN.to_record(fate, 7, 60, 1.5) == Record(
        expression="x * log(y)",
        canonical="log(y) * x",
        coefficients=(),
        fitness=0.5,
        scores=(0.25, 0.75),
        rate=3.0,
        fate=fate,
        parents=(),
        seed=7,
        steps=60,
        seconds=1.5,
    )


def test_an_event_without_records_has_none() -> None:
    event = Event("tune", 0, 3, np.array([0.5]), "x * log(y)", 1, {}, True)
    assert (event.records, event.ranking) == ((), ())


FIELDS: dict[str, Any] = {
    "phase": "search",
    "loss": Loss(parse("log(y) - x / y")),
    "rate": 3.0,
    "scores": np.array([0.25, 1.0]),
    "record": [[KNOWN.to_record("trained", 7, 60, 1.5)]],
    "funnel": {"drawn": 1},
    "baseline": Baseline(3.0, 0.5, 420),
    "steps": 480,
}


def test_a_result_has_the_mean_of_its_scores_and_the_tree_of_its_loss() -> None:
    result = Result(**FIELDS)
    assert result.fitness == 0.625
    assert result.best == parse("log(y) - x / y")
    assert "x * log(y)" not in repr(result)  # the record may be long


def test_old_names_of_attributes_warn_and_give_what_the_new_ones_give() -> None:
    result = ExhaustiveResult(**FIELDS, ranking=[KNOWN], places_of_known={"cross_entropy": 1}, tree_count=80)
    for old, new in (("control", "baseline"), ("known", "places_of_known"), ("trees", "tree_count")):
        with pytest.warns(DeprecationWarning, match=f"ExhaustiveResult.{old} is now {new}") as warned:
            assert getattr(result, old) is getattr(result, new)
        assert warned[0].filename == __file__


def test_the_old_name_of_the_baseline_of_any_search_warns() -> None:
    with pytest.warns(DeprecationWarning, match="^Result.control is now baseline.$"):
        assert Result(**FIELDS).control == FIELDS["baseline"]
