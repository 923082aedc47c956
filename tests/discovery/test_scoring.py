"""Losses over seeds, and their scores in the course of training."""

import numpy as np
import optax
import pytest

from glojax import losses
from glojax.discovery import scoring
from glojax.discovery.scoring import evaluate
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree
from glojax.tasks.task import Task


def test_curves_end_in_the_scores_of_the_whole_training(tiny_task: Task) -> None:
    candidates = [losses.cross_entropy, losses.baikal]
    curves = scoring.learning_curves(tiny_task, candidates, [1, 2], [1.0, 1.0], splits=("validation", "test"), points=3)
    assert curves.shape == (2, 2, 3, 2)
    whole = scoring.score_losses(tiny_task, candidates, [1, 2], [1.0, 1.0], splits=("validation", "test"))
    np.testing.assert_array_equal(curves[:, :, -1], whole)
    shorter = evaluate(tiny_task, candidates, [1, 2], split="test", steps=20)
    np.testing.assert_array_equal(curves[:, :, 1, 1], shorter)
    assert (curves[..., 0] != curves[..., 1]).any()  # the splits are two
    assert (curves[:, :, 2] >= curves[:, :, 0]).all()


@pytest.mark.parametrize(("steps", "points"), [(30, 31), (30, 0), (0, 1)])
def test_curves_need_a_step_for_every_point(tiny_task: Task, steps: int, points: int) -> None:
    with pytest.raises(ValueError, match=f"steps is {steps} and points is {points}; 1 <= points <= steps"):
        scoring.learning_curves(tiny_task, [losses.baikal], [1], [1.0], steps=steps, points=points)


@pytest.mark.slow
def test_evaluate_takes_trees_expressions_losses_and_functions(tiny_task: Task) -> None:
    given = [parse("x * log(y)"), "x * log(y)", losses.cross_entropy, losses.next_generation, "cross_entropy"]
    scores = evaluate(tiny_task, given, 3)
    assert scores.shape == (5, 3)
    np.testing.assert_array_equal(scores[0], scores[4])
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])
    np.testing.assert_array_equal(evaluate(tiny_task, given[:1], [2, 0]), scores[:1, [2, 0]])
    assert ((scores > 0) & (scores <= 1)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"candidates": []}, "at least one of each is needed"),
        ({"seeds": 0}, "at least one of each is needed"),
        ({"rates": [1.0, 2.0]}, "rates has 2 values for 1 losses"),
        ({"split": "holdout"}, "splits holds 'holdout'; the task has train, validation, test"),
        ({"rates": [-1.0]}, "rates holds -1.0; numbers above 0"),
        ({"rates": [np.nan]}, "rates holds nan; numbers above 0"),
        ({"seeds": [0, -1]}, "seeds holds -1; whole numbers from 0 to 4294967295"),
        ({"seeds": [2**32]}, "seeds holds 4294967296; whole numbers"),
        ({"seeds": 2.5}, "seeds is 2.5; their number or a list of them"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"task": None}, "task is None; a glojax.Task is expected"),
        ({"task": lambda: None}, "task is <function .*; a glojax.Task is expected"),
        ({"candidates": "x * log(y)"}, r"candidates is 'x \* log\(y\)'; a list of losses is expected"),
        ({"candidates": losses.baikal}, "candidates is Loss.*; a list of losses is expected"),
        ({"candidates": [3]}, "3 is no loss"),
        (
            {"candidates": [optax.softmax_cross_entropy_with_integer_labels]},
            "the loss softmax_cross_entropy_with_integer_labels, called with .*, raises TypeError: .*numpy.integer",
        ),
        ({"candidates": [lambda outputs, targets: targets[:2]]}, r"the loss <lambda> gives float32\[2, 10\]"),
        ({"candidates": ["x + 1"]}, "a loss needs both x"),
        ({"candidates": ["x +"]}, "column 4"),
    ],
)
def test_evaluate_refuses(tiny_task: Task, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(**{"task": tiny_task, "candidates": [Tree("*", (Tree("x"), Tree("y")))], "seeds": 1, **arguments})
