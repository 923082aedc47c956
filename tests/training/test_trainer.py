"""Population training against a plain loop over one network, and against itself in other arrangements."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import poch

from glojax import losses
from glojax.data import augmentation
from glojax.discovery.scoring import evaluate
from glojax.expressions import trees
from glojax.expressions.parsing import parse
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.tasks.task import Task
from glojax.training import blocks, compiled, grouping, learner
from glojax.training.blocks import Block
from glojax.training.trainer import Trainer

EXPRESSIONS = ("x * log(y)", "log(y) - x / y", "-1 * square(x - y)", "x * sqrt(y)")


def mean_log_likelihood(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """A metric that, unlike accuracy, moves with every parameter."""
    return -jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


@pytest.fixture(scope="module")
def fine_task(tiny_task: Task) -> Task:
    return dataclasses.replace(tiny_task, metric=mean_log_likelihood)


@pytest.fixture(scope="module")
def trainer(fine_task: Task) -> Trainer:
    return Trainer(fine_task, instructions=31)


def trained_by_hand(task: Task, loss: Callable[..., jax.Array], seed: int) -> float:
    """The reference score: one network, one loss, jax.grad and optax, in a Python loop; a mean of all its weights."""
    model, (x, labels) = task.pure_model, task.splits["train"]
    key = jax.random.fold_in(jax.random.key(0), seed)
    init_key, noise_key, _, augmentation_key = jax.random.split(key, 4)
    params, state = model.init(init_key)
    optimizer_state = task.optimizer.init(params)

    @jax.jit
    def step(params, state, optimizer_state, x, labels, key):
        def mean_loss(params):
            logits, new_state = model.apply(params, state, x, key, True)
            return jnp.mean(loss(logits, jax.nn.one_hot(labels, logits.shape[-1]))), new_state

        gradient, state = jax.grad(mean_loss, has_aux=True)(params)
        updates, optimizer_state = task.optimizer.update(gradient, optimizer_state, params)
        return optax.apply_updates(params, updates), state, optimizer_state

    kept = []
    for number, places in enumerate(learner.minibatches(seed, len(x), task.batch_size, 0, task.steps)):
        dropout_key = jax.random.fold_in(noise_key, number)
        given = task.training_input(jax.random.fold_in(augmentation_key, number), jnp.asarray(x[places]))
        params, state, optimizer_state = step(params, state, optimizer_state, given, labels[places], dropout_key)
        kept.append((params, state))
    # The closed form of polynomial-decay averaging: step i counts in proportion to a rising factorial.
    steps = np.arange(1, task.steps + 1)
    shares = poch(steps, 1 / task.averaging - 1) if task.averaging else steps == task.steps
    params, state = jax.tree.map(lambda *leaves: np.average(np.stack(leaves), axis=0, weights=shares), *kept)
    given = task.evaluation_input(jnp.asarray(task.splits["validation"].x))
    logits, _ = model.apply(params, state, given, key, False)
    return float(task.score(logits, task.splits["validation"].labels))


# AGAINST A PLAIN LOOP


@pytest.mark.slow
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_candidate_is_trained_as_by_a_plain_loop(trainer: Trainer, fine_task: Task, expression: str) -> None:
    score = trainer.scores(trainer.candidates([parse(expression)], [7]))[0, 0]
    np.testing.assert_allclose(score, trained_by_hand(fine_task, Loss(expression), 7), rtol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("averaging", [0, 0.1, 0.5, 1])
def test_scores_are_those_of_weights_averaged_over_any_share_of_the_steps(fine_task: Task, averaging: float) -> None:
    task = dataclasses.replace(fine_task, averaging=averaging, model=NetworkWithState())
    found = Trainer(task, instructions=7)
    score = found.train(found.candidates([parse("x * sqrt(y)")], [7]), [10, 30]).scores[0, :, 0]
    for steps, expected in zip((10, 30), score, strict=True):
        by_hand = trained_by_hand(dataclasses.replace(task, steps=steps), Loss("x * sqrt(y)"), 7)
        np.testing.assert_allclose(expected, by_hand, rtol=5e-4)


@pytest.mark.slow
def test_averaging_leaves_training_itself_alone(fine_task: Task) -> None:
    """The networks, whose steps take no notice of their average."""
    found = []
    for averaging in (0.0, 0.2):
        trainer = Trainer(dataclasses.replace(fine_task, averaging=averaging), instructions=7)
        state = trainer.advance(
            trainer.begin(trainer.candidates([parse("x * log(y)")], [1]), [30], ["validation"]), hold=True
        )
        found.append((trainer.on_host(state)[1], state.scores))
    (last, last_scores), (averaged, scores) = found
    assert last.average is None
    chex.assert_trees_all_close(last.params, averaged.params, rtol=1e-5, atol=1e-7)
    assert not np.allclose(scores, last_scores, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "expected"), [(None, None), ("highest", "highest"), ("tf32", "tensorfloat32")])
def test_networks_train_and_are_scored_in_the_precision_of_the_task(
    tiny_task: Task, precision: str | None, expected: str | None
) -> None:
    traced: list[str | None] = []

    def apply(params: jax.Array, state: Any, x: jax.Array, key: jax.Array, train: bool) -> Any:
        traced.append(jax.config.jax_default_matmul_precision)  # type: ignore[attr-defined]
        return x.reshape(len(x), -1) @ params, state

    model = (lambda key: (jax.random.normal(key, (64, 10)), {}), apply)
    task = dataclasses.replace(tiny_task, model=model, precision=precision, steps=2)
    trainer = Trainer(task)
    assert task.fingerprint  # for which the model is traced as well
    traced.clear()
    trainer.scores(trainer.candidates([parse("x * y")], [0]))
    assert traced
    assert set(traced) == {expected}


def test_coefficients_and_rate_are_the_candidates_own(trainer: Trainer, fine_task: Task) -> None:
    def at_rate(scale: float) -> Task:
        """The task with another learning rate of plain SGD; ``tiny_task`` has 0.05."""
        return dataclasses.replace(fine_task, optimizer=optax.sgd(0.05 * scale))

    candidates = trainer.candidates(
        [losses.baikal_cma.tree] * 2, [3, 3], [losses.baikal_cma.coefficients, None], rates=[0.5, 2.0]
    )
    scores = trainer.scores(candidates)[:, 0]
    np.testing.assert_allclose(scores[0], trained_by_hand(at_rate(0.5), losses.baikal_cma, 3), rtol=2e-4)
    np.testing.assert_allclose(scores[1], trained_by_hand(at_rate(2.0), losses.baikal, 3), rtol=2e-4)


@pytest.mark.slow
def test_an_optimizer_with_state_is_trained_as_by_a_plain_loop(fine_task: Task) -> None:
    task = dataclasses.replace(fine_task, optimizer=optax.adam(optax.linear_schedule(0.01, 0.001, 30)))
    score = evaluate(task, ["x * log(y)"], [5])[0, 0]
    np.testing.assert_allclose(score, trained_by_hand(task, losses.cross_entropy, 5), rtol=2e-4)


class NetworkWithState(nn.Module):
    """Batch statistics and dropout."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.BatchNorm(use_running_average=not train, momentum=0.8)(nn.Dense(8)(x.reshape((x.shape[0], -1))))
        return nn.Dense(10)(nn.Dropout(0.3, deterministic=not train)(nn.relu(x)))


