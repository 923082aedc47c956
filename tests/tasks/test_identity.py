"""The identity of a task: what it tells apart, what it takes for the same, and that it is the same everywhere."""

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from glojax import Kind, Loss, Task, parse
from glojax.tasks import identity, metrics, optimizers, probes

RANDOM = np.random.default_rng(0)
X, LABELS = RANDOM.normal(size=(60, 5)).astype(np.float32), np.arange(60) % 3
TARGETS = RANDOM.normal(size=(60, 1)).astype(np.float32) + X[:, :1]
STEPS = 500
CONFIG: Any = jax.config  # whose attributes are made at run time


class Net(nn.Module):
    activation: str = "relu"
    outputs: int = 3
    dropout: float = 0.0
    momentum: float | None = None
    scale: float = 1.0
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        kernel = nn.initializers.variance_scaling(self.scale, "fan_in", "normal")
        x = nn.Dense(8, kernel_init=kernel, dtype=self.dtype, param_dtype=self.param_dtype)(x)
        if self.momentum is not None:
            x = nn.BatchNorm(use_running_average=not train, momentum=self.momentum)(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(getattr(nn, self.activation)(x))
        return nn.Dense(self.outputs, dtype=self.dtype, param_dtype=self.param_dtype)(x).astype(jnp.float32)


def made(**changes: Any) -> Task:
    settings: dict[str, Any] = {"model": Net(), "train": (X, LABELS), "validation": (X[::2], LABELS[::2])}
    return Task(**(settings | {"optimizer": optax.sgd(0.1), "batch_size": 20, "steps": STEPS} | changes))


def of_targets(**changes: Any) -> Task:
    parts = {"train": (X, TARGETS), "validation": (X[::2], TARGETS[::2])}
    return made(model=Net(outputs=1), **({"kind": "regression"} | parts | changes))


@pytest.fixture(scope="module")
def task() -> Task:
    return made()


# WHAT IS TOLD APART


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": Net("tanh")}, ["another model"]),
        ({"model": Net(scale=1.1)}, ["another model"]),
        ({"model": Net(dropout=0.1)}, ["another model"]),
        ({"model": Net(dtype=jnp.bfloat16)}, ["another model"]),
        ({"model": Net(param_dtype=jnp.bfloat16)}, ["another model"]),
        ({"model": Net(momentum=0.9)}, ["another model"]),
        ({"preprocess": lambda x: 2 * x}, ["another preprocess"]),
        ({"augment": lambda key, x: x + 0.1 * jax.random.normal(key, x.shape)}, ["another augment"]),
        ({"metric": lambda outputs, labels: metrics.accuracy(outputs, labels) ** 2}, ["another metric"]),
        ({"class_weights": (1, 1, 2)}, ["other class weights"]),
        ({"averaging": 0.1}, ["another averaging of weights"]),
        ({"train": (X, np.roll(LABELS, 1))}, ["other training data"]),
        ({"optimizer": optax.sgd(0.11), "model": Net("tanh")}, ["another optimizer", "another model"]),
        ({"kind": Kind("softmax", metrics.accuracy, Loss(parse("x * y")))}, ["another baseline of its kind"]),
    ],
)
def test_another_task_is_told_apart_and_the_difference_is_named(
    task: Task, changes: dict[str, Any], words: list[str]
) -> None:
    assert identity.differences(identity.identity(task), identity.identity(made(**changes))) == words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"dropout": 0.1}, {"dropout": 0.11}),
        ({"momentum": 0.9}, {"momentum": 0.91}),
        ({"activation": "relu"}, {"activation": "leaky_relu"}),
    ],
)
def test_settings_within_a_model_are_told_apart(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, other = (probes.model_probe(made(model=Net(**settings))) for settings in (first, second))
    assert identity.differences(one, other) == ["another model"]


@pytest.mark.slow
def test_kinds_of_targets_are_told_apart() -> None:
    class Doubled(Kind):
        def targets(self, labels: jax.Array, outputs: int) -> tuple[jax.Array, jax.Array | None]:
            x, known = super().targets(labels, outputs)
            return 2 * x, known

    kinds = {
        "identity": Kind("identity", metrics.r2),
        "softplus": Kind(jax.nn.softplus, metrics.r2),
        "exp": Kind(jnp.exp, metrics.r2),
        "doubled": Doubled("identity", metrics.r2),
        "squared": Kind("identity", metrics.r2, Loss(parse("-1 * square(square(x - y))"), output="identity")),
        "rmse": Kind("identity", metrics.rmse),
    }
    found = {name: identity.identity(of_targets(kind=kind)) for name, kind in kinds.items()}
    named = {name: identity.differences(found["identity"], found[name]) for name in kinds}
    assert named == {
        "identity": [],
        "softplus": ["another output of its kind"],
        "exp": ["another output of its kind"],
        "doubled": ["other targets of its kind"],
        "squared": ["another baseline of its kind"],
        "rmse": ["another metric", "another value of minimize"],
    }
    assert identity.differences(found["softplus"], found["exp"]) == ["another output of its kind"]


def schedule(boundary: int, factor: float = 0.1) -> optax.GradientTransformation:
    return optax.sgd(optax.piecewise_constant_schedule(0.1, {boundary: factor}))


def masked(axes: int) -> optax.GradientTransformation:
    return optax.adamw(0.01, weight_decay=1e-3, mask=lambda params: jax.tree.map(lambda p: p.ndim == axes, params))


def of_the_first_layer(params: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: "a" if "Dense_0" in str(path) else "b", params)


OPTIMIZERS: dict[str, optax.GradientTransformation] = {
    "sgd": optax.sgd(0.1),
    "sgd of another rate": optax.sgd(0.101),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "nesterov": optax.sgd(0.1, momentum=0.9, nesterov=True),
    "decayed sgd": optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.1)),
    "more decayed sgd": optax.chain(optax.add_decayed_weights(2e-4), optax.sgd(0.1)),
    "adam": optax.adam(0.01),
    "adam of another b1": optax.adam(0.01, b1=0.8),
    "adam of another b2": optax.adam(0.01, b2=0.99),
    "adam of another epsilon": optax.adam(0.01, eps=1e-7),
    "adamw of matrices": masked(2),
    "adamw of vectors": masked(1),
    "lion": optax.lion(0.01),
    "clipped at 1": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
    "clipped at 500": optax.chain(optax.clip_by_global_norm(500.0), optax.sgd(0.1)),
    "cosine": optimizers.adapted(optax.sgd(0.1), STEPS, schedule="cosine"),
    "cosine, longer": optimizers.adapted(optax.sgd(0.1), STEPS + 20, schedule="cosine"),
    "warmup of 4": optimizers.adapted(optax.sgd(0.1), STEPS, warmup=4),
    "warmup of 5": optimizers.adapted(optax.sgd(0.1), STEPS, warmup=5),
    "step at 400": schedule(400),
    "step at 401": schedule(401),
    "step near the end": schedule(STEPS - 1),
    "two in one": optax.MultiSteps(optax.sgd(0.1), 2).gradient_transformation(),
    "three in one": optax.MultiSteps(optax.sgd(0.1), 3).gradient_transformation(),
    "a layer frozen": optax.multi_transform({"a": optax.set_to_zero(), "b": optax.sgd(0.1)}, of_the_first_layer),
    "a layer slow": optax.multi_transform({"a": optax.sgd(0.001), "b": optax.sgd(0.1)}, of_the_first_layer),
    "injected": optax.inject_hyperparams(optax.sgd)(learning_rate=0.05),
}


