"""What a user has set for JAX changes no score, ends no search, and is as it was afterwards.

These change settings of the whole process, so ``test_user_settings.py`` runs them in one of their own.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import glojax
from glojax.discovery.comparison import compare
from glojax.tasks import identity
from glojax.training.learner import minibatches
from glojax.training.trainer import Trainer

_config: Any = jax.config  # whose attributes are made at run time

# Settings that do not hide one another are set together: each has its own error, which names it.
SETTINGS: dict[str, dict[str, Any]] = {
    "64 bits": {"jax_enable_x64": True},
    "checks": {
        "jax_debug_nans": True,
        "jax_debug_infs": True,
        "jax_numpy_rank_promotion": "raise",
        "jax_numpy_dtype_promotion": "strict",
        "jax_transfer_guard": "disallow",
        "jax_check_tracer_leaks": True,
        "jax_debug_key_reuse": True,
        "jax_legacy_prng_key": "error",
    },
    "keys": {
        "jax_enable_custom_prng": True,
        "jax_numpy_rank_promotion": "warn",  # warnings are errors here
        "jax_default_matmul_precision": "highest",  # what a CPU does anyway
    },
}


@pytest.fixture(params=SETTINGS.values(), ids=SETTINGS)
def setting(request: pytest.FixtureRequest) -> Iterator[None]:
    """Settings of the user for the whole process, as environment variables make them; they must be left as they are."""
    before = {name: getattr(jax.config, name) for name in request.param}
    for name, value in request.param.items():
        jax.config.update(name, value)
    yield
    left = {name: getattr(jax.config, name) for name in request.param}
    for name, value in before.items():
        jax.config.update(name, value)
    assert left == request.param


class Network(nn.Module):
    """Two outputs, with a normalization that keeps statistics and a dropout that draws random numbers."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(8)(x))
        return nn.Dense(2)(nn.Dropout(0.25, deterministic=not train)(nn.relu(x)))


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(int)


def task_of(model: Any, **options: Any) -> glojax.Task:
    x, labels = data()
    return glojax.Task(model, (x[:60], labels[:60]), (x[60:], labels[60:]), batch_size=10, steps=6, **options)


def trained() -> dict[str, Any]:
    """What a loss that trains, one that gives NaN, and one of optax's score."""
    losses = ["x * log(y)", "log(x) * y", "log(y - 1) * x", optax.softmax_cross_entropy]
    task = task_of(Network(), optimizer=optax.adam(0.01), augment=lambda key, x: x + jax.random.normal(key, x.shape))
    x, _ = data()
    regression = glojax.Task(
        glojax.models.MLP((8, 1)), (x[:60], x[:60, 1]), (x[60:], x[60:, 1]),
        kind="regression", metric="rmse", batch_size=10, steps=6,
    )  # fmt: skip
    schedule = glojax.TrainConfig(steps=6, seeds=1, points=2, schedule="cosine", warmup=2, weight_decay=1e-3)
    curves = glojax.train(task_of(glojax.models.MLP((8, 2))), {"baikal": glojax.losses.baikal}, schedule)
    return {
        "classes": glojax.evaluate(task, losses, seeds=2).tolist(),
        "numbers": glojax.evaluate(regression, ["-1 * square(x - y)", "log(x) * y"], seeds=1).tolist(),
        "curves": [row.scores.tolist() for row in (*curves.rows, *curves.baseline)],
    }


def searched() -> dict[str, Any]:
    """What each kind of search finds, where most trees give NaN."""
    task, small = task_of(glojax.models.MLP((8, 2))), {"seeds": 1, "finalists": 2, "final_seeds": 1}
    found = [
        glojax.search(task, glojax.SearchConfig(population=6, generations=2, **small)),
        glojax.exhaust(task, glojax.ExhaustiveConfig(depth=1, **small)),
        glojax.tune(task, "log(y) - x / y", glojax.TuneConfig(generations=2, population=4, **small)),
    ]
    return {one.phase: (str(one.loss), one.rate, one.scores.tolist(), one.funnel) for one in found} | {
        "comparison": [(row.name, row.rate, row.validation.tolist()) for row in compare(task, {}, 1)]
    }


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return trained() | searched()


