"""Problems other than classes: their losses, gradients, screening and searches, against optax and jax.grad."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import Kind, Loss, SearchConfig, Task, evaluate, losses, models, search
from glojax.discovery import comparison, screening
from glojax.expressions import parsing, programs, trees
from glojax.losses.outputs import predictions
from glojax.tasks import metrics, problems
from glojax.training import gradients

RANDOM = np.random.default_rng(1)
OUTPUTS = RANDOM.normal(size=(40, 3)).astype(np.float32) * 2
LABELS = (RANDOM.random((40, 3)) < 0.5).astype(np.float32)
BINARY = "x * log(y) + (1 - x) * log(1 - y)"


def drawn(outputs: int, kind: str, examples: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and labels that a network can learn."""
    random = np.random.default_rng(2)
    x = random.normal(size=(examples, 6)).astype(np.float32)
    values = x @ random.normal(size=(6, outputs)) + 0.5 * x[:, :1] ** 2
    return x, (values > 0).astype(np.float32) if kind in ("binary", "multi-label") else values.astype(np.float32)


def a_task(kind: Any, outputs: int = 1, **changes: Any) -> Task:
    name = kind if isinstance(kind, str) else "regression"
    x, labels = drawn(outputs, name)
    parts = {"train": (x[:200], labels[:200]), "validation": (x[200:], labels[200:])}
    network = {"model": models.MLP((16, outputs)), "optimizer": optax.sgd(0.05), "batch_size": 20, "steps": 100}
    settings: dict[str, Any] = {"kind": kind, **network, **parts, **changes}
    return Task(**settings)


SMALL = SearchConfig(population=24, generations=2, elites=2, seeds=1, finalists=4, final_seeds=2, halving=1)


# LOSSES


def test_the_usual_losses_are_those_of_optax() -> None:
    z, x = jnp.asarray(OUTPUTS), jnp.asarray(LABELS)
    np.testing.assert_allclose(
        Loss(BINARY, output="sigmoid")(z, x), optax.sigmoid_binary_cross_entropy(z, x).sum(axis=-1), rtol=2e-5
    )
    np.testing.assert_allclose(
        Loss("-1 * square(x - y)", output="identity")(z, x), optax.squared_error(z, x).sum(axis=-1), rtol=1e-5
    )
    for name, kind in problems.KINDS.items():
        assert kind.baseline.output == kind.output, name