@pytest.mark.slow
def test_batch_statistics_and_dropout_are_those_of_a_plain_loop(fine_task: Task) -> None:
    task = dataclasses.replace(fine_task, model=NetworkWithState())
    score = evaluate(task, ["x * log(y)"], [6])[0, 0]
    np.testing.assert_allclose(score, trained_by_hand(task, losses.cross_entropy, 6), rtol=5e-4)


@pytest.fixture(scope="module")
def augmented_task(fine_task: Task) -> Task:
    """Bytes, random 6x6 crops with noise from a sine in training, the middle and a cosine in evaluation."""
    splits = {name: (split.x * 16).astype(np.uint8) for name, split in fine_task.splits.items()}
    return dataclasses.replace(
        fine_task,
        **{name: (x, fine_task.splits[name].labels) for name, x in splits.items()},
        preprocess=lambda x: jnp.cos(augmentation.centre_crop(x / 16, 6)),
        augment=lambda key, x: jnp.sin(augmentation.random_flip(key, augmentation.random_crop(key, x / 16, 6))),
    )


@pytest.mark.slow
def test_an_augmented_training_is_that_of_a_plain_loop(augmented_task: Task) -> None:
    scores = evaluate(augmented_task, ["x * log(y)"], [6, 7])[0]
    expected = [trained_by_hand(augmented_task, losses.cross_entropy, seed) for seed in (6, 7)]
    np.testing.assert_allclose(scores, expected, rtol=5e-4)
    assert scores[0] != scores[1]


