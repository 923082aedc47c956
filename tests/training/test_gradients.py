"""The gradient of the mean loss by a network's outputs, compared with ``jax.grad`` of the loss as a function."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import Kind, TrainConfig, evaluate, losses, models, platforms, train, tune
from glojax.discovery.comparison import compare
from glojax.expressions import interpreter_kernels, programs
from glojax.expressions.parsing import parse
from glojax.expressions.programs import Program
from glojax.losses.loss import Loss
from glojax.tasks.task import Task
from glojax.training import gradients
from glojax.training.gradients import fixed_gradient, program_gradient
from glojax.training.trainer import Trainer

BATCH, OUTPUTS = 6, 3
RANDOM = np.random.default_rng(0)
LOGITS = jnp.asarray(RANDOM.normal(size=(BATCH, OUTPUTS)), jnp.float32)
ONE_HOT = jax.nn.one_hot(RANDOM.integers(0, OUTPUTS, BATCH), OUTPUTS)
SEVERAL = jnp.asarray(RANDOM.integers(0, 2, (BATCH, OUTPUTS)), jnp.float32)
WEIGHTS = jnp.asarray(RANDOM.uniform(0.2, 2, (BATCH, OUTPUTS)), jnp.float32).at[1, 2].set(0)


def program_of(expression: str) -> Program:
    """A single program, on the device."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), programs.encode([parse(expression)], None, 31))


def doubled(outputs: jax.Array) -> jax.Array:
    """Predictions of a user's own kind, which looks along its last axis."""
    return jax.nn.softmax(2 * outputs, axis=-1)


PREDICTIONS: dict[Any, Callable[[jax.Array], jax.Array]] = {
    "softmax": jax.nn.softmax,
    "sigmoid": jax.nn.sigmoid,
    "identity": lambda z: z,
    doubled: doubled,
}


@pytest.mark.slow
@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, :1]], ids=["alike", "of entries", "of examples"])
@pytest.mark.parametrize("output", PREDICTIONS, ids=lambda output: getattr(output, "__name__", output))
@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("x * square(y)", lambda x, y: x * y**2),
        ("square(x - y)", lambda x, y: (x - y) ** 2),
        ("y / (x + 2)", lambda x, y: y / (x + 2)),
    ],
)
def test_a_programs_gradient_is_that_of_the_loss_as_a_function(
    output: Any, weights: jax.Array | None, expression: str, written: Callable[..., jax.Array]
) -> None:
    def mean_loss(outputs: jax.Array) -> jax.Array:
        values = -written(SEVERAL, PREDICTIONS[output](outputs))  # losses are to be maximized as they are written
        return jnp.mean(jnp.sum(values if weights is None else weights * values, axis=-1))

    found, finite = program_gradient(False, output)(program_of(expression), LOGITS, SEVERAL, weights)
    np.testing.assert_allclose(found, jax.grad(mean_loss)(LOGITS), rtol=1e-4, atol=1e-6)
    assert finite


