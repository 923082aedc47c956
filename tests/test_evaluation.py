"""Losses over seeds, and their scores in the course of training."""

import numpy as np
import pytest

from glojax import evaluation, losses
from glojax.evaluation import evaluate
from glojax.tasks import Task
from glojax.trees import Tree, parse


def test_curves_end_in_the_scores_of_the_whole_training(tiny_task: Task) -> None:
    candidates = [losses.cross_entropy, losses.baikal]
    curves = evaluation.learning_curves(
        tiny_task, candidates, [1, 2], [1.0, 1.0], splits=("validation", "test"), points=3
    )
    assert curves.shape == (2, 2, 3, 2)
    whole = evaluation.score_losses(tiny_task, candidates, [1, 2], [1.0, 1.0], splits=("validation", "test"))
    np.testing.assert_array_equal(curves[:, :, -1], whole)
    shorter = evaluate(tiny_task, candidates, [1, 2], split="test", steps=20)
    np.testing.assert_array_equal(curves[:, :, 1, 1], shorter)
    assert (curves[..., 0] != curves[..., 1]).any()  # the splits are two
    assert (curves[:, :, 2] >= curves[:, :, 0]).all()


@pytest.mark.parametrize(("steps", "points"), [(30, 31), (30, 0), (0, 1)])
def test_curves_need_a_step_for_every_point(tiny_task: Task, steps: int, points: int) -> None:
    with pytest.raises(ValueError, match=f"steps is {steps} and points is {points}; 1 <= points <= steps"):
        evaluation.learning_curves(tiny_task, [losses.baikal], [1], [1.0], steps=steps, points=points)


def test_evaluate_takes_trees_expressions_losses_and_functions(tiny_task: Task) -> None:
    given = [parse("x * log(y)"), "x * log(y)", losses.cross_entropy, losses.next_generation]
    scores = evaluate(tiny_task, given, 3)
    assert scores.shape == (4, 3)
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
        ({"steps": 0}, "steps is 0"),
        ({"candidates": ["x + 1"]}, "a loss needs both x"),
        ({"candidates": ["x +"]}, "column 4"),
    ],
)
def test_evaluate_refuses(tiny_task: Task, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(tiny_task, **({"candidates": [Tree("*", (Tree("x"), Tree("y")))], "seeds": 1} | arguments))