@pytest.mark.slow
def test_candidates_of_a_group_share_one_augmented_minibatch(augmented_task: Task) -> None:
    trainer = Trainer(augmented_task, instructions=31, group=4)
    scores = trainer.scores(trainer.candidates([parse("x * log(y)")] * 8, [3] * 8))[:, 0]
    assert len(set(scores.tolist())) == 1
    shapes = shapes_of(trainer, "sin"), shapes_of(trainer, "cos")
    assert shapes == ({(20, 6, 6, 1)}, {(200, 6, 6, 1), (100, 6, 6, 1)})  # nothing with an axis of candidates


def shapes_of(trainer: Trainer, primitive: str) -> set[tuple[int, ...]]:
    """Shapes of all results of a primitive in the programs that train and score."""
    candidates = trainer.candidates([parse("x * log(y)")] * 8, [3] * 8)
    layout = grouping.lay_out(trainer.plan, np.arange(8), candidates.seed)
    chosen = blocks.lay_out_candidates(candidates, layout)
    programs = trainer.compiled
    learners = programs.start(chosen.seed, layout.counts, programs.data)
    places = np.zeros((len(chosen.seed), blocks.CHUNK, trainer.task.batch_size), np.int32)
    wanted = np.ones(3, bool)
    traced = [
        jax.make_jaxpr(programs.advance)(
            learners, chosen, layout.counts, places, np.int32(0), np.int32(1), programs.data
        ),
        jax.make_jaxpr(programs.score)(learners, chosen.seed, layout.counts, wanted, programs.data),
    ]

    def found(jaxpr: Any) -> set[tuple[int, ...]]:
        own = {equation.outvars[0].aval.shape for equation in jaxpr.eqns if equation.primitive.name == primitive}
        return own.union(*(found(inner) for equation in jaxpr.eqns for inner in grouping.inner_jaxprs(equation)))

    return set().union(*(found(program.jaxpr) for program in traced))


@pytest.mark.slow
def test_a_loss_as_a_program_trains_as_the_same_loss_as_a_function(trainer: Trainer, fine_task: Task) -> None:
    loss = losses.Loss("x * log(y) - y * sqrt(y)")
    fixed = Trainer(fine_task, loss=lambda logits, labels: loss(logits, labels))
    given = [loss.tree] * 2, [3, 4]
    np.testing.assert_allclose(
        fixed.scores(fixed.candidates([Tree("y")] * 2, [3, 4])), trainer.scores(trainer.candidates(*given)), rtol=2e-4
    )


@pytest.mark.slow
def test_a_loss_outside_the_grammar_is_trained_as_by_a_plain_loop(fine_task: Task) -> None:
    scores = evaluate(fine_task, [optax.softmax_cross_entropy, "x * log(y)"], [1, 2])
    np.testing.assert_allclose(scores[0], scores[1], rtol=2e-4)
    np.testing.assert_allclose(scores[0, 1], trained_by_hand(fine_task, optax.softmax_cross_entropy, 2), rtol=2e-4)


