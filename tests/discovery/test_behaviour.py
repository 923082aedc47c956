"""Behaviours: losses that train alike are near each other, and the numbers are those of jax.grad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax.discovery import behaviour, screening
from glojax.discovery.screening import Settings
from glojax.expressions.parsing import parse
from glojax.losses.loss import Loss
from glojax.seeds import named_random
from glojax.tasks.problems import KINDS, Kind

CLASSES = Settings(given=screening.probe(), kind=KINDS["classification"], protected=False, room=15)


def numbers(kind: Kind) -> Settings:
    random = np.random.default_rng(0)
    labels, outputs, directions = (random.normal(size=size) for size in ((100, 1), (100, 1), (8, 100, 1)))
    parts = outputs, labels, np.roll(labels, 1, axis=0), directions
    given = screening.Probe(*(part.astype(np.float32) for part in parts))
    return Settings(given=given, kind=kind, protected=False, room=15)


def acts(*expressions: str, settings: Settings = CLASSES) -> np.ndarray:
    return behaviour.behaviours([parse(text) for text in expressions], settings)


@pytest.mark.slow
def test_the_numbers_are_projections_of_the_gradients_of_jax() -> None:
    expression = "log(y) * (x - y)"
    loss = Loss(parse(expression))
    (found,) = acts(expression)
    moments = behaviour.moments(CLASSES.given, CLASSES.kind)
    directions = named_random(0, "behaviours").normal(size=(16, 100, 10)).astype(np.float32)
    gradient_of = jax.jit(jax.grad(lambda outputs: jnp.mean(loss(outputs, CLASSES.given.targets))))
    sizes = []
    for moment in range(3):
        gradient = gradient_of(moments[moment])
        sizes.append(np.linalg.norm(gradient))
        expected = np.einsum("dsc,sc->d", directions, gradient / sizes[-1]) / 4
        np.testing.assert_allclose(found[16 * moment : 16 * moment + 16], expected, atol=1e-4)
    np.testing.assert_allclose(found[48:], 0.3 * np.log([sizes[0] / sizes[1], sizes[2] / sizes[1]]), atol=1e-4)


@pytest.mark.slow
def test_scale_and_what_changes_no_gradient_change_no_behaviour() -> None:
    found = acts("x * log(y)", "x * log(y * y)", "x * log(y) + x", "x * log(y) - y")
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=2e-5)  # predictions sum to 1


def test_like_losses_are_near_and_unlike_ones_far() -> None:
    brier, like, cross_entropy, baikal = acts(
        "-1 * square(x - y)", "-1 * sqrt(1 + square(x - y))", "x * log(y)", "log(y) - x / y"
    )
    assert np.linalg.norm(brier - like) < 0.2
    assert np.linalg.norm(brier - cross_entropy) > 0.5
    assert np.linalg.norm(cross_entropy - baikal) > 1


def test_a_gradient_that_is_not_finite_or_zero_is_nan() -> None:
    found = acts("log(x) * y", "x + 1", "x * log(y)", "sqrt(y - 1) * x")
    assert np.isnan(found).all(axis=1).tolist() == [True, True, False, True]
    assert acts().shape == (0, behaviour.FEATURES)


def test_a_loss_is_what_it_is_whatever_stands_beside_it() -> None:
    trees = [parse("x * log(y)"), parse("y * (x - y)")] * 100
    whole = behaviour.behaviours(trees, CLASSES)
    assert whole.shape == (200, behaviour.FEATURES)
    np.testing.assert_array_equal(whole, np.tile(behaviour.behaviours(trees[:2], CLASSES), (100, 1)))


def test_coefficients_count() -> None:
    tree = parse("x * log(y) + y")
    found = behaviour.behaviours([tree, tree], CLASSES, [None, [1, 1, 1, 1, 1, 5]])
    assert found.shape == (2, behaviour.FEATURES)
    other = behaviour.behaviours([parse("square(x - y)")] * 2, CLASSES, [None, [1, 1, 1, 3]])
    assert np.linalg.norm(other[0] - other[1]) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "near", "far"),
    [
        (KINDS["regression"], ("-1 * square(x - y)", "x * y - square(y) / (1 + 1)"), "-1 * sqrt(1 + square(x - y))"),
        (KINDS["binary"], ("x * log(y)", "x * log(square(y))"), "x * y"),
        (Kind(jax.nn.softplus, "rmse"), ("-1 * square(x - y)", "y * (x + x - y)"), "-1 * sqrt(1 + square(x - y))"),
    ],
)
def test_every_kind_of_problem_has_behaviours(kind: Kind, near: tuple[str, str], far: str) -> None:
    settings = numbers(kind)
    if kind.output == "sigmoid":
        labels = (settings.given.targets > 0).astype(np.float32)
        settings = Settings(
            given=settings.given._replace(targets=labels, others=1 - labels), kind=kind, protected=False, room=15
        )
    one, same, other = acts(*near, far, settings=settings)
    np.testing.assert_allclose(one, same, atol=1e-4)
    assert np.linalg.norm(one - other) > 0.1


def test_late_outputs_have_learned_all_but_a_fifth() -> None:
    early, middle, late = behaviour.moments(CLASSES.given, CLASSES.kind)
    labels = CLASSES.given.targets.argmax(axis=1)
    assert np.mean(late.argmax(axis=1) == labels) == pytest.approx(0.79, abs=0.06)
    assert np.mean(middle.argmax(axis=1) == labels) < 0.3
    np.testing.assert_allclose(early, 0.3 * middle, rtol=1e-6)
    settings = numbers(KINDS["regression"])
    errors = np.abs(behaviour.moments(settings.given, settings.kind) - settings.given.targets)
    np.testing.assert_allclose(errors[1] / errors[0], np.where(np.arange(100) % 5 == 0, 1, 0.3)[:, None], atol=1e-3)