@pytest.mark.usefixtures("setting")
def test_every_search_gives_the_same_under_a_setting_of_the_user(expected: dict[str, Any]) -> None:
    assert trained() | searched() == expected


def test_what_is_called_back_sees_the_settings_of_the_user() -> None:
    seen = []

    def on_event(event: object) -> None:
        seen.append((_config.jax_debug_nans, _config.jax_enable_x64, jnp.asarray(1.0).dtype))

    with jax.debug_nans(True), jax.enable_x64(True):
        config = glojax.SearchConfig(population=4, generations=2, seeds=1, finalists=1)
        glojax.search(task_of(glojax.models.MLP((8, 2))), config, on_event=on_event)
        with pytest.raises(FloatingPointError):
            jnp.log(jnp.asarray(-1.0))
    assert seen == [(True, True, "float64")] * 2
    assert jnp.isnan(jnp.log(jnp.asarray(-1.0)))


_PROGRAM = """
import numpy as np, glojax
x = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
y = (x[:, 0] > 0).astype(int)
task = glojax.Task(glojax.models.MLP((8, 2)), (x[:60], y[:60]), (x[60:], y[60:]), batch_size=10, steps=5)
print(glojax.evaluate(task, ["x * log(y)", "log(x) * y"], seeds=1).tolist(), task.fingerprint)
"""


def printed(**variables: str) -> str:
    run = [sys.executable, "-c", _PROGRAM]
    return subprocess.run(run, env=os.environ | variables, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def usually() -> str:
    return printed()


@pytest.mark.parametrize("variables", ["JAX_ENABLE_X64=1", "JAX_DEBUG_NANS=1 JAX_TRANSFER_GUARD=disallow"])
def test_an_environment_variable_changes_no_score(variables: str, usually: str) -> None:
    assert printed(**dict(pair.split("=") for pair in variables.split())) == usually
    assert ", [0.0]]" in usually  # the loss that gives NaN


# WHAT A USER CALLS IN HIS OWN PROGRAM


def called() -> dict[str, Any]:
    """Losses, metrics, images and pooling, compiled as in a user's own training step."""
    random = np.random.default_rng(0)
    z, images = random.normal(size=(6, 3)).astype(np.float32), random.normal(size=(2, 32, 32, 3)).astype(np.float32)
    classes, mask = np.arange(6) % 3, np.arange(6) != 2
    x = np.eye(3, dtype=np.float32)[classes]

    def compiled(function: Callable[..., Any], *given: Any) -> Any:
        return jax.device_get(jax.jit(function)(*jax.device_put(given)))

    found = {}
    for name, loss in glojax.losses.ZOO.items():
        found[name] = compiled(jax.value_and_grad(lambda z, x, loss=loss: loss(z, x).mean()), z, x)
        found[f"{name}, masked"] = compiled(lambda z, x, mask, loss=loss: loss(z, x, where=mask), z, x, mask)
        found[f"{name}, half"] = compiled(lambda z, x, loss=loss: loss(z, x), z.astype(jnp.bfloat16), x)
        if isinstance(loss, glojax.Loss):
            found[f"{name}, classes"] = compiled(loss.with_integer_labels, z, classes)
    for output in ("sigmoid", "identity", jax.nn.softplus):
        loss = glojax.Loss("square(x - y) - 0.5 * x", output=output)
        found[str(output)] = compiled(jax.value_and_grad(lambda z, x, loss=loss: loss(z, x).mean()), z, x)
    for name, metric in glojax.metrics.METRICS.items():
        found[name] = compiled(metric, z, classes if metric in glojax.metrics.OF_CLASSES else x)
    found["pooled"] = compiled(jax.grad(lambda images: glojax.models.max_pool(images).sum()), images)
    found["normalized"] = compiled(glojax.models.local_response_normalization, images)
    with jax.transfer_guard("allow"):
        key = jax.random.key(0)
    found["augmented"] = compiled(lambda images: glojax.augmentation.cifar_training(key, images), images)
    return found


@pytest.fixture(scope="module")
def called_usually() -> dict[str, Any]:
    return called()


@pytest.mark.usefixtures("setting")
def test_what_a_user_calls_himself_bears_his_settings(called_usually: dict[str, Any]) -> None:
    found = called()
    for name, expected in called_usually.items():
        # With 64 bits enabled, a loss of float32 is one of float32, and a count of examples one of float64.
        jax.tree.map(
            lambda one, other: np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-7), found[name], expected
        )