@pytest.mark.slow
def test_protected_losses_train_in_a_program_of_their_own(fine_task: Task) -> None:
    expression = "log(x) * x + x * log(y)"  # infinite where raw, cross-entropy where protected
    raw, protected, plain = evaluate(
        fine_task, [expression, Loss(parse(expression), protected=True), "x * log(y)"], [1]
    )
    assert raw[0] == 0
    np.testing.assert_allclose(protected, plain, rtol=2e-4)


# INDEPENDENCE


def test_a_score_depends_on_no_neighbour_and_no_slot(trainer: Trainer) -> None:
    population = [parse(expression) for expression in EXPRESSIONS] * 5
    broken = [parse("log(x - y)"), parse("1 / (x - x) + y")]
    alone = trainer.scores(trainer.candidates(population, [4] * 20))[:, 0]
    order = np.random.default_rng(0).permutation(22)
    mixed = trainer.scores(trainer.candidates([(population + broken)[place] for place in order], [4] * 22))[:, 0]
    np.testing.assert_array_equal(mixed[np.argsort(order)][:20], alone)
    np.testing.assert_array_equal(mixed[np.argsort(order)][20:], 0)
    assert len(set(alone.tolist())) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("group", "devices"), [(1, 2), (3, 2), (8, 1)])
def test_group_size_and_number_of_devices_change_nothing_but_rounding(
    trainer: Trainer, fine_task: Task, group: int, devices: int
) -> None:
    population, seeds = [parse(expression) for expression in EXPRESSIONS] * 2, [1, 1, 1, 1, 2, 2, 2, 2]
    other = Trainer(fine_task, instructions=31, group=group, devices=jax.devices()[:devices])
    expected = trainer.scores(trainer.candidates(population, seeds))
    np.testing.assert_allclose(other.scores(other.candidates(population, seeds)), expected, rtol=1e-4)


def test_seeds_differ_and_repeat(trainer: Trainer) -> None:
    scores = trainer.scores(trainer.candidates([parse("x * log(y)")] * 6, [1, 2, 3, 1, 2, 3]))[:, 0]
    np.testing.assert_array_equal(scores[:3], scores[3:])
    assert len(set(scores.tolist())) == 3


# ONE PROGRAM


