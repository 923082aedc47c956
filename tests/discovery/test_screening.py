"""The stages before training: known losses pass all of them, and the counts are those of a search by brute force."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import losses
from glojax.discovery import screening
from glojax.discovery.screening import Settings
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree
from glojax.tasks.problems import KINDS

LEAVES = [Tree("x"), Tree("y"), Tree(1), Tree(-1)]


def grown(children: list[Tree]) -> list[Tree]:
    """Every tree of an operator over these."""
    found = [Tree(symbol, (child,)) for symbol in ("log", "square", "sqrt") for child in children]
    return found + [Tree(symbol, pair) for symbol in "+-*/" for pair in itertools.product(children, repeat=2)]


def test_known_losses_pass_every_stage() -> None:
    known = [loss for loss in losses.ZOO.values() if isinstance(loss, losses.Loss)]
    found = screening.screen([loss.tree for loss in known], [loss.coefficients for loss in known], room=31)
    assert len(known) == 9
    for stage in (found.both, found.finite, found.guided, found.trainable):
        assert stage.all()
    assert len(np.unique(found.fingerprint, axis=0)) == len(known)


@pytest.mark.parametrize(
    ("expression", "stage"),
    [
        ("log(y) + y", "both"),
        ("x + 1", "both"),
        ("x * log(y - 1)", "finite"),
        ("x / (y - y)", "finite"),
        ("x + log(y)", "guided"),
        ("x * y - x * y", "guided"),
        ("-1 * (x * log(y))", "trainable"),
        ("x / y - log(y)", "trainable"),
        ("square(x - y)", "trainable"),
    ],
)
def test_a_hopeless_tree_is_rejected_by_the_stage_that_is_meant_for_it(expression: str, stage: str) -> None:
    found = screening.screen([parse(expression)], room=31)
    stages = ("both", "finite", "guided", "trainable")
    passed = {name: bool(getattr(found, name)[0]) for name in stages}
    assert passed == {name: place < stages.index(stage) for place, name in enumerate(stages)}
    assert np.isnan(found.fingerprint).all() == (stage != "trainable")


def test_equal_gradients_have_one_fingerprint_and_others_another() -> None:
    alike = ["x * log(y)", "log(y) * x", "x * log(y) + x", "x * log(y) - 1", "log(y) / (1 / x) * 1"]
    others = ["log(y) - x / y", "x * log(y) + x * log(y)", "x * y", "-1 * (x * log(y))"]
    found = screening.screen([parse(text) for text in alike + others], room=31).fingerprint
    assert len(np.unique(found[:5], axis=0)) == 1
    assert len(np.unique(found, axis=0)) == 1 + len(others)


@pytest.mark.slow
def test_depth_1_is_screened_as_by_brute_force() -> None:
    population, probe = LEAVES + grown(LEAVES), screening.probe()
    one_hot, classes = probe.targets, probe.targets.argmax(axis=1)
    stages, gradients = [], []
    for tree in population:
        text = str(tree)
        if "x" not in text or "y" not in text:
            stages.append((False,) * 4)
            continue

        def total(logits: jax.Array, labels: np.ndarray, tree: Tree = tree) -> jax.Array:
            return losses.apply(tree, (1.0,) * tree.size, logits, jnp.asarray(labels)).mean()

        slope = jax.grad(total)
        found, other = (np.asarray(slope(probe.outputs, labels)) for labels in (one_hot, probe.others))
        finite = bool(np.isfinite(total(jnp.asarray(probe.outputs), one_hot)) and np.isfinite(found).all())
        guided = finite and not np.allclose(found, 0, atol=1e-7) and not np.allclose(found, other, rtol=1e-3, atol=1e-7)
        learns = False
        if guided:
            gradients.append(found)
            logits, optimizer = jnp.asarray(probe.outputs), optax.adam(0.1)
            state = optimizer.init(logits)
            for _ in range(100):
                updates, state = optimizer.update(slope(logits, one_hot), state)
                logits = logits + updates
            accuracies = [np.mean(np.argmax(part, axis=1) == classes) for part in (probe.outputs, logits)]
            learns = bool(np.isfinite(logits).all() and accuracies[1] > accuracies[0] + 0.09)
        stages.append((True, finite, guided, learns))
    screened = screening.screen(population, room=31)
    found_stages = list(zip(screened.both, screened.finite, screened.guided, screened.trainable, strict=True))
    assert [tuple(map(bool, stage)) for stage in found_stages] == stages
    distinct: list[np.ndarray] = []
    for gradient in gradients:
        if not any(np.allclose(gradient, known, rtol=1e-3, atol=1e-8) for known in distinct):
            distinct.append(gradient)
    assert len(np.unique(screened.fingerprint[screened.guided], axis=0)) == len(distinct)
    assert 0 < sum(stage[3] for stage in stages) <= len(distinct) < sum(stage[0] for stage in stages)


# THE PARTS OF SCREENING


POPULATION = [
    parse(text) for text in ("x * log(y)", "log(y) - x / y", "x * log(y) + x", "x + 1", "x * log(y - 1)", "x * y")
]
COEFFICIENTS = [None, (1.0, 1.0, 0.5, 1.0, 1.0, 2.0), (1.0,) * 6, None, None, (-1.0, 1.0, 1.0)]
SETTINGS = Settings(given=screening.probe(), kind=KINDS["classification"], protected=False, room=31)


@pytest.mark.parametrize("coefficients", [None, COEFFICIENTS])
def test_the_parts_say_what_all_stages_say(coefficients: list[tuple[float, ...] | None] | None) -> None:
    whole = screening.screen(POPULATION, coefficients, room=31)
    examined = screening.examine(POPULATION, SETTINGS, coefficients)
    for name in screening.Examined._fields:
        np.testing.assert_array_equal(getattr(examined, name), getattr(whole, name))
    assert examined.guided.tolist() == [True, True, True, False, False, True]
    assert examined.size[0] == 1  # of the baseline
    chosen = np.flatnonzero(examined.guided).tolist()
    factors = None if coefficients is None else [coefficients[place] for place in chosen]
    learns = screening.descend([POPULATION[place] for place in chosen], SETTINGS, factors)
    np.testing.assert_array_equal(learns, whole.trainable[chosen])
    assert learns.tolist() == [True, True, True, coefficients is None]
    again = screening.screen_with(POPULATION, SETTINGS, coefficients)
    for one, other in zip(again, whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_more_trees_than_descend_together_each_have_their_own_answer() -> None:
    pair = [parse("x * log(y)"), parse("-1 * (x * log(y))")]
    learns = screening.descend((pair * 40)[:75], SETTINGS)
    assert learns.tolist() == ([True, False] * 40)[:75]


def test_of_no_trees_nothing_is_said() -> None:
    assert screening.descend([], SETTINGS).tolist() == []
    assert [len(column) for column in screening.examine([], SETTINGS)] == [0] * 6
    assert screening.examine([parse("x + 1")], SETTINGS).fingerprint.shape == (1, 8)


def test_soft_labels_are_mostly_their_class() -> None:
    hard = screening.probe()
    soft = screening.softened(hard)
    for before, after in ((hard.targets, soft.targets), (hard.others, soft.others)):
        assert after.dtype == np.float32
        np.testing.assert_allclose(after.sum(axis=1), 1, rtol=1e-6)
        assert ((after > 0) & (after < 1)).all()
        np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
        assert after.max(axis=1).min() > 0.5
        assert after.max(axis=1).std() > 0.1
    np.testing.assert_array_equal(soft.outputs, hard.outputs)
    np.testing.assert_array_equal(soft.directions, hard.directions)
    np.testing.assert_array_equal(screening.softened(hard).targets, soft.targets)
    assert not np.array_equal(screening.softened(hard, seed=1).targets, soft.targets)


def test_soft_labels_tell_x_from_its_square() -> None:
    pair = [parse("x * log(y)"), parse("square(x) * log(y)")]
    found = [screening.examine(pair, SETTINGS).fingerprint]
    found.append(screening.examine(pair, replace(SETTINGS, given=screening.softened(SETTINGS.given))).fingerprint)
    assert [np.array_equal(*two) for two in found] == [True, False]


@pytest.mark.slow
def test_depth_2_has_as_many_trees_as_the_grammar_says_and_baikal_among_the_trainable() -> None:
    population = LEAVES + grown(LEAVES + grown(LEAVES))
    screened = screening.screen(population, room=31)
    assert (len(population), screened.both.sum()) == (25_844, 9_496)
    distinct = len(np.unique(screened.fingerprint[screened.guided], axis=0))
    trainable = len(np.unique(screened.fingerprint[screened.trainable], axis=0))
    assert 6_000 < screened.finite.sum() < 8_000
    assert 100 < distinct < 300
    assert 40 < trainable < 100
    assert screened.trainable[population.index(parse("log(y) - x / y"))]
