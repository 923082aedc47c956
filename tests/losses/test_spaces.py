"""Spaces of coefficients: their sizes, their start, and the losses that vectors stand for."""

import chex
import numpy as np
import pytest
from loss_samples import LABELS, LOGITS, softmax

from glojax import losses
from glojax.expressions.coefficients import identifiable_coefficients
from glojax.expressions.parsing import parse
from glojax.losses.loss import Loss
from glojax.losses.spaces import coefficient_space, taylor_space


@pytest.mark.parametrize("loss", [losses.baikal, losses.cross_entropy, losses.focal, losses.brier], ids=str)
def test_the_start_of_a_coefficient_space_is_the_tree_without_coefficients(loss: Loss) -> None:
    space = coefficient_space(loss.tree)
    chex.assert_shape(space.start, (len(identifiable_coefficients(loss.tree)),))
    np.testing.assert_array_equal(space.start, 1)
    assert space.tree == loss.tree
    assert space.coefficients(space.start) == (1.0,) * loss.tree.size


def test_a_vector_sets_the_identifiable_coefficients_and_leaves_the_others_at_1() -> None:
    # log(y) - x / y: the root and the logarithm.
    space = coefficient_space(parse("log(y) - x / y"))
    assert space.coefficients(np.array([3.0, 0.5])) == (3.0, 0.5, 1.0, 1.0, 1.0, 1.0)
    y = softmax(LOGITS)
    expected = -(3.0 * (0.5 * np.log(y) - LABELS / y)).sum(axis=-1)
    found = Loss(space.tree, space.coefficients(np.array([3.0, 0.5])))(LOGITS, LABELS)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_coefficients_are_numbers_of_python() -> None:
    space = coefficient_space(parse("x * log(y)"))
    assert {type(value) for value in space.coefficients(np.float32([2.5]))} == {float}


def test_a_tree_without_identifiable_coefficients_has_an_empty_space() -> None:
    space = coefficient_space(parse("x"))
    assert space.start.shape == (0,)
    assert space.coefficients(space.start) == (1.0,)


def polynomial(vector: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The third-order polynomial of arXiv 2002.00059, section 3."""
    x, y = x - vector[0], y - vector[1]
    terms = np.stack([y, y**2, y**3, x * y, x * y**2, x**2 * y])
    return np.tensordot(vector[2:], terms, axes=1)


@pytest.mark.parametrize("seed", range(5))
def test_a_vector_of_the_taylor_space_is_its_polynomial(seed: int) -> None:
    space, vector = taylor_space(), np.random.default_rng(seed).normal(size=8)
    expected = -polynomial(vector, LABELS, softmax(LOGITS)).sum(axis=-1)
    found = Loss(space.tree, space.coefficients(vector))(LOGITS, LABELS)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_taylor_space_has_8_parameters_one_tree_and_starts_at_0() -> None:
    space = taylor_space()
    np.testing.assert_array_equal(space.start, np.zeros(8))
    assert space.tree == losses.taylor_mnist.tree
    assert len(space.coefficients(space.start)) == space.tree.size == 43
    found = Loss(space.tree, space.coefficients(space.start))(LOGITS, LABELS)
    np.testing.assert_array_equal(found, 0)


def test_the_loss_that_taylor_glo_found_is_in_the_space() -> None:
    vector = np.array([-10.9408, 7.5216, 8.2896, 0.2415, 7.8726, 8.9666, 2.0184, 7.0513])
    assert taylor_space().coefficients(vector) == losses.taylor_mnist.coefficients


def test_a_space_may_start_elsewhere_and_keeps_what_it_does_not_tune() -> None:
    tree = parse("log(y) - x / y")
    space = coefficient_space(tree, (2.0, 0.5, 3.0, 1.0, 1.0, 4.0))
    assert space.nodes == (0, 1)
    np.testing.assert_array_equal(space.start, [2.0, 0.5])
    assert space.coefficients(np.array([7.0, 8.0])) == (7.0, 8.0, 3.0, 1.0, 1.0, 4.0)
