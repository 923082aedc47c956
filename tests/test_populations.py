"""Population training against a plain loop over one network, and against itself in other arrangements."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import losses, populations, trees
from glojax.losses import Loss
from glojax.populations import Trainer, evaluate
from glojax.tasks import Task
from glojax.trees import Tree, parse

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
    """The reference: one network, one loss, jax.grad and optax, in a Python loop."""
    model, (x, labels) = task.pure_model, task.splits["train"]
    key = jax.random.fold_in(jax.random.key(0), seed)
    init_key, order_key, noise_key, _ = jax.random.split(key, 4)
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

    for number, places in enumerate(
        np.asarray(populations._minibatches(order_key, len(x), task.batch_size, task.steps))
    ):
        dropout_key = jax.random.fold_in(noise_key, number)
        params, state, optimizer_state = step(params, state, optimizer_state, x[places], labels[places], dropout_key)
    logits, _ = model.apply(params, state, task.splits["validation"].x, key, False)
    return float(task.metric(logits, task.splits["validation"].labels))


# AGAINST A PLAIN LOOP


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_candidate_is_trained_as_by_a_plain_loop(trainer: Trainer, fine_task: Task, expression: str) -> None:
    score = trainer.scores(trainer.candidates([parse(expression)], [7]))[0, 0]
    np.testing.assert_allclose(score, trained_by_hand(fine_task, Loss(expression), 7), rtol=2e-4)


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


def test_batch_statistics_and_dropout_are_those_of_a_plain_loop(fine_task: Task) -> None:
    task = dataclasses.replace(fine_task, model=NetworkWithState())
    score = evaluate(task, ["x * log(y)"], [6])[0, 0]
    np.testing.assert_allclose(score, trained_by_hand(task, losses.cross_entropy, 6), rtol=5e-4)


def test_a_loss_as_a_program_trains_as_the_same_loss_as_a_function(trainer: Trainer, fine_task: Task) -> None:
    loss = losses.Loss("x * log(y) - y * sqrt(y)")
    fixed = Trainer(fine_task, loss=lambda logits, labels: loss(logits, labels))
    given = [loss.tree] * 2, [3, 4]
    np.testing.assert_allclose(
        fixed.scores(fixed.candidates([Tree("y")] * 2, [3, 4])), trainer.scores(trainer.candidates(*given)), rtol=2e-4
    )


def test_a_loss_outside_the_grammar_is_trained_as_by_a_plain_loop(fine_task: Task) -> None:
    scores = evaluate(fine_task, [optax.softmax_cross_entropy, "x * log(y)"], [1, 2])
    np.testing.assert_allclose(scores[0], scores[1], rtol=2e-4)
    np.testing.assert_allclose(scores[0, 1], trained_by_hand(fine_task, optax.softmax_cross_entropy, 2), rtol=2e-4)


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


def test_one_compilation_serves_every_population(tiny_task: Task) -> None:
    trainer = Trainer(tiny_task, instructions=31, group=2)
    assert trainer.compilations == 0
    random = np.random.default_rng(0)
    for size in (1, 5, 80):
        population = [trees.grow(random, 3) for _ in range(size)]
        trainer.scores(trainer.candidates(population, random.integers(0, 3, size)))
    # More groups than one call holds: 2 devices of _GROUPS_A_CALL rows of 2.
    many = 2 * populations._GROUPS_A_CALL * 2 + 3
    scores = trainer.scores(trainer.candidates([parse("log(y) - x / y")] * many, [1] * many))
    assert trainer.compilations == 1
    assert len(np.unique(scores)) == 1


def test_trainer_of_equal_settings_is_made_once(tiny_task: Task) -> None:
    assert populations.trainer(tiny_task, 31) is populations.trainer(tiny_task, 31)
    assert populations.trainer(tiny_task, 31) is not populations.trainer(tiny_task, 63)


@pytest.mark.parametrize(("instructions", "expected"), [(0, 31), (31, 31), (32, 63), (64, 127)])
def test_room_is_a_power_of_two_less_one(instructions: int, expected: int) -> None:
    assert populations.room(instructions) == expected


# FAILED TRAININGS


@pytest.mark.parametrize("expression", ["log(x) + y", "sqrt(x - y)", "x / (y - y)", "x + 1 / (1 - 1) * y"])
def test_a_training_that_meets_nan_or_infinity_scores_0(trainer: Trainer, expression: str) -> None:
    assert trainer.scores(trainer.candidates([parse(expression)], [0]))[0, 0] == 0


def test_a_training_that_diverges_scores_0(trainer: Trainer) -> None:
    candidates = trainer.candidates([parse("x * log(y) - x / y")] * 2, [0, 0], rates=[0.1, 1e6])
    scores = trainer.scores(candidates)[:, 0]
    assert scores[0] < 0  # a finite log-likelihood
    assert scores[1] == 0


# IN THE COURSE OF TRAINING


def test_curves_end_in_the_scores_of_the_whole_training(tiny_task: Task) -> None:
    candidates = [losses.cross_entropy, losses.baikal]
    curves = populations.learning_curves(
        tiny_task, candidates, [1, 2], [1.0, 1.0], splits=("validation", "test"), points=3
    )
    assert curves.shape == (2, 2, 3, 2)
    whole = populations.score_losses(tiny_task, candidates, [1, 2], [1.0, 1.0], splits=("validation", "test"))
    np.testing.assert_allclose(curves[:, :, -1], whole, atol=0.011)
    shorter = evaluate(tiny_task, candidates, [1, 2], split="test", steps=20)
    np.testing.assert_allclose(curves[:, :, 1, 1], shorter, atol=0.011)
    assert (curves[..., 0] != curves[..., 1]).any()  # the splits are two
    assert (curves[:, :, 2] >= curves[:, :, 0]).all()


@pytest.mark.parametrize(("steps", "points"), [(30, 31), (30, 0), (0, 1)])
def test_a_trainer_needs_a_step_for_every_point(tiny_task: Task, steps: int, points: int) -> None:
    with pytest.raises(ValueError, match=f"steps is {steps} and points is {points}; 1 <= points <= steps"):
        Trainer(tiny_task, steps=steps, points=points)


def test_every_epoch_sees_an_example_at_most_once_and_in_a_new_order() -> None:
    places = np.asarray(populations._minibatches(jax.random.key(1), 23, 5, 11))
    assert places.shape == (11, 5)
    epochs = [places[:4].ravel(), places[4:8].ravel(), places[8:].ravel()]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == len(epoch)
        assert set(epoch.tolist()) <= set(range(23))
    assert not np.array_equal(epochs[0], epochs[1])


def test_prediction_in_blocks_equals_prediction_at_once(tiny_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(populations, "_EVALUATION_BATCH", 30)
    model, x = tiny_task.pure_model, jnp.asarray(tiny_task.splits["validation"].x)
    params, state = model.init(jax.random.key(0))
    expected, _ = model.apply(params, state, x, jax.random.key(0), False)
    np.testing.assert_allclose(
        populations._predict(model, params, state, x, jax.random.key(0)), expected, rtol=1e-4, atol=1e-6
    )


# EVALUATE


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


# DEVICES


def test_all_cores_become_devices_where_the_user_has_chosen_none(monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[tuple] = []
    monkeypatch.setattr(jax.config, "update", lambda *given: updates.append(given))
    for name in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    populations.use_all_cores()
    assert updates == [("jax_num_cpu_devices", 3)]
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")
    populations.use_all_cores()
    assert len(updates) == 1


def test_devices_chosen_by_xla_flags_stay() -> None:
    code = "import jax; from glojax import populations as p; p.use_all_cores(); print(jax.device_count())"
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=5", "JAX_PLATFORMS": "cpu"}
    environment.pop("JAX_NUM_CPU_DEVICES", None)
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["5"]