@pytest.mark.few(4)
@pytest.mark.parametrize("z", [-200.0, -30.0, -17.5, 0.0, 17.5, 30.0, 200.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_saturated_sigmoid_keeps_the_gradient_of_cross_entropy(z: float, label: float) -> None:
    outputs, labels = jnp.full((1, 1), z), jnp.full((1, 1), label)
    ours = jax.grad(lambda z: Loss(BINARY, output="sigmoid")(z, labels).sum())(outputs)
    theirs = jax.grad(lambda z: optax.sigmoid_binary_cross_entropy(z, labels).sum())(outputs)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_logarithm_of_a_negative_output_s_square_is_taken_as_it_is() -> None:
    loss = Loss("x * log(y * y)", output="identity")
    np.testing.assert_allclose(loss(jnp.array([[-2.0]]), jnp.array([[1.0]])), [-np.log(4)], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("output", ["sigmoid", "identity", jax.nn.softplus, lambda z: jax.nn.softmax(z, axis=-1)])
@pytest.mark.parametrize("expression", ["x * y - square(y)", "square(x) / (2 + y) + y", "log(2 + y) * (x - y)"])
def test_gradients_of_programs_are_those_of_the_loss(output: Any, expression: str) -> None:
    tree = parsing.parse(expression)
    program = jax.tree.map(lambda leaf: leaf[0], programs.encode([tree]))
    z, x = jnp.asarray(OUTPUTS) / 4, jnp.asarray(LABELS)  # no output below -2
    weights = jnp.asarray(RANDOM.random((40, 3)) * (RANDOM.random((40, 3)) < 0.7), jnp.float32)
    for given in (None, weights):

        def mean(z: jax.Array, given: Any = given) -> jax.Array:
            y = predictions(z, x, -1, None, output)[1]
            values = -trees.evaluate(tree, x, y, jnp)
            return (values if given is None else values * given).sum(axis=-1).mean()

        found, finite = gradients.program_gradient(False, output)(program, z, x, given)
        np.testing.assert_allclose(found, jax.grad(mean)(z), rtol=1e-4, atol=1e-7)
        assert finite


def test_entries_of_no_weight_may_be_infinite() -> None:
    program = jax.tree.map(lambda leaf: leaf[0], programs.encode([parsing.parse("log(y - x)")]))
    z, x = jnp.array([[2.0, 1.0]]), jnp.array([[0.0, 1.0]])
    gradient = gradients.program_gradient(False, "identity")
    assert not gradient(program, z, x, None)[1]
    found, finite = gradient(program, z, x, jnp.array([[1.0, 0.0]]))
    assert finite
    np.testing.assert_allclose(found, [[-0.5, 0]])


def test_a_loss_keeps_its_output_in_a_file_and_a_function_is_refused(tmp_path: Any) -> None:
    loss = Loss(BINARY, output="sigmoid")
    loss.save(tmp_path / "loss.json")
    assert losses.load(tmp_path / "loss.json") == loss
    old = '{"glojax_loss": 1, "expression": "x * y", "coefficients": [1, 1, 1], "protected": false}'
    (tmp_path / "old.json").write_text(old)
    assert losses.load(tmp_path / "old.json") == Loss("x * y")
    with pytest.raises(ValueError, match="output is a function, which cannot be saved"):
        Loss("x * y", output=jax.nn.softplus).to_json()
    with pytest.raises(ValueError, match="has no source"):
        Loss("x * y", output=jax.nn.softplus).to_python()
    with pytest.raises(ValueError, match=r"Loss\.output is 'tanh'; softmax, sigmoid, identity or a function"):
        Loss("x * y", output="tanh")


@pytest.mark.slow
@pytest.mark.parametrize("output", ["sigmoid", "identity"])
@pytest.mark.parametrize("expression", [BINARY, "x * y - square(y)", "log(square(y)) * x - y / (x + 2)"])
def test_exported_sources_give_the_same_values_and_gradients(output: str, expression: str) -> None:
    loss = Loss(expression, output=output)
    space: dict[str, Any] = {}
    exec(loss.to_python(), space)
    z = np.concatenate([OUTPUTS, np.full((1, 3), 25), np.full((1, 3), -25)]).astype(np.float32)
    x = np.concatenate([LABELS, np.ones((1, 3)), np.zeros((1, 3))]).astype(np.float32)
    where = np.arange(len(z))[:, None] % 4 != 0
    for options in ({}, {"where": jnp.asarray(where)}):

        def total(function: Any, options: dict = options) -> Any:
            return jax.value_and_grad(lambda z: function(z, jnp.asarray(x), **options).sum())(jnp.asarray(z))

        for ours, theirs in zip(total(loss), total(space["loss"]), strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)
    torch = pytest.importorskip("torch")
    exec(loss.to_torch(), space)
    tensor = torch.tensor(z, requires_grad=True)
    values = space["loss"](tensor, torch.tensor(x))
    values.sum().backward()
    np.testing.assert_allclose(values.detach().numpy(), loss(z, x), rtol=1e-4, atol=1e-5)
    gradient = jax.grad(lambda z: loss(z, jnp.asarray(x)).sum())(jnp.asarray(z))
    np.testing.assert_allclose(tensor.grad.numpy(), gradient, rtol=1e-4, atol=1e-5)


# TASKS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "metric", "outputs", "usual"),
    [
        ("binary", None, 1, optax.sigmoid_binary_cross_entropy),
        ("binary", "auc", 1, optax.sigmoid_binary_cross_entropy),
        ("multi-label", None, 3, optax.sigmoid_binary_cross_entropy),
        ("regression", None, 2, optax.squared_error),
        ("regression", "rmse", 1, optax.squared_error),
    ],
)
def test_the_usual_loss_trains_as_optax_s_and_its_score_is_the_metric(
    kind: str, metric: str | None, outputs: int, usual: Any
) -> None:
    task = a_task(kind, outputs, metric=metric)
    scores = evaluate(task, [task.problem.baseline, usual], 3)
    np.testing.assert_allclose(scores[0], scores[1], atol=2e-3)
    assert scores.min() > (0.5 if metric == "rmse" else 0.7)
    if metric == "rmse":
        assert (task.metric_name, task.score_name, task.is_error) == ("rmse", "1 / (1 + rmse)", True)
        np.testing.assert_allclose(1 / (1 + task.as_metric(scores)), scores, rtol=1e-5)


@pytest.mark.slow
def test_a_metric_and_an_output_of_one_s_own_are_a_new_kind() -> None:
    def mean_error(outputs: jax.Array, labels: jax.Array) -> jax.Array:
        return jnp.abs(jax.nn.softplus(outputs) - labels).mean()

    x, labels = drawn(1, "regression")
    counts = np.abs(labels)
    parts = {"train": (x[:200], counts[:200]), "validation": (x[200:], counts[200:])}
    task = a_task(Kind(jax.nn.softplus, mean_error), minimize=True, **parts)
    before, after = (
        task.as_metric(evaluate(task, ["-1 * square(x - y)"], 2, steps=steps)).mean() for steps in (1, 100)
    )
    assert after < 0.7 * before
    found = search(task, SMALL)
    assert task.as_metric(np.array(found.fitness)) < before
    assert task.loss(found.best).output is jax.nn.softplus


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "outputs"), [("binary", 1), ("multi-label", 2), ("regression", 1)])
def test_a_search_finds_a_loss_as_good_as_the_usual_one(kind: str, outputs: int) -> None:
    task = a_task(kind, outputs)
    found = search(task, SMALL)
    assert found.baseline is not None
    assert found.fitness > found.baseline.fitness - 0.05
    rows = comparison.compare(task, {"found": task.loss(found.best)}, 2, rates={"found": found.rate})
    assert rows[0].name == task.problem.baseline_name
    assert max(row.validation.mean() for row in rows if "found" in row.name) > 0.7