def test_cross_entropy_as_a_program_has_optax_gradient() -> None:
    found, _ = program_gradient(False)(program_of("x * log(y)"), LOGITS, ONE_HOT, None)
    expected = jax.grad(lambda z: optax.softmax_cross_entropy(z, ONE_HOT).mean())(LOGITS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("expression", ["log(x) + y", "y / (x - x)"])
def test_a_program_that_meets_infinity_or_nan_is_not_finite_unless_it_is_protected(expression: str) -> None:
    assert not program_gradient(False)(program_of(expression), LOGITS, ONE_HOT, None)[1]
    assert program_gradient(True)(program_of(expression), LOGITS, ONE_HOT, None)[1]


def test_entries_of_weight_0_take_no_part_even_where_they_are_infinite() -> None:
    labels = jnp.ones((BATCH, OUTPUTS)).at[1, 2].set(0)  # log(0) there, and nowhere else
    program = program_of("log(x) * y")
    assert not program_gradient(False, "sigmoid")(program, LOGITS, labels, None)[1]
    found, finite = program_gradient(False, "sigmoid")(program, LOGITS, labels, WEIGHTS)
    assert finite
    chex.assert_tree_all_finite(found)
    assert found[1, 2] == 0


@pytest.mark.slow
def test_the_kernel_of_a_gpu_says_what_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    expressions = ["log(x) + y", "x * log(y)", "y / (x - x)"]
    population = jax.tree.map(jnp.asarray, programs.encode([*map(parse, expressions)], None, 31))
    outputs = jnp.stack([LOGITS] * len(expressions))
    monkeypatch.setattr(platforms, "choose", lambda *arguments, **forms: forms["gpu"](*arguments))
    monkeypatch.setattr(interpreter_kernels, "on_gpu", functools.partial(interpreter_kernels.on_gpu, interpret=True))
    for weights, expected in ((None, [False, True, False]), (ONE_HOT, [True, True, False])):  # log(0) does not count
        programs._sweep.cache_clear()
        gradient = functools.partial(program_gradient(False), labels=ONE_HOT, weights=weights)
        found, finite = jax.vmap(lambda program, z, gradient=gradient: gradient(program, z))(population, outputs)
        assert finite.tolist() == expected
        by_hand = fixed_gradient(lambda z, x: -x * jax.nn.log_softmax(z))
        right, _ = by_hand(None, LOGITS, ONE_HOT, weights)  # type: ignore[arg-type]
        np.testing.assert_allclose(found[1], right, rtol=1e-5, atol=1e-6)
    programs._sweep.cache_clear()


def test_a_gradient_has_the_type_of_the_outputs() -> None:
    found, finite = program_gradient(False)(program_of("x * y"), LOGITS.astype(jnp.bfloat16), ONE_HOT, None)
    chex.assert_type([found, finite], [jnp.bfloat16, bool])


# ONE LOSS FOR ALL


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_a_fixed_loss_of_every_output_is_summed_over_outputs_and_averaged_over_examples(
    weights: jax.Array | None,
) -> None:
    def mean_loss(outputs: jax.Array) -> jax.Array:
        values = optax.sigmoid_binary_cross_entropy(outputs, SEVERAL)
        return jnp.sum(values if weights is None else weights * values) / BATCH

    found, finite = fixed_gradient(optax.sigmoid_binary_cross_entropy)(program_of("y"), LOGITS, SEVERAL, weights)
    np.testing.assert_allclose(found, jax.grad(mean_loss)(LOGITS), rtol=1e-5, atol=1e-7)
    assert finite


def test_a_fixed_loss_of_every_example_takes_weights_of_examples() -> None:
    weights = WEIGHTS[:, :1]
    expected = jax.grad(lambda z: jnp.mean(optax.softmax_cross_entropy(z, ONE_HOT) * weights[:, 0]))(LOGITS)
    found, _ = fixed_gradient(optax.softmax_cross_entropy)(program_of("y"), LOGITS, ONE_HOT, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="each output needs a value of its own"):
        fixed_gradient(optax.softmax_cross_entropy)(program_of("y"), LOGITS, ONE_HOT, WEIGHTS)


def test_a_fixed_loss_is_the_same_as_its_program() -> None:
    loss = Loss("x * log(y) - y * sqrt(y)")
    fixed, _ = fixed_gradient(loss)(program_of("y"), LOGITS, ONE_HOT, None)
    found, _ = program_gradient(False)(program_of("x * log(y) - y * sqrt(y)"), LOGITS, ONE_HOT, None)
    np.testing.assert_allclose(found, fixed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weights", [jnp.ones(BATCH), jnp.ones((BATCH, 2)), jnp.ones((1, OUTPUTS))])
@pytest.mark.parametrize("gradient", [program_gradient(False), fixed_gradient(optax.softmax_cross_entropy)])
def test_weights_of_another_shape_are_refused(gradient: gradients.Gradient, weights: jax.Array) -> None:
    with pytest.raises(AssertionError):
        gradient(program_of("y"), LOGITS, ONE_HOT, weights)


def test_targets_of_another_shape_are_refused() -> None:
    with pytest.raises(AssertionError):
        program_gradient(False)(program_of("y"), LOGITS, ONE_HOT[:, :1], None)


def sum_of_rows(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """A function of the right arguments whose values are neither of examples nor of outputs."""
    return jnp.sum(outputs - targets, axis=0)


def test_a_function_that_is_no_loss_of_such_outputs_is_refused(tiny_task: Task) -> None:
    gradients.check_loss(tiny_task, optax.softmax_cross_entropy)
    gradients.check_loss(tiny_task, optax.squared_error)
    with pytest.raises(ValueError, match=r"the loss sum_of_rows gives .* a value for each example, or for each output"):
        gradients.check_loss(tiny_task, sum_of_rows)
    with pytest.raises(ValueError, match="the loss softmax_cross_entropy_with_integer_labels, called with outputs"):
        gradients.check_loss(tiny_task, optax.softmax_cross_entropy_with_integer_labels)


# WHETHER A LOSS FITS A TASK

X = RANDOM.normal(size=(60, 4)).astype(np.float32)
CLASSES = np.argmax(X[:, :3], axis=1)
BINARY = X[:, 0] > 0
MANY = (X[:, :3] > 0).astype(np.float32)


def made(kind: Any, labels: Any, outputs: int = 1, **changes: Any) -> Task:
    parts = {"train": (X, labels), "validation": (X, labels)}
    return Task(models.MLP((4, outputs)), **parts, kind=kind, **({"batch_size": 20, "steps": 5} | changes))


def hidden(labels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(60).reshape(-1, *[1] * (labels.ndim - 1)) % 4 == 0, np.nan, labels)


def mean_of(loss: Any) -> Any:
    return lambda outputs, targets: loss(outputs, targets).mean()


def sum_of(loss: Any) -> Any:
    return lambda outputs, targets: loss(outputs, targets).sum(axis=-1)


WEIGHED = made("classification", CLASSES, 3, class_weights=(1, 2, 3))
GAPS = made("classification", hidden(CLASSES), 3)
SOFT_GAPS = made("classification", hidden(np.eye(3)[CLASSES]), 3)


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        (WEIGHED, optax.softmax_cross_entropy), (GAPS, optax.softmax_cross_entropy),
        (SOFT_GAPS, optax.softmax_cross_entropy),
        (made("binary", BINARY, class_weights=[2.0]), optax.sigmoid_binary_cross_entropy),
        (made("regression", hidden(X[:, 0])), optax.squared_error),
    ],
    ids=["class weights", "unknown classes", "unknown soft labels", "weights of an output", "unknown targets"],
)  # fmt: skip
def test_a_mean_is_refused_where_examples_weigh_differently(task: Task, loss: Any) -> None:
    gradients.check_loss(task, loss)
    for mean in (mean_of(loss), jax.jit(mean_of(loss)), lambda outputs, targets: loss(outputs, targets).sum()):
        with pytest.raises(
            ValueError, match=r"gives float32\[\] .* needs a value of its own, .*: leave out \.mean\(\)"
        ):
            gradients.check_loss(task, mean)
        with pytest.raises(ValueError, match=r"leave out \.mean\(\)"):
            evaluate(task, [mean], 1)


@pytest.mark.parametrize(
    "task",
    [made("multi-label", MANY, 3, class_weights=(1, 2, 3)), made("multi-label", hidden(MANY), 3)],
    ids=["weights of outputs", "unknown labels"],
)
def test_sums_over_outputs_are_refused_where_outputs_weigh_differently(task: Task) -> None:
    gradients.check_loss(task, optax.sigmoid_binary_cross_entropy)
    with pytest.raises(
        ValueError, match=r"each output needs a value of its own, \[batch, outputs\].* leave out \.sum\("
    ):
        gradients.check_loss(task, sum_of(optax.sigmoid_binary_cross_entropy))


@pytest.mark.slow
def test_a_mean_serves_where_all_weigh_the_same() -> None:
    task = made("classification", CLASSES, 3, steps=20)
    mean = mean_of(optax.softmax_cross_entropy)
    each, same = evaluate(task, [optax.softmax_cross_entropy, mean], 2)
    np.testing.assert_allclose(each, same, atol=1e-6)
    one = made("binary", hidden(BINARY))  # one output: a value for each example can be weighed
    gradients.check_loss(one, sum_of(optax.sigmoid_binary_cross_entropy))


def test_as_many_values_as_outputs_are_no_values_of_examples() -> None:
    task = made("classification", CLASSES, 3, batch_size=3)
    gradients.check_loss(task, optax.softmax_cross_entropy)
    with pytest.raises(ValueError, match=r"gives float32\[3\] of outputs and targets float32\[4, 3\]"):
        gradients.check_loss(task, lambda outputs, targets: optax.squared_error(outputs, targets).mean(axis=0))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda z, x: (z.sum(), x.sum()), "one array with a value for each example is expected"),
        (lambda z, x: z.argmax(axis=-1) == x.argmax(axis=-1), r"gives bool\[20\] .*floating values are expected"),
        (lambda z, x: None, "one array with a value"),
        (lambda z, x: (z - x)[None], r"gives float32\[1, 20, 3\]"),
        (lambda z, x: jnp.mean((z - x) ** 2, keepdims=True), r"gives float32\[1, 1\]"),
    ],
)
def test_values_that_are_no_losses_are_refused(loss: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"the loss <lambda> gives .*{message}|the loss <lambda> {message}"):
        gradients.check_loss(made("classification", CLASSES, 3), loss)


