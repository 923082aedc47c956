"""Networks of Equinox and Haiku train as the same network in Flax, from the same parameters on the same minibatches."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import glojax
from glojax.models import other_libraries
from glojax.models.adapters import Model, as_model
from glojax.tasks.task import Task

X = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
SHAPES = {"hidden": (5, 6), "out": (6, 3)}
WEIGHTS = {name: np.random.default_rng(1).normal(size=shape).astype(np.float32) / 2 for name, shape in SHAPES.items()}


class InFlax(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.tanh(nn.Dense(6, name="hidden")(x))
        return nn.Dense(3, name="out")(nn.Dropout(0.5, deterministic=not train)(x))


def in_equinox() -> Any:
    eqx = pytest.importorskip("equinox")

    class Network(eqx.Module):
        hidden: Any
        drop: Any
        out: Any

        def __init__(self, key: jax.Array):
            first, second = jax.random.split(key)
            self.hidden, self.out = eqx.nn.Linear(5, 6, key=first), eqx.nn.Linear(6, 3, key=second)
            self.drop = eqx.nn.Dropout(0.5)

        def __call__(self, x: jax.Array, key: jax.Array) -> jax.Array:
            return self.out(self.drop(jnp.tanh(self.hidden(x)), key=key))

    return other_libraries.equinox(Network)


def in_haiku() -> Any:
    hk = pytest.importorskip("haiku")

    def forward(x: jax.Array, is_training: bool) -> jax.Array:
        x = jnp.tanh(hk.Linear(6, name="hidden")(x))
        x = hk.dropout(hk.next_rng_key(), 0.5 if is_training else 0.0, x)
        return hk.Linear(3, name="out")(x)

    return other_libraries.haiku(forward)


NAMES: dict[str, tuple[Callable[[], Any], Callable[[str], tuple[str, str]], bool]] = {
    "flax": (InFlax, lambda layer: (f"{layer}/kernel", f"{layer}/bias"), False),
    "equinox": (in_equinox, lambda layer: (f"{layer}/weight", f"{layer}/bias"), True),
    "haiku": (in_haiku, lambda layer: (f"{layer}/w", f"{layer}/b"), False),
}


def task_of(library: str) -> Task:
    make, names, is_transposed = NAMES[library]
    initial = {}
    for layer, weight in WEIGHTS.items():
        kernel, bias = names(layer)
        initial |= {kernel: weight.T if is_transposed else weight, bias: np.zeros(weight.shape[1])}
    part = (X, LABELS)
    return Task(
        make(), part, part, optimizer=optax.sgd(0.1), batch_size=24, steps=3, initial=initial, metric="log_loss"
    )


def pure(library: str) -> tuple[Model, Any, Any]:
    task = task_of(library)
    return task.pure_model, *task.pure_model.init(jax.random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize("library", ["equinox", "haiku"])
def test_outputs_and_gradients_are_those_of_the_same_network_in_flax(library: str) -> None:
    found = []
    for name in ("flax", library):
        model, params, state = pure(name)

        def loss(params: Any, model: Model = model, state: Any = state) -> tuple[jax.Array, jax.Array]:
            outputs, _ = model.apply(params, state, X, jax.random.key(3), False)
            return optax.softmax_cross_entropy_with_integer_labels(outputs, jnp.asarray(LABELS)).mean(), outputs

        gradient, outputs = jax.grad(loss, has_aux=True)(params)
        leaves = [np.sort(np.asarray(leaf).ravel()) for leaf in jax.tree.leaves(gradient)]
        found.append((outputs, sorted(leaves, key=len)))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["equinox", "haiku"])
def test_a_population_trains_with_dropout_in_training_alone(library: str) -> None:
    model, params, state = pure(library)
    keys = jax.random.split(jax.random.key(0), 2)
    drawn = [model.apply(params, state, X, key, True)[0] for key in keys]
    assert not np.allclose(drawn[0], drawn[1])
    kept = [model.apply(params, state, X, key, False)[0] for key in keys]
    np.testing.assert_array_equal(kept[0], kept[1])
    assert glojax.evaluate(task_of(library), ["x * log(y)"], seeds=1).min() > 0.4


@pytest.mark.slow
def test_the_state_of_equinox_changes_in_training_alone() -> None:
    eqx = pytest.importorskip("equinox")

    class Normalized(eqx.Module):
        norm: Any
        out: Any

        def __init__(self, key: jax.Array):
            self.norm, self.out = eqx.nn.BatchNorm(5, "batch", mode="batch"), eqx.nn.Linear(5, 3, key=key)

        def __call__(self, x: jax.Array, state: Any) -> Any:
            x, state = self.norm(x, state)
            return self.out(x), state

    model = as_model(other_libraries.equinox(eqx.nn.make_with_state(Normalized)), X)
    params, state = model.init(jax.random.key(0))
    trained, after = model.apply(params, state, X, jax.random.key(0), True)
    expected = (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 1e-5)
    weight, bias = params["out/weight"], params["out/bias"]  # type: ignore[index]
    np.testing.assert_allclose(trained, expected @ weight.T + bias, rtol=1e-3, atol=1e-4)
    _, kept = model.apply(params, after, X, jax.random.key(0), False)
    for one, other in zip(jax.tree.leaves(after), jax.tree.leaves(kept), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True))
    part = (X, LABELS)
    task = Task(other_libraries.equinox(eqx.nn.make_with_state(Normalized)), part, part, batch_size=12, steps=2)
    assert 0 <= glojax.evaluate(task, ["x * log(y)"], seeds=1).min() <= 1


def test_a_function_of_haiku_takes_a_dict_by_name_and_keeps_its_state() -> None:
    hk = pytest.importorskip("haiku")

    def forward(a: jax.Array, b: jax.Array, is_training: bool) -> jax.Array:
        return hk.BatchNorm(True, True, 0.9)(hk.Linear(3)(a) + b, is_training)

    model = as_model(other_libraries.haiku(forward), {"a": X, "b": X[:, :1]})
    params, state = model.init(jax.random.key(0))
    _, after = model.apply(params, state, {"a": X, "b": X[:, :1]}, jax.random.key(0), True)
    assert any((one != other).any() for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True))
    with pytest.raises(ValueError, match=r"a function of Haiku, needs 'b' in its call"):
        as_model(other_libraries.haiku(forward), {"a": X}).init(jax.random.key(0))


def test_what_is_no_module_of_equinox_is_refused() -> None:
    pytest.importorskip("equinox")
    with pytest.raises(ValueError, match=r"build gives a dict; an eqx\.Module is expected"):
        other_libraries.equinox(lambda key: {"w": jax.random.normal(key, (2, 3))})