@pytest.mark.slow
def test_unknown_labels_change_nothing_whatever_stands_in_their_place() -> None:
    task = a_task("multi-label", 3)
    x, labels = task.splits["train"]
    hidden = np.random.default_rng(0).random(labels.shape) < 0.3
    masked = dataclasses.replace(task, train=(x, np.where(hidden, np.nan, labels)))
    scores = evaluate(masked, [BINARY, optax.sigmoid_binary_cross_entropy], 2)
    np.testing.assert_allclose(scores[0], scores[1], atol=2e-3)
    assert scores.min() > 0.7
    assert not np.allclose(scores, evaluate(task, [BINARY], 2), atol=1e-4)


@pytest.mark.slow
def test_class_weights_weigh_the_examples_of_a_class(tiny_task: Task) -> None:
    weights = np.linspace(0.2, 3, 10)
    weighted = dataclasses.replace(tiny_task, class_weights=weights)

    def by_hand(logits: jax.Array, labels: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy(logits, labels) * (labels @ jnp.asarray(weights, jnp.float32))

    ours, fixed = evaluate(weighted, ["x * log(y)", optax.softmax_cross_entropy], 2)
    np.testing.assert_allclose(ours, evaluate(tiny_task, [by_hand], 2)[0], atol=1e-6)
    np.testing.assert_allclose(fixed, ours, atol=1e-6)
    assert weighted.fingerprint != tiny_task.fingerprint


# SCREENING


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "expression", "trainable"),
    [
        ("binary", BINARY, True),
        ("binary", "-1 * square(x - y)", True),
        ("binary", f"-1 * ({BINARY})", False),
        ("binary", "x + log(y)", False),
        ("regression", "-1 * square(x - y)", True),
        ("regression", "square(x - y)", False),
        ("regression", "y - x", False),
        ("regression", "x * log(y)", False),
    ],
)
def test_screening_tells_good_losses_from_hopeless_ones(kind: str, expression: str, trainable: bool) -> None:
    task = a_task(kind)
    probe = screening.probe_of(task)
    found = screening.screen([parsing.parse(expression)], None, probe, kind=task.problem, room=31)
    assert found.trainable.tolist() == [trainable]
    usual = screening.screen([task.problem.baseline.tree], None, probe, kind=task.problem, room=31)
    assert usual.size == pytest.approx([1], rel=1e-3)


@pytest.mark.slow
def test_rates_are_not_divided_by_the_gradient_where_the_optimizer_does_that() -> None:
    for optimizer, growth in ((optax.sgd(0.1), 1), (optax.sgd(0.1, momentum=0.9), 1), (optax.adam(1e-3), 0)):
        task = a_task("regression", optimizer=optimizer)
        config = dataclasses.replace(SMALL, generations=1)
        found = search(task, config)
        assert found.baseline is not None
        generation = found.generations[0]
        sizes = screening.screen(
            generation.trees, None, screening.probe_of(task), kind=task.problem, room=31
        ).size.astype(float)
        factors = generation.rates / found.baseline.rate * sizes**growth
        nearest = np.array([1 / 3, 1, 3])[np.abs(np.log(factors[:, None] / [1 / 3, 1, 3])).argmin(axis=1)]
        np.testing.assert_allclose(factors, nearest, rtol=1e-3)