@pytest.mark.slow
def test_optimizers_are_told_apart_by_what_they_do(task: Task) -> None:
    found = {
        name: {"optimizer": probes.optimizer_probe(dataclasses.replace(task, optimizer=optimizer), STEPS)}
        for name, optimizer in OPTIMIZERS.items()
    }
    alike = [
        (one, other)
        for one, other in itertools.combinations(found, 2)
        if identity.differences(found[one], found[other]) != ["another optimizer"]
    ]
    assert alike == []


@pytest.mark.slow
def test_a_schedule_that_changes_after_the_search_is_seen_over_a_longer_horizon() -> None:
    early, late = made(steps=50, optimizer=schedule(60)), made(steps=50, optimizer=schedule(90))
    assert identity.differences(identity.identity(early), identity.identity(late)) == []
    assert identity.differences(identity.identity(early, 100), identity.identity(late, 100)) == ["another optimizer"]


def test_precision_and_random_numbers_of_jax_are_part_of_it(task: Task) -> None:
    before = identity.identity(task)
    with jax.default_matmul_precision("bfloat16"):
        assert identity.differences(before, identity.identity(task)) == ["another numerical precision"]
    with jax.threefry_partitionable(not CONFIG.jax_threefry_partitionable):
        assert identity.differences(before, identity.identity(task)) == ["another random number generator of JAX"]


