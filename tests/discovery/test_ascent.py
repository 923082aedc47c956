"""Ascent from many starts: steps worked out by hand, a maximum that is known, and trainings that fail."""

import numpy as np

from glojax.discovery import ascent


def test_the_first_start_is_the_mean_and_the_others_scatter() -> None:
    drawn = ascent.starts(np.array([1.0, 3.0]), 2.0, 2000, seed=3)
    np.testing.assert_array_equal(drawn[0], [1, 3])
    np.testing.assert_allclose(drawn.mean(axis=0), [1, 3], atol=0.2)
    np.testing.assert_allclose(drawn.std(axis=0), [2, 2], rtol=0.1)
    np.testing.assert_array_equal(drawn, ascent.starts(np.array([1.0, 3.0]), 2.0, 2000, seed=3))


def test_steps_grow_while_signs_stay_and_shrink_where_they_turn() -> None:
    state, met = ascent.begin(np.zeros((1, 2)), 0.1), []
    for derivatives in ([1e-6, -3.0], [5.0, -1.0], [-2.0, -1.0], [-1.0, 0.0], [-1.0, 2.0]):
        state = ascent.follow(state, np.ones(1), np.array([derivatives]))
        met.append(state.vectors[0])
    # 0.1, 0.12, then a turn: the step is halved and left out, and after it taken with that length.
    first = [0.1, 0.22, 0.22, 0.16, 0.16 - 0.072]
    second = [-0.1, -0.22, -0.364, -0.364, -0.364 + 0.144]
    np.testing.assert_allclose(met, np.stack([first, second], axis=1), atol=1e-12)


def test_it_finds_the_top_of_a_hill_from_every_start() -> None:
    top, widths = np.array([2.0, -1.0, 0.5]), np.array([1.0, 30.0, 0.01])
    state = ascent.begin(ascent.starts(np.zeros(3), 1.5, 6, seed=0), 0.1)
    for _ in range(60):
        away = state.vectors - top
        state = ascent.follow(state, 1e6 - (widths * away**2).sum(axis=1), -2 * widths * away)
    np.testing.assert_allclose(state.best, np.tile(top, (6, 1)), atol=0.01)


def test_a_failed_training_goes_half_of_the_way_back_to_the_best() -> None:
    state = ascent.follow(
        ascent.begin(np.array([[1.0], [4.0]]), 0.5), np.array([0.7, 0.0]), np.array([[1.0], [np.nan]])
    )
    np.testing.assert_array_equal(state.vectors, [[1.5], [4.0]])  # the second has met nothing better
    state = ascent.follow(state, np.array([0.9, 0.2]), np.array([[np.inf], [1.0]]))
    np.testing.assert_array_equal(state.vectors, [[1.5], [4.5]])
    state = ascent.follow(state, np.array([0.0, 0.1]), np.array([[1.0], [1.0]]))
    np.testing.assert_array_equal(state.vectors, [[1.5], [5.1]])
    np.testing.assert_array_equal(state.best, [[1.5], [4.0]])
    np.testing.assert_array_equal(state.best_value, [0.9, 0.2])
