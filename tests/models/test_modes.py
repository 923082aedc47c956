"""How modules are told whether they train: every name, in Linen and NNX, and what is not told."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glojax.models.adapters import Model, as_model
from glojax.models.modes import MODES, mode, modes_of, other_arguments

EXAMPLE = np.ones((64, 8), np.float32)
every_mode = pytest.mark.parametrize("name", MODES)


def outputs(model: Model, train: bool, seed: int = 1) -> np.ndarray:
    params, state = model.init(jax.random.key(0))
    return np.asarray(model.apply(params, state, jnp.asarray(EXAMPLE), jax.random.key(seed), train)[0])


def linen(call: Callable[..., Any], **fields: Any) -> nn.Module:
    """A Linen module whose call is a function of it."""
    return type("Network", (nn.Module,), {"__call__": nn.compact(call), **fields})()


def call_with(name: str, default: bool, dropout: Callable[[bool], bool]) -> Callable[..., Any]:
    """``__call__(self, x, name=...)`` of a network of dropout and batch statistics."""
    names: dict[str, Any] = {"nn": nn, "dropout": dropout}
    default_text = f" = {not MODES[name]}" if default else ""
    exec(
        f"def call(self, x, *, {name}{default_text}):\n"
        f"    x = nn.BatchNorm(use_running_average=dropout({name}))(x)\n"
        f"    return nn.Dropout(0.5, deterministic=dropout({name}))(x)",
        names,
    )
    return names["call"]


# WHAT IS TOLD


@every_mode
@pytest.mark.parametrize("default", [False, True])
def test_a_linen_module_is_told_by_each_name_with_its_own_sense(name: str, default: bool) -> None:
    model = as_model(linen(call_with(name, default, lambda given: given != MODES[name])), EXAMPLE)
    params, state = model.init(jax.random.key(0))
    x = jnp.asarray(np.random.default_rng(0).normal(3, 2, EXAMPLE.shape), jnp.float32)
    trained, new_state = model.apply(params, state, x, jax.random.key(1), True)
    assert 0.3 < (np.asarray(trained) == 0).mean() < 0.7
    mean = new_state["batch_stats"]["BatchNorm_0"]["mean"]  # type: ignore[index]
    np.testing.assert_allclose(mean, 0.01 * x.mean(axis=0), rtol=1e-4)
    evaluated, same = model.apply(params, state, x, jax.random.key(1), False)
    np.testing.assert_allclose(evaluated, x, rtol=1e-4)  # the statistics at the start are 0 and 1
    assert same is state


@every_mode
def test_an_nnx_module_is_told_by_each_name_with_its_own_sense(name: str) -> None:
    names: dict[str, Any] = {"nnx": nnx, "inactive": lambda given: given != MODES[name]}
    exec(
        "class Network(nnx.Module):\n"
        "    def __init__(self, rngs):\n"
        "        self.dropout = nnx.Dropout(0.5, rngs=rngs)\n"
        f"    def __call__(self, x, {name}={not MODES[name]}):\n"
        f"        return self.dropout(x, deterministic=inactive({name}))",
        names,
    )
    model = as_model(names["Network"], EXAMPLE)
    assert 0.3 < (outputs(model, train=True) == 0).mean() < 0.7
    np.testing.assert_array_equal(outputs(model, train=False), EXAMPLE)


def test_several_names_are_told_at_once() -> None:
    seen: list[tuple[bool, bool, bool]] = []

    def call(self: nn.Module, x: jax.Array, train: bool, deterministic: bool, use_running_average: bool = True) -> Any:
        seen.append((train, deterministic, use_running_average))
        return x

    model = as_model(linen(call), EXAMPLE)
    outputs(model, train=True)
    assert seen[-1] == (True, False, False)
    outputs(model, train=False)
    assert seen[-1] == (False, True, True)


@every_mode
def test_an_attribute_of_a_linen_module_is_set_for_each_mode(name: str) -> None:
    def call(self: Any, x: jax.Array) -> jax.Array:
        return nn.Dropout(0.5, deterministic=getattr(self, name) != MODES[name])(x)

    for given in (False, True):
        model = as_model(linen(call, __annotations__={name: bool}, **{name: given}), EXAMPLE)
        assert (outputs(model, train=True) == 0).any()
        np.testing.assert_array_equal(outputs(model, train=False), EXAMPLE)


def test_names_are_found_where_they_can_be_given() -> None:
    def call(x: Any, train: bool, /, training: bool, *args: Any, deterministic: bool = True, **kwargs: Any) -> None: ...

    assert modes_of(call) == ("training", "deterministic")
    assert mode(("training", "deterministic"), True) == {"training": True, "deterministic": False}
    assert other_arguments(lambda x, mask, train, scale=1: None) == ["mask"]
    assert other_arguments(lambda train, x: None) == []


# WHAT IS NOT TOLD


def dropout(**given: Any) -> Callable[..., Any]:
    return lambda self, x: nn.Dropout(0.5, **given)(x)


def batch_norm(**given: Any) -> Callable[..., Any]:
    return lambda self, x: nn.BatchNorm(**given)(x)


def attention(**given: Any) -> Callable[..., Any]:
    return lambda self, x: nn.MultiHeadDotProductAttention(2, dropout_rate=0.5, **given)(x[:, None], x[:, None])[:, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (dropout(deterministic=True), "a Dropout in Network drops nothing in training"),
        (dropout(deterministic=False), "a Dropout in Network drops values in evaluation"),
        (dropout(), "a Dropout in Network drops values in evaluation"),
        (batch_norm(use_running_average=True), "a BatchNorm in Network does not take the batch's statistics in train"),
        (batch_norm(use_running_average=False), "a BatchNorm in Network takes the batch's statistics in evaluation"),
        (batch_norm(), "a BatchNorm in Network takes the batch's statistics in evaluation"),
        (attention(deterministic=True), "a MultiHeadDotProductAttention in Network drops nothing in training"),
        (attention(deterministic=False), "a MultiHeadDotProductAttention in Network drops values in evaluation"),
    ],
)
def test_dropout_and_batch_statistics_that_are_not_told_are_refused(call: Callable[..., Any], message: str) -> None:
    model, advice = as_model(linen(call), EXAMPLE), r".*let __call__ of Network take train: bool, and pass .*=not train"
    with pytest.raises(ValueError, match=message + advice):
        outputs(model, train=True)


def test_dropout_deep_inside_is_found() -> None:
    network = nn.Sequential([nn.Dense(4), nn.Sequential([nn.relu, nn.Dropout(0.1, deterministic=True)])])
    with pytest.raises(ValueError, match="a Dropout in Sequential drops nothing in training"):
        outputs(as_model(network, EXAMPLE), train=True)


def test_dropout_of_rate_0_needs_not_be_told() -> None:
    model = as_model(linen(lambda self, x: nn.Dropout(0.0, deterministic=True)(x)), EXAMPLE)
    np.testing.assert_array_equal(outputs(model, train=True), EXAMPLE)


def test_a_module_that_is_told_may_leave_its_batch_statistics_as_they_are() -> None:
    def call(self: nn.Module, x: jax.Array, train: bool) -> jax.Array:
        return nn.BatchNorm(use_running_average=True)(x)

    np.testing.assert_allclose(outputs(as_model(linen(call), EXAMPLE), train=True), EXAMPLE, rtol=1e-4)


def test_nnx_dropout_that_its_calls_keep_from_acting_is_refused() -> None:
    class Network(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.dropout = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.dropout(x, deterministic=True)

    model = as_model(Network, EXAMPLE)
    np.testing.assert_array_equal(outputs(model, train=False), EXAMPLE)
    with pytest.raises(ValueError, match=r"no Dropout in Network drops anything in training; leave out deterministic"):
        outputs(model, train=True)