# WHAT IS THE SAME


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": optax.chain(optax.scale(-0.1))},
        {"optimizer": optax.sgd(optax.constant_schedule(0.1))},
        {"preprocess": lambda x: x},
        {"metric": lambda outputs, labels: jnp.mean(jnp.argmax(outputs, axis=-1) == labels)},
        {"kind": Kind("softmax", "accuracy")},
        {"name": "other"},
    ],
    ids=["sgd", "schedule", "preprocess", "metric", "kind", "name"],
)
def test_what_acts_alike_is_one_identity(task: Task, changes: dict[str, Any]) -> None:
    assert identity.differences(identity.identity(task), identity.identity(made(**changes))) == []


def test_rounding_of_another_machine_is_no_difference(task: Task) -> None:
    now = identity.identity(task)
    before = json.loads(json.dumps(now))
    for name in ("model", "optimizer", "initialization", "baseline"):
        before[name] = [[value if value is None else value * (1 + 2e-4) for value in row] for row in before[name]]
    assert identity.differences(before, now) == []
    before["model"][0] = [value * (1 + 2e-3) for value in before["model"][0]]
    assert identity.differences(before, now) == ["another model"]


IN_ANOTHER_PROCESS = """
import json
import test_identity
from glojax.tasks import identity
print(json.dumps([test_identity.made().fingerprint, identity.identity(test_identity.made())]))
"""


@pytest.mark.slow
def test_it_is_the_same_in_another_process(task: Task) -> None:
    folder = str(Path(__file__).parent)
    code = f"import sys\nsys.path.insert(0, {folder!r})\n{IN_ANOTHER_PROCESS}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    fingerprint, found = json.loads(ran.stdout)
    assert fingerprint == task.fingerprint
    assert identity.differences(found, identity.identity(task)) == []


# WHAT IT TAKES AND HOLDS


def test_it_is_small_and_holds_no_name_or_address_of_a_function(task: Task) -> None:
    found = identity.identity(made(preprocess=lambda x: x + 1, metric=lambda outputs, labels: jnp.float32(0.5)))
    text = json.dumps(found)
    assert len(text) < 10_000
    assert " at 0x" not in text
    assert "lambda" not in text
    probes = [value for value in found.values() if isinstance(value, list)]
    assert max(len(row) for probe in probes for row in probe) <= 16


def test_models_of_every_kind_are_probed() -> None:
    class Layers(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.first, self.last = nnx.Linear(5, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)
            self.norm, self.dropout = nnx.BatchNorm(8, rngs=rngs), nnx.Dropout(0.2, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.last(self.dropout(nnx.relu(self.norm(self.first(x)))))

    def apply(params: Any, state: Any, x: jax.Array, key: jax.Array, train: bool) -> tuple[jax.Array, Any]:
        return x.reshape(20, 5) @ params["w"], state  # of one batch size alone

    found = probes.model_probe(made(model=Layers))
    assert found["model"][0] != found["model"][1]
    assert any(found["model"][2])
    pair = (lambda key: ({"w": jax.random.normal(key, (5, 3)), "n": jnp.array(3)}, ()), apply)
    probe = probes.model_probe(made(model=pair))
    assert np.isfinite(probe["model"]).all()


def test_a_function_that_raises_is_named() -> None:
    def metric(outputs: jax.Array, labels: jax.Array) -> jax.Array:
        raise RuntimeError("no such thing")

    with pytest.raises(ValueError, match=r"Task\.metric raises RuntimeError .*: no such thing"):
        identity.identity(made(metric=metric))


def test_optimizers_whose_updates_are_not_finite_have_an_identity(task: Task) -> None:
    found = identity.identity(made(optimizer=optax.chain(optax.scale_by_rms(eps=0.0), optax.scale(-0.1))))
    assert found["optimizer"][0] == [None] * 16
    assert identity.differences(found, json.loads(json.dumps(found))) == []
    assert identity.differences(identity.identity(task), found) == ["another optimizer"]
