"""Users' models in three forms: Linen modules, NNX constructors and pairs of functions."""

import dataclasses
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from glojax import models
from glojax.discovery.scoring import evaluate
from glojax.models.adapters import Model, as_model, shapes
from glojax.tasks.task import Task

WIDTH = 12


class LinenNetwork(nn.Module):
    """A dense layer, batch statistics and dropout, then the logits."""

    rate: float = 0.25

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Dense(WIDTH)(x.reshape((x.shape[0], -1)))
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.Dense(10)(nn.Dropout(self.rate, deterministic=not train)(nn.relu(x)))


class NnxNetwork(nnx.Module):
    """The same."""

    def __init__(self, rngs: nnx.Rngs, rate: float = 0.25):
        self.first = nnx.Linear(64, WIDTH, rngs=rngs)
        self.norm = nnx.BatchNorm(WIDTH, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.last = nnx.Linear(WIDTH, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.norm(self.first(x.reshape((x.shape[0], -1))))
        return self.last(self.dropout(nnx.relu(x)))


def nnx_with_arrays_of(params: Any) -> Any:
    """An NNX constructor whose parameters are those of the Linen network, and that drops nothing."""

    def constructor(rngs: nnx.Rngs) -> NnxNetwork:
        network = NnxNetwork(rngs, rate=0.0)
        for ours, theirs in ((network.first, "Dense_0"), (network.last, "Dense_1")):
            ours.kernel[...] = params[theirs]["kernel"]
            ours.bias[...] = params[theirs]["bias"]
        return network

    return constructor


def trained(model: Model, x: jax.Array, steps: int = 5) -> tuple[np.ndarray, Any]:
    """Logits outside training after some steps of SGD, and the state."""
    params, state = model.init(jax.random.key(0))

    def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
        params, state = carry

        def objective(params: Any) -> tuple[jax.Array, Any]:
            logits, new_state = model.apply(params, state, x, key, True)
            return jnp.mean(logits**2), new_state

        gradient, state = jax.grad(objective, has_aux=True)(params)
        return (jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), state), None

    (params, state), _ = jax.jit(
        lambda: jax.lax.scan(step, (params, state), jax.random.split(jax.random.key(1), steps))
    )()
    return np.asarray(model.apply(params, state, x, jax.random.key(2), False)[0]), state


@pytest.mark.slow
def test_linen_nnx_and_pure_functions_train_alike_from_equal_parameters() -> None:
    x = jax.random.normal(jax.random.key(3), (20, 64))
    linen = as_model(LinenNetwork(rate=0.0), np.asarray(x))
    params, _ = linen.init(jax.random.key(0))
    logits, state = trained(linen, x)
    np.testing.assert_allclose(trained(as_model(nnx_with_arrays_of(params), np.asarray(x)), x)[0], logits, atol=1e-5)
    np.testing.assert_allclose(trained(as_model((linen.init, linen.apply), np.asarray(x)), x)[0], logits, atol=1e-6)
    assert np.abs(jax.tree.leaves(state)[0]).max() > 0.01  # batch statistics have moved


@pytest.mark.slow
@pytest.mark.parametrize("model", [LinenNetwork(), NnxNetwork], ids=["linen", "nnx"])
def test_dropout_acts_in_training_only_and_follows_its_key(model: Any) -> None:
    x = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    pure = as_model(model, x)
    params, state = pure.init(jax.random.key(0))

    def logits(key: int, train: bool) -> np.ndarray:
        return np.asarray(pure.apply(params, state, jnp.asarray(x), jax.random.key(key), train)[0])

    np.testing.assert_array_equal(logits(1, False), logits(2, False))
    np.testing.assert_array_equal(logits(1, True), logits(1, True))
    many = np.stack([logits(key, True) for key in range(6)])
    assert len(np.unique(many.round(6), axis=0)) > 1


class NnxNoise(nnx.Module):
    """Draws an initial value from the default stream and, in every call, noise from a stream of another name."""

    def __init__(self, rngs: nnx.Rngs):
        self.kernel = nnx.Param(jax.random.normal(rngs(), (64, 10)))
        self.rngs = rngs

    def __call__(self, x: jax.Array) -> jax.Array:
        return x @ self.kernel[...] + jax.random.normal(self.rngs.noise(), (len(x), 10))


def test_nnx_streams_of_any_name_follow_the_key() -> None:
    x = np.ones((4, 64), np.float32)
    pure = as_model(NnxNoise, x)
    params, state = pure.init(jax.random.key(0))
    first, again, other = (pure.apply(params, state, x, jax.random.key(key), True)[0] for key in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.asarray(first - other)).min() > 0
    others, _ = pure.init(jax.random.key(1))
    assert np.abs(np.asarray(jax.tree.leaves(others)[0] - jax.tree.leaves(params)[0])).min() > 0


class NnxTwoDropouts(nnx.Module):
    """Nothing but dropout twice."""

    def __init__(self, rngs: nnx.Rngs):
        self.first, self.second = nnx.Dropout(0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.second(self.first(x))


def test_two_nnx_dropout_layers_drop_independently() -> None:
    x = np.ones((100, 100), np.float32)
    pure = as_model(NnxTwoDropouts, x)
    logits, _ = pure.apply(*pure.init(jax.random.key(0)), jnp.asarray(x), jax.random.key(1), True)
    assert np.mean(np.asarray(logits) != 0) == pytest.approx(0.25, abs=0.02)  # 0.5 if both drew one mask


def linen_as_functions() -> tuple[Any, Any]:
    """The Linen network as a user's own (init, apply) pair."""
    network = LinenNetwork()

    def init(key: jax.Array) -> tuple[Any, Any]:
        variables = network.init(key, jnp.zeros((1, 64)), train=False)
        return variables["params"], variables["batch_stats"]

    def apply(params: Any, state: Any, x: jax.Array, key: jax.Array, train: bool) -> tuple[jax.Array, Any]:
        logits, changed = network.apply(
            {"params": params, "batch_stats": state}, x, train=train, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        return logits, changed["batch_stats"]

    return init, apply


@pytest.mark.slow
@pytest.mark.parametrize("model", [LinenNetwork(), NnxNetwork, linen_as_functions()], ids=["linen", "nnx", "pair"])
def test_a_population_of_networks_with_batch_norm_and_dropout_learns(tiny_task: Task, model: Any) -> None:
    task = dataclasses.replace(tiny_task, model=model, optimizer=optax.sgd(0.05), steps=100)
    scores = evaluate(task, ["x * log(y)", "x * log(y) / log(x)"], 2)
    assert (scores[0] > 0.6).all()
    assert (scores[1] == 0).all()


@pytest.mark.parametrize("model", [3, (1, 2), (len,), "mlp", models.MLP], ids=str)
def test_what_is_no_model_is_refused(model: Any) -> None:
    with pytest.raises(ValueError, match=r"Linen module \(an object\), an NNX constructor"):
        as_model(model, np.ones((2, 64)))


def test_an_nnx_network_in_place_of_its_constructor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Task.model is a NnxNetwork that is built already; .* an NNX constructor"):
        as_model(NnxNetwork(nnx.Rngs(0)), np.ones((2, 64)))


def test_a_function_that_constructs_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"<built-in function len>, which returns no nnx\.Module"):
        as_model(len, np.ones((2, 64)))


class LinenWithTwoInputs(nn.Module):
    """A call that needs more than inputs and ``train``."""

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, train: bool) -> jax.Array:
        return nn.Dense(10)(x * mask)


def test_a_module_that_needs_more_than_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Task\.model, a LinenWithTwoInputs, needs 'mask' in its call"):
        as_model(LinenWithTwoInputs(), np.ones((2, 64)))


def test_a_constructor_that_fails_is_refused_with_its_error() -> None:
    def constructor(rngs: nnx.Rngs) -> nnx.Module:
        raise RuntimeError("no such layer")

    with pytest.raises(ValueError, match=r"Task\.model, called with nnx\.Rngs, raises RuntimeError .*: no such layer"):
        as_model(constructor, np.ones((2, 64)))


@pytest.mark.parametrize("model", [LinenNetwork(), NnxNetwork], ids=["linen", "nnx"])
def test_shapes_are_those_of_the_parameters_and_the_state(model: Any) -> None:
    pure = as_model(model, np.ones((1, 64), np.float32))
    chex.assert_trees_all_equal_shapes_and_dtypes(shapes(pure), pure.init(jax.random.key(0)))


@pytest.mark.parametrize("model", [LinenNetwork(), NnxNetwork], ids=["linen", "nnx"])
def test_evaluation_leaves_the_state_as_it_is_and_training_keeps_its_structure(model: Any) -> None:
    x = jax.random.normal(jax.random.key(0), (4, 64))
    pure = as_model(model, np.asarray(x))
    params, state = pure.init(jax.random.key(0))
    _, evaluated = pure.apply(params, state, x, jax.random.key(1), False)
    logits, after = pure.apply(params, state, x, jax.random.key(1), True)
    chex.assert_shape(logits, (4, 10))
    assert evaluated is state
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)