@pytest.mark.parametrize("weights", [WEIGHTS, WEIGHTS[:, :1].at[1].set(0)], ids=["of entries", "of examples"])
def test_a_fixed_loss_that_is_not_finite_at_a_weight_of_0_has_no_gradient_there(weights: jax.Array) -> None:
    broken = jnp.where(weights == 0, -1.0, jnp.abs(LOGITS) + 1)

    def loss(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        values = -targets * jnp.log(outputs)
        return values.sum(axis=-1) if weights.shape[-1] == 1 else values

    found, finite = fixed_gradient(loss)(program_of("y"), broken, jnp.ones_like(LOGITS), weights)
    assert finite
    expected = jnp.broadcast_to(jnp.where(weights == 0, 0, -weights / broken / BATCH), LOGITS.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# LOSSES OF OTHER OUTPUTS


@pytest.mark.parametrize("kind", ["binary", "multi-label", "regression"])
@pytest.mark.parametrize(
    "loss",
    [
        losses.generalized_cross_entropy, losses.label_smoothed_cross_entropy, losses.next_generation,
        functools.partial(losses.generalized_cross_entropy, q=0.5), jax.jit(losses.next_generation),
        losses.baikal, losses.cross_entropy,
    ],
    ids=["generalized", "smoothed", "next", "partial", "jit", "baikal", "cross-entropy"],
)  # fmt: skip
def test_losses_of_softmax_are_refused_for_other_outputs(kind: str, loss: Any) -> None:
    outputs = 3 if kind == "multi-label" else 1
    task = made(kind, MANY[:, :outputs], outputs)
    with pytest.raises(ValueError, match=r"of output 'softmax', the task task of '(sigmoid|identity)'"):
        gradients.check_output(task, loss)
    with pytest.raises(ValueError, match="of output 'softmax', the task task of"):
        evaluate(task, [loss], 1)
    with pytest.raises(ValueError, match="of output 'softmax', the task task of"):
        train(task, {"mine": loss}, TrainConfig(steps=5, seeds=1))
    if isinstance(loss, Loss):
        with pytest.raises(ValueError, match="of output 'softmax', the task task of"):
            compare(task, {"mine": loss}, 1)
        with pytest.raises(ValueError, match="of output 'softmax', the task task of"):
            tune(task, loss)


def test_losses_of_softmax_serve_classes_and_outputs_of_ones_own() -> None:
    task = made("classification", CLASSES, 3)
    own = made(Kind(lambda z: jax.nn.softmax(z, axis=-1), "rmse"), np.eye(3)[CLASSES], 3)
    for loss in (losses.generalized_cross_entropy, losses.next_generation):
        gradients.check_loss(task, loss)
        gradients.check_loss(own, loss)


def test_a_refused_loss_leaves_no_directory(tmp_path: Path) -> None:
    task = made("binary", BINARY)
    for call in (
        lambda: train(task, {"mine": losses.next_generation}, TrainConfig(steps=5, seeds=1), tmp_path / "run"),
        lambda: compare(task, {"mine": losses.baikal}, 1, run_dir=tmp_path / "run"),
        lambda: compare(task, {"mine": losses.next_generation}, 1, run_dir=tmp_path / "run"),
        lambda: tune(task, losses.baikal, run_dir=tmp_path / "run"),
    ):
        with pytest.raises(ValueError, match="of output 'softmax'"):
            call()
        assert not (tmp_path / "run").exists()


# ONE OF A FEW FIXED LOSSES


@pytest.mark.slow
def test_a_candidate_trains_with_the_fixed_loss_that_it_chooses() -> None:
    task = made("binary", BINARY)
    fixed = (optax.sigmoid_binary_cross_entropy, lambda z, t: jnp.sum((jax.nn.sigmoid(z) - t) ** 2, axis=-1))
    several, leaf = Trainer(task, loss=fixed), parse("y")
    chosen = several.candidates([leaf] * 3, [5, 5, 6], [[1.0], [0.0], [1.0]], [1.0, 2.0, 3.0])
    scores = several.scores(chosen)
    for place, (seed, which, rate) in enumerate([(5, 1, 1.0), (5, 0, 2.0), (6, 1, 3.0)]):
        alone = Trainer(task, loss=fixed[which])
        expected = alone.scores(alone.candidates([leaf], [seed], rates=[rate]))
        np.testing.assert_allclose(scores[place], expected[0], atol=1e-6)


def test_a_loss_that_is_not_finite_is_nothing_to_those_that_do_not_choose_it() -> None:
    gradient = gradients.chosen_gradient((lambda z, t: jnp.log(-jnp.abs(z)).sum(-1), optax.softmax_cross_entropy))
    program = jax.tree.map(lambda leaf: leaf[1], programs.encode([parse("y")] * 2, [[0.0], [1.0]]))
    outputs, labels = jnp.array([[0.3, -1.0], [2.0, 1.0]]), jnp.eye(2)
    found, finite = gradient(program, outputs, labels, None)
    np.testing.assert_allclose(found, (jax.nn.softmax(outputs) - labels) / 2, rtol=1e-5)
    assert finite


# LOSSES THAT TRAIN NOTHING


def shares(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The share of wrong answers: a step function."""
    return (outputs.argmax(axis=-1) != targets.argmax(axis=-1)).astype(jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "loss"),
    [
        (made("binary", BINARY), optax.softmax_cross_entropy),
        (made("regression", X[:, 0]), optax.softmax_cross_entropy),
        (made("binary", BINARY), mean_of(optax.softmax_cross_entropy)),
        (made("binary", BINARY), lambda z, x: losses.label_smoothed_cross_entropy(z, x)),
        (made("binary", BINARY), lambda z, x: losses.next_generation(z, x)),
        (made("classification", CLASSES, 3), shares),
        (made("classification", CLASSES, 3), lambda z, x: optax.squared_error(jnp.round(z), x)),
        (GAPS, lambda z, x: jax.lax.stop_gradient(optax.softmax_cross_entropy(z, x))),
        (WEIGHED, lambda z, x: jnp.ones(len(z))),
    ],
)
def test_a_loss_without_a_gradient_is_a_warning(task: Task, loss: Any) -> None:
    gradients.check_loss(task, loss)
    with pytest.warns(UserWarning, match="has no gradient at outputs of shape .*leaves the parameters as they are"):
        gradients.check_gradient(task, loss)
    with pytest.warns(UserWarning, match="has no gradient"):
        evaluate(task, [loss], 1)


def insensitive(z: jax.Array, x: jax.Array) -> jax.Array:
    """The loss of support vector regression, which is flat near the target."""
    return jnp.maximum(jnp.abs(z - x) - 3.0, 0).sum(axis=-1)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("task", "loss"),
    [
        *((made("classification", CLASSES, 3), loss) for loss in (
            optax.softmax_cross_entropy, optax.squared_error, optax.sigmoid_binary_cross_entropy,
            optax.losses.poly_loss_cross_entropy, optax.cosine_distance, losses.mean_absolute_error,
            losses.generalized_cross_entropy, losses.label_smoothed_cross_entropy, losses.next_generation,
            lambda z, x: 1e-12 * optax.softmax_cross_entropy(z, x),
            lambda z, x: jnp.maximum(0, 1 - (z * (2 * x - 1)).sum(axis=-1)),
            lambda z, x: optax.softmax_cross_entropy(20 * z, x),
            lambda z, x: jnp.abs(jax.nn.softmax(z) - x).sum(axis=-1),
        )),
        *((made("binary", BINARY), loss) for loss in (
            optax.sigmoid_binary_cross_entropy, optax.sigmoid_focal_loss, optax.squared_error,
            lambda z, x: optax.hinge_loss(z, 2 * x - 1), lambda z, x: jnp.abs(jax.nn.sigmoid(z) - x),
            lambda z, x: jnp.clip(optax.sigmoid_binary_cross_entropy(z, x), 0.5, 2),
            mean_of(optax.sigmoid_binary_cross_entropy),
        )),
        *((made("regression", X[:, 0]), loss) for loss in (
            optax.squared_error, optax.huber_loss, optax.log_cosh, insensitive, lambda z, x: jnp.abs(z - x),
        )),
        (GAPS, optax.softmax_cross_entropy), (WEIGHED, optax.softmax_cross_entropy),
        (made("multi-label", hidden(MANY), 3), optax.sigmoid_binary_cross_entropy),
    ],
)  # fmt: skip
def test_losses_that_train_give_no_warning(task: Task, loss: Any) -> None:
    if not isinstance(loss, Loss):
        gradients.check_loss(task, loss)
    gradients.check_gradient(task, loss)  # a warning would be an error


def broadcast(z: jax.Array, x: jax.Array) -> jax.Array:
    """Squared errors of all pairs, by mistake."""
    return jnp.mean((z[:, 0] - x) ** 2, axis=-1)


def test_values_that_depend_on_other_examples_are_told() -> None:
    with pytest.warns(
        UserWarning, match=r"broadcast gives .* depends on the outputs of other examples; perhaps \[batch\]"
    ):
        gradients.check_gradient(made("regression", X[:, 0]), broadcast)
    for task in (made("regression", hidden(X[:, 0])), made("regression", X[:, 0], class_weights=[2.0])):
        with pytest.raises(
            ValueError, match=r"Where class_weights are given, .* each example needs a value of its own"
        ):
            gradients.check_gradient(task, broadcast)


def test_nothing_stops_for_nan_while_a_loss_is_tried() -> None:
    with jax.debug_nans(True):
        gradients.check_gradient(made("regression", X[:, 0]), lambda z, x: jnp.log(z) * x)
