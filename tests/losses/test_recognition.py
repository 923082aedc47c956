"""Known losses are recognized in other words, and no other loss is taken for one."""

import numpy as np
import pytest

from glojax.losses import Loss, known, zoo
from glojax.losses.recognition import recognized

SQUARED = "squared error"


@pytest.mark.parametrize(
    ("expression", "output", "name"),
    [
        ("-3 * square(x - y) + square(x) * x", "identity", SQUARED),
        ("2 * x * y - square(y)", "identity", SQUARED),
        ("square(x - y)", "identity", ""),  # the other way
        ("x * y - square(y)", "identity", ""),
        ("-1 * square(square(x - y))", "identity", ""),
        ("-1 * sqrt(square(x - y))", "identity", "absolute error"),
        ("7 * (x * log(y)) - x * x", "softmax", "cross-entropy"),
        ("x * log(y) + y * 0", "softmax", "cross-entropy"),
        ("x * log(y) + y", "softmax", "cross-entropy"),  # the sum of y is 1
        ("x * y", "softmax", "generalized cross-entropy, q 1"),
        ("x * log(y) + y * y", "softmax", ""),
        ("log(y) * x", "sigmoid", ""),
        ("x * log(y) + (1 - x) * log(1 - y)", "sigmoid", "cross-entropy"),
        ("x / (y - y)", "softmax", ""),
    ],
)
def test_a_loss_is_named_by_its_gradient(expression: str, output: str, name: str) -> None:
    assert recognized(Loss(expression, output=output)) == name  # type: ignore[arg-type]


@pytest.mark.parametrize("output", ["softmax", "sigmoid", "identity"])
def test_every_known_tree_is_recognized_as_itself(output: str) -> None:
    for one in known.known_losses(output, 3):  # type: ignore[arg-type]
        if isinstance(one.loss, Loss) and one.name != "label smoothing":
            assert recognized(one.loss) == one.label


def test_coefficients_matter() -> None:
    tuned = Loss(zoo.cross_entropy.tree, (2.0, 1.0, 1.0, 1.5))
    assert recognized(tuned) == "cross-entropy"  # log(1.5 y) is log(y) and a constant
    assert recognized(zoo.baikal_cma) == "BaikalCMA"
    moved = Loss("log(y) - x / y", tuple(np.array(zoo.baikal.coefficients) * [1, 1, 1, 2, 1, 1]))
    assert recognized(moved) == ""


def test_an_output_of_the_users_own_has_no_known_loss() -> None:
    assert recognized(Loss("-1 * square(x - y)", output=lambda outputs: outputs)) == ""