@pytest.mark.parametrize("model", [LinenNetwork(), NnxNetwork], ids=["linen", "nnx"])
def test_inputs_of_another_shape_than_the_examples_are_refused(model: Any) -> None:
    pure = as_model(model, np.ones((1, 64), np.float32))
    with pytest.raises(AssertionError, match="shape"):
        pure.apply(*pure.init(jax.random.key(0)), jnp.ones((4, 65)), jax.random.key(1), False)


# STREAMS, AND WHAT IS SOWN


def test_linen_streams_of_any_name_follow_the_key() -> None:
    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return x + jax.random.normal(self.make_rng("noise"), x.shape)

    example = np.zeros((4, 3), np.float32)
    model = as_model(Noisy(), example)
    params, state = model.init(jax.random.key(0))
    first, again, other = (
        np.asarray(model.apply(params, state, jnp.asarray(example), jax.random.key(seed), True)[0])
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()


@pytest.mark.parametrize("collection", ["losses", "intermediates", "batch_stats"])
def test_what_a_module_sows_is_no_state(collection: str) -> None:
    class Sowing(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, train: bool) -> jax.Array:
            x = nn.BatchNorm(use_running_average=not train)(x)
            self.sow(collection, "size", jnp.sum(x**2))
            nn.Dense(2, name="inner").sow(collection, "again", x)
            return nn.Dense(2)(x)

    example = np.ones((4, 3), np.float32)
    model = as_model(Sowing(), example)
    params, state = model.init(jax.random.key(0))
    _, trained = model.apply(params, state, jnp.asarray(example), jax.random.key(1), True)
    assert set(state) == set(trained) == {"batch_stats"}  # type: ignore[arg-type]
    chex.assert_trees_all_equal_structs(state, trained)
    assert set(state["batch_stats"]) == {"BatchNorm_0"}  # type: ignore[index]
