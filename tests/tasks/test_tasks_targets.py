"""Targets and weights of a loss."""

import jax.numpy as jnp
import numpy as np

from glojax.tasks.problems import KINDS
from glojax.tasks.targets import weighed


def test_targets_of_positions_are_rows_weighed_by_their_class_and_0_where_unknown() -> None:
    labels = jnp.array([[0, 2], [-1, 1]], jnp.int32)
    x, weights = weighed(KINDS["classification"], labels, 3, np.array([1.0, 2.0, 5.0]), True, True)
    np.testing.assert_array_equal(x, [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(weights, [[1], [5], [0], [2]])


def test_numbers_that_are_unknown_weigh_nothing() -> None:
    labels = jnp.array([[[1.0, np.nan]], [[3.0, 4.0]]])
    x, weights = weighed(KINDS["regression"], labels, 2, None, True, False)
    np.testing.assert_array_equal(x, [[1, 0], [3, 4]])
    np.testing.assert_array_equal(weights, [[1, 0], [1, 1]])


def test_labels_0_and_1_have_weights_of_their_own() -> None:
    labels = jnp.array([[1.0, 0.0], [0.0, np.nan]])
    factors = np.array([[0.5, 5.0], [2.0, 3.0]])  # of 0 and 1, for each output
    _, weights = weighed(KINDS["multi-label"], labels, 2, factors, True, False)
    np.testing.assert_array_equal(weights, [[5, 2], [0.5, 0]])


def test_without_gaps_all_entries_weigh_the_same() -> None:
    assert weighed(KINDS["classification"], jnp.array([0, 1], jnp.int32), 2, None, False, False)[1] is None