# BAD INPUT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "ranking"}, "kind is 'ranking'; allowed are classification, binary, multi-label, regression"),
        ({"metric": "mape"}, r"metric is 'mape'; accuracy, .* or a function is allowed"),
        ({"metric": 3}, r"metric is 3; accuracy, .* or a function is allowed"),
        ({"metric": "accuracy"}, "metric is 'accuracy', which is for classes; these labels are 0 and 1"),
        ({"metric": metrics.accuracy}, "metric is 'accuracy', which is for classes; these labels are 0 and 1"),
        ({"minimize": "yes"}, "minimize is 'yes'; True or False is allowed"),
        ({"minimize": True}, "minimize is for a metric that is an error; more of 'binary_accuracy' is better"),
        ({"class_weights": "balanced"}, "class_weights is 'balanced'; a number above 0 for each of the 1 outputs"),
        ({"class_weights": {0: 1.0}}, r"class_weights is \{0: 1.0\}; a number above 0 for each of the 1 outputs"),
        ({"class_weights": [1.0, 2.0]}, r"class_weights is \[1.0, 2.0\]; a number above 0 for each of the 1 outputs"),
        ({"class_weights": [0.0]}, "class_weights"),
        ({"train": (np.zeros((200, 6)), np.full(200, 2.0))}, "labels hold 2; 0 and 1 are allowed"),
        ({"train": (np.zeros((200, 6)), np.full(200, np.inf))}, "labels of example 0 are infinite"),
        ({"train": (np.zeros((200, 6)), np.full(200, "a"))}, r"labels are <U1\[200\]; numbers of shape"),
        ({"train": (np.zeros((200, 6)), np.ones(200))}, r"labels of one class, \[1.0\]"),
        ({"model": models.MLP((16, 3))}, r"output of shape \[20, 3\].*\[batch, outputs\] with an output for each"),
    ],
)
def test_bad_tasks_are_refused_by_name(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"Task.*{message}"):
        a_task(**({"kind": "binary"} | changes))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            lambda outputs, labels: jnp.nan,
            "gives nan of random outputs .*; one finite number of at least 0",
        ),
        (lambda outputs, labels: -1.0, "gives -1.0 of random outputs .*; one finite number of at least 0 is expected"),
        (lambda outputs, labels: outputs[:2, 0], r"gives float32\[2\] .*; one number is expected"),
        (lambda outputs, labels: (outputs.mean(), 0), r"gives \('float32\[\]', 'int32\[\]'\) .*; one number is"),
        (lambda outputs, labels: outputs.median(), r"raises AttributeError \(.*test_problems.py, line \d+\): .*median"),
        (lambda outputs: 1.0, "raises TypeError: .*takes 1 positional argument but 2 were given"),
        (lambda outputs, labels: float(outputs[0, 0]), "raises ConcretizationTypeError .*test_problems.py"),
    ],
)
def test_a_metric_that_is_no_number_of_at_least_0_is_refused_before_training(metric: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"Task.metric, <lambda>, {message}"):
        search(a_task("binary", metric=metric), SMALL)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"output": "tanh", "metric": metrics.r2}, "output is 'tanh'; softmax, sigmoid, identity or a function"),
        ({"output": "sigmoid", "metric": "mape"}, "metric is 'mape'; accuracy, .* or a function is allowed"),
        (
            {"output": "sigmoid", "metric": "auc", "baseline": losses.brier},
            "baseline is a loss of output 'softmax'; 'sigmoid' is needed",
        ),
    ],
)
def test_a_kind_that_cannot_be_is_refused_by_name(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"Kind.{message}"):
        Kind(**fields)


def test_a_kind_s_output_that_changes_the_shape_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"Kind.output makes float32\[20\] of float32\[20, 1\]; it must keep the shape"
    ):
        a_task(Kind(lambda outputs: outputs.sum(axis=-1), metrics.r2))


def test_an_error_given_as_a_function_or_by_a_kind_is_minimized_too() -> None:
    for kind, changes in (("regression", {"metric": metrics.rmse}), (Kind("identity", "rmse"), {})):
        task = a_task(kind, **changes)
        assert (task.is_error, task.metric_name, task.score_name) == (True, "rmse", "1 / (1 + rmse)")


def test_a_loss_for_other_outputs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is of output 'softmax', the task task of 'sigmoid'; make it with task.loss"):
        evaluate(a_task("binary"), [losses.baikal], 1)


def test_auc_is_a_metric_of_ranks() -> None:
    assert metrics.METRICS["auc"](jnp.array([[1.0], [2.0], [3.0]]), jnp.array([[0.0], [1.0], [1.0]])) == 1


# OLD NAMES


def test_the_old_names_of_the_baseline_warn() -> None:
    baseline = Loss("x * y", output="softmax")  # type: ignore[arg-type]
    with pytest.warns(DeprecationWarning, match=r"Kind\.control(_name)? is now baseline"):
        kind = Kind("softmax", "accuracy", control=baseline, control_name="mine")  # type: ignore[call-arg]
    assert kind == Kind("softmax", "accuracy", baseline, "mine")
    with pytest.warns(DeprecationWarning, match=r"Kind\.control is now baseline\."):
        assert kind.control == baseline  # type: ignore[attr-defined]
    assert dataclasses.replace(kind, baseline_name="other").baseline == baseline