@pytest.mark.slow
def test_one_compilation_serves_every_population(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("start_groups", "score_groups", "advance_groups"):
        once = chex.assert_max_traces(getattr(compiled, name), n=1)
        monkeypatch.setattr(compiled, name, once)
    trainer = Trainer(tiny_task, instructions=31, group=2)
    assert trainer.compilations == 0
    random = np.random.default_rng(0)
    for size in (1, 5, 80):
        population = [trees.grow(random, 3) for _ in range(size)]
        trainer.scores(trainer.candidates(population, random.integers(0, 3, size)))
    # More groups than the devices hold at once.
    many = trainer.plan.devices * trainer.plan.rows[-1] * 2 + 3
    scores = trainer.scores(trainer.candidates([parse("log(y) - x / y")] * many, [1] * many))
    assert trainer.compilations == 3  # start, steps, score
    assert len(np.unique(scores)) == 1


# FAILED TRAININGS


@pytest.mark.parametrize("expression", ["log(x) + y", "sqrt(x - y)", "x / (y - y)", "x + 1 / (1 - 1) * y"])
def test_a_training_that_meets_nan_or_infinity_scores_0(trainer: Trainer, expression: str) -> None:
    assert trainer.scores(trainer.candidates([parse(expression)], [0]))[0, 0] == 0


def test_a_training_that_diverges_scores_0(trainer: Trainer) -> None:
    candidates = trainer.candidates([parse("x * log(y) - x / y")] * 2, [0, 0], rates=[0.1, 1e6])
    scores = trainer.scores(candidates)[:, 0]
    assert scores[0] < 0  # a finite log-likelihood
    assert scores[1] == 0


# NOTHING DEAD IS TRAINED


@pytest.fixture
def advanced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of groups in each chunk of steps, over all devices."""
    found: list[int] = []
    advance_block = blocks.advance_block

    def counted(programs: Any, block: Block, first: int, last: int) -> Block:
        found.append(int(block.layout.counts.sum()))
        return advance_block(programs, block, first, last)

    monkeypatch.setattr(blocks, "advance_block", counted)
    return found


@pytest.fixture(scope="module")
def singles(fine_task: Task) -> Trainer:
    """Groups of one, so that every candidate that is dropped saves time."""
    return Trainer(fine_task, instructions=31, group=1, devices=jax.devices()[:1])


@pytest.mark.slow
def test_survivors_score_as_in_a_training_of_all(
    singles: Trainer, advanced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    population, seeds = [parse(expression) for expression in EXPRESSIONS] * 2, [1, 1, 1, 1, 2, 2, 2, 2]
    candidates = singles.candidates(population, seeds)
    whole = singles.train(candidates, [10, 20, 30])
    survivors = [np.array([1, 1, 0, 1, 0, 1, 0, 1], bool), np.array([0, 1, 1, 0, 0, 1, 1, 1], bool)]
    kept = iter(survivors)
    del advanced[:]
    part = singles.train(candidates, [10, 20, 30], keep=lambda scores: next(kept))
    assert advanced == [8, 5, 3]
    np.testing.assert_array_equal(part.steps, [20, 30, 10, 20, 10, 30, 10, 30])
    for candidate, last in enumerate(part.steps // 10 - 1):
        expected = whole.scores[candidate].copy()
        expected[last:] = expected[last]
        np.testing.assert_array_equal(part.scores[candidate], expected)
    assert len(np.unique(whole.scores)) == whole.scores.size


def test_what_is_dropped_is_decided_by_the_scores(singles: Trainer) -> None:
    candidates = singles.candidates([parse(expression) for expression in EXPRESSIONS], [3] * 4)
    seen = []

    def keep(scores: np.ndarray) -> np.ndarray:
        seen.append(scores)
        return np.arange(4) < 2

    trained = singles.train(candidates, [5, 10], splits=("test", "validation"), keep=keep)
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], trained.scores[:, 0])
    np.testing.assert_array_equal(trained.scores[2:, 1], seen[0][2:])
    swapped = singles.train(candidates, [5], splits=("validation", "test")).scores
    np.testing.assert_array_equal(seen[0], swapped[:, 0, ::-1])


@pytest.mark.slow
def test_a_candidate_that_met_nan_is_trained_no_further(
    singles: Trainer, advanced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = ["log(x) + y", "x / (y - y)", "log(x - y)"]
    candidates = singles.candidates([parse(text) for text in (broken[0], *EXPRESSIONS, *broken[1:])], [4] * 7)
    whole = singles.scores(candidates)
    del advanced[:]
    monkeypatch.setattr(blocks, "CHUNK", 10)
    trained = singles.train(candidates, [30])
    assert advanced == [7, 4, 4]
    np.testing.assert_array_equal(trained.steps, [10, 30, 30, 30, 30, 10, 10])
    np.testing.assert_array_equal(trained.scores[:, 0], whole)
    assert (trained.scores[[0, 5, 6]] == 0).all()


def test_a_population_that_is_dead_takes_no_more_steps(
    singles: Trainer, advanced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CHUNK", 10)
    trained = singles.train(singles.candidates([parse("log(x) + y")] * 2, [1, 2]), [15, 30])
    assert advanced == [2]
    np.testing.assert_array_equal(trained.steps, [10, 10])
    assert (trained.scores == 0).all()


@pytest.mark.parametrize("stops", [[], [0], [10, 10], [20, 10]])
def test_stops_must_rise(singles: Trainer, stops: list[int]) -> None:
    with pytest.raises(ValueError, match="numbers of steps that rise from 1 are needed"):
        singles.train(singles.candidates([parse("x * log(y)")], [1]), stops)


# STATES


def test_a_state_is_not_changed_by_what_follows_and_its_networks_are_given_away(singles: Trainer) -> None:
    candidates = singles.candidates([parse(expression) for expression in EXPRESSIONS], [1] * 4)
    before = singles.begin(candidates, [10, 20, 30], ["validation"])
    first = singles.advance(before)
    dropped = first.drop(np.array([True, True, False, True]))
    kept = jax.tree.map(np.copy, (before.progress, first.progress, dropped.progress))
    second = singles.advance(dropped)
    third = singles.advance(second)
    chex.assert_trees_all_equal((before.progress, first.progress, dropped.progress), kept)
    assert [state.reached for state in (before, first, dropped, second, third)] == [0, 1, 1, 2, 3]
    assert [state.is_complete for state in (first, second, third)] == [False, False, True]
    np.testing.assert_array_equal(dropped.progress.alive, [True, True, False, True])
    np.testing.assert_array_equal(third.progress.steps, [30, 30, 10, 30])
    np.testing.assert_array_equal(third.scores[2], first.scores[2])
    np.testing.assert_array_equal(second.scores, third.progress.scores[:, 1])
    assert (before.blocks, third.blocks) == ({}, {})
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first.blocks[0].learners))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(singles.compiled.data))


def test_a_restored_state_goes_on_to_the_same_scores(singles: Trainer) -> None:
    candidates = singles.candidates([parse(text) for text in (*EXPRESSIONS, "log(x) + y")], [1] * 5)
    expected = singles.train(candidates, [10, 20])
    begun = singles.begin(candidates, [10, 20], ["validation"])
    saved = singles.on_host(half := singles.advance(begun))
    chex.assert_trees_all_equal_shapes_and_dtypes(saved, singles.host_arrays(half))
    restored = singles.restore(begun, 1, saved)
    chex.assert_trees_all_equal(singles.on_host(restored)[0], saved[0])
    found = singles.advance(restored)
    np.testing.assert_array_equal(found.progress.scores, expected.scores)
    np.testing.assert_array_equal(found.progress.steps, expected.steps)


def test_a_trainer_cannot_be_changed(singles: Trainer) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        singles.group = 2  # type: ignore[misc]


@pytest.mark.parametrize("group", [0, -1, 1.5, "2", True])
def test_a_group_that_is_no_count_is_refused(fine_task: Task, group: Any) -> None:
    with pytest.raises(ValueError, match=f"group is {group!r}; it must be at least 1, a whole number"):
        Trainer(fine_task, group=group)


# DEVICES


DEVICES = """
import jax
import numpy as np
import optax
from glojax import Task, data, models
from glojax.expressions.parsing import parse
from glojax.training import blocks
from glojax.training.trainer import Trainer

jax.config.update("jax_num_cpu_devices", 8)
train, validation, _ = data.digits()
task = Task(
    models.MLP((16, 10)), train, validation, optimizer=optax.sgd(0.05), batch_size=20, steps=30,
    metric=lambda logits, labels: -optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(),
)
population = [parse(text) for text in ("x * log(y)", "log(y) - x / y", "log(x) + y", "x * sqrt(y)")] * 5
blocks.CHUNK = 10
for devices in (1, 2, 8):
    trainer = Trainer(task, instructions=31, group=2, devices=jax.devices()[:devices])
    trained = trainer.train(trainer.candidates(population, [1] * 10 + [2] * 10), [30])
    print(*trained.scores[:, 0, 0], *trained.steps)
"""


@pytest.mark.slow
def test_one_two_and_eight_devices_give_one_result() -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    }
    ran = subprocess.run([sys.executable, "-c", DEVICES], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    rows = np.array([[float(value) for value in line.split()] for line in ran.stdout.splitlines()])
    assert rows.shape == (3, 40)
    np.testing.assert_allclose(rows[1:, :20], rows[[0, 0], :20], rtol=1e-4)
    np.testing.assert_array_equal(rows[:, 20:], [[30, 30, 10, 30] * 5] * 3)
    np.testing.assert_array_equal(rows[:, 2:20:4], 0)
    assert (rows[:, :20:4] < 0).all()