# A MODEL OF 64 BITS


def linear(dtype: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    start = np.random.default_rng(1).normal(size=(4, 2))

    def init(key: jax.Array) -> tuple[Any, Any]:
        return jnp.asarray(start, dtype), {}

    def apply(params: Any, state: Any, x: jax.Array, key: jax.Array, train: bool) -> tuple[jax.Array, Any]:
        return x @ params, state

    return init, apply


def float64_metric(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean((outputs.argmax(-1) == labels).astype(jnp.float64))


WIDE: dict[str, Callable[[], dict[str, Any]]] = {
    "weights": lambda: {"model": linear(jnp.float64)},
    "a layer": lambda: {"model": nn.Dense(2, dtype=jnp.float64, param_dtype=jnp.float64)},
    "an array beside": lambda: {"model": linear(jnp.float32), "preprocess": (lambda mean: lambda x: x - mean)(_mean())},
    "a metric": lambda: {"model": linear(jnp.float32), "metric": float64_metric},
}


def _mean() -> jax.Array:
    mean = jnp.mean(jnp.asarray(data()[0], jnp.float64), axis=0)
    assert mean.dtype == "float64"
    return mean


@pytest.mark.parametrize("what", WIDE)
def test_what_asks_for_64_bits_has_them(what: str) -> None:
    with jax.enable_x64(True):
        options = WIDE[what]()
        task = task_of(options.pop("model"), **options)
        assert task.is_wide
        scores = glojax.evaluate(task, ["x * log(y)", "log(x) * y", optax.softmax_cross_entropy], seeds=2)
        assert scores.dtype == np.float32
        assert (scores[1] == 0).all()
        np.testing.assert_allclose(scores[0], scores[2])  # one loss, twice
        trainer = Trainer(task, instructions=31)
        state = trainer.advance(
            trainer.begin(trainer.candidates([glojax.parse("x * log(y)")], [0]), [6], ["train"]), hold=True
        )
        _, learners = trainer.on_host(state)
        assert {leaf.dtype for leaf in jax.tree.leaves(learners.params)} == {
            np.dtype("float64" if what in ("weights", "a layer") else "float32")
        }


def test_a_network_of_64_bits_takes_the_steps_of_numpy() -> None:
    """Cross-entropy by plain gradient descent, in float64 by hand; float32 would differ by 1e-7."""
    x, labels = data()
    with jax.enable_x64(True):
        task = task_of(linear(jnp.float64), optimizer=optax.sgd(0.5))
        trainer = Trainer(task, instructions=31)
        state = trainer.advance(
            trainer.begin(trainer.candidates([glojax.parse("x * log(y)")], [0]), [6], ["train"]), hold=True
        )
        _, learners = trainer.on_host(state)
    weights = np.random.default_rng(1).normal(size=(4, 2))
    for places in minibatches(0, 60, 10, 0, 6):
        logits = x[places] @ weights
        exponents = np.exp(logits)
        softmax = exponents / exponents.sum(axis=1, keepdims=True)
        weights = weights - 0.5 * x[places].T.astype(float) @ (softmax - np.eye(2)[labels[places]]) / 10
    np.testing.assert_allclose(learners.params[0], weights, rtol=1e-12)


def test_without_a_function_that_asks_for_them_there_are_32_bits() -> None:
    """What draws its weights without naming a type has those that it has without the setting."""

    def init(key: jax.Array) -> tuple[Any, Any]:
        return jax.random.normal(key, (4, 2)), {}

    scores = []
    for enabled in (False, True):
        with jax.enable_x64(enabled):
            task = task_of((init, linear(None)[1]))
            assert not task.is_wide
            scores.append(glojax.evaluate(task, ["x * log(y)"], seeds=3).tolist())
            scores.append(identity.identity(task))  # so that a run goes on with or without the setting
    assert scores[:2] == scores[2:]
