"""Inputs as trees of arrays: the same scores as the same arrays in one, integers that stay so, and clear errors."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import glojax
from glojax.tasks import inputs
from glojax.tasks.identity import differences, identity
from glojax.tasks.task import Task

RANDOM = np.random.default_rng(0)
X, KIND = RANDOM.normal(size=(24, 4)), RANDOM.integers(0, 3, 24)
LABELS = (X[:, 0] > 0).astype(int) + (KIND == 2)
DICT = {"measured": X, "kind": KIND}


class Pair(NamedTuple):
    measured: Any
    kind: Any


class ByName(nn.Module):
    @nn.compact
    def __call__(self, measured: jax.Array, kind: jax.Array, train: bool = False) -> jax.Array:
        assert kind.dtype == jnp.int32
        kind = nn.one_hot(kind, 3)  # what an embedding of width 3 begins with
        return nn.Dense(3)(jnp.concatenate([measured, kind], axis=-1))


class AsTree(nn.Module):
    @nn.compact
    def __call__(self, tree: Any) -> jax.Array:
        measured, kind = tree.values() if isinstance(tree, dict) else tree
        if isinstance(tree, dict):
            measured, kind = tree["measured"], tree["kind"]
        return nn.Dense(3)(jnp.concatenate([measured, nn.one_hot(kind, 3)], axis=-1))


class OfNNX(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.out = nnx.Linear(7, 3, rngs=rngs)

    def __call__(self, measured: jax.Array, kind: jax.Array) -> jax.Array:
        return self.out(jnp.concatenate([measured, jax.nn.one_hot(kind, 3)], axis=-1))


def task_of(model: Any, x: Any, **fields: Any) -> Task:
    training = {"optimizer": optax.sgd(0.1), "steps": 5, "batch_size": 8}
    return Task(model, (x, LABELS), (x, LABELS), **(training | fields))


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """Scores with one array, which holds what the trees do."""
    x = np.concatenate([X, np.eye(3)[KIND]], axis=1)
    return glojax.evaluate(task_of(nn.Dense(3), x, metric="log_loss"), ["x * log(y)"], seeds=2)


def init(key: jax.Array) -> tuple[Any, Any]:
    return AsTree().init(key, Pair(X[:2], KIND[:2]))["params"], {}


def apply(params: Any, state: Any, x: Any, key: jax.Array, train: bool) -> tuple[jax.Array, Any]:
    return AsTree().apply({"params": params}, x), state  # type: ignore[return-value]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "x"),
    [(ByName(), DICT), (AsTree(), DICT), (AsTree(), (X, KIND)), (AsTree(), Pair(X, KIND)), ((init, apply), (X, KIND))],
    ids=["keywords", "dict", "tuple", "NamedTuple", "functions"],
)
def test_a_tree_scores_as_the_same_numbers_in_one_array(model: Any, x: Any, expected: np.ndarray) -> None:
    task = task_of(model, x, metric="log_loss")
    if isinstance(model, tuple):  # its parameters are drawn by other keys' names
        assert glojax.evaluate(task, ["x * log(y)"], seeds=2).shape == (1, 2)
        return
    params, _ = task.pure_model.init(jax.random.key(0))
    assert params["Dense_0"]["kernel"].shape == (7, 3)
    found = glojax.evaluate(task, ["x * log(y)"], seeds=2)
    assert found.min() > 0.3
    assert np.abs(found - expected).max() < 0.2  # a Dense inside another module is initialized by another key


@pytest.mark.slow
def test_gradients_of_a_tree_are_those_of_one_array() -> None:
    task, whole = task_of(ByName(), DICT), np.concatenate([X, np.eye(3)[KIND]], axis=1).astype(np.float32)
    params, state = task.pure_model.init(jax.random.key(1))

    def loss(params: Any, of_tree: bool) -> jax.Array:
        if of_tree:
            z, _ = task.pure_model.apply(params, state, task.splits["train"].x, jax.random.key(0), True)
        else:
            z = whole @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
        return optax.softmax_cross_entropy_with_integer_labels(z, jnp.asarray(LABELS)).mean()

    for one, other in zip(
        jax.tree.leaves(jax.grad(loss)(params, True)), jax.tree.leaves(jax.grad(loss)(params, False)), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.slow
def test_an_nnx_module_takes_a_dict_by_name() -> None:
    scores = glojax.evaluate(task_of(OfNNX, DICT), ["x * log(y)"], seeds=1)
    assert 0 < scores.min() <= 1


def test_every_array_keeps_its_type() -> None:
    x = {"f": X, "i": KIND, "b": KIND > 0, "deep": (KIND.astype(np.uint8), Pair(X[:, 0].astype(np.float16), KIND))}
    kept = inputs.checked("train", x)
    types = jax.tree.map(lambda leaf: leaf.dtype.name, kept)
    assert types == {"f": "float32", "i": "int32", "b": "bool", "deep": ("uint8", Pair("float32", "int32"))}
    assert inputs.unpacked(kept)["deep"][0].dtype == np.float32
    assert inputs.unpacked(kept)["b"].dtype == bool
    assert inputs.count(kept) == 24


@pytest.mark.slow
def test_preprocess_augment_and_harder_take_a_tree() -> None:
    def noisy(key: jax.Array, x: Any) -> Any:
        return x | {"measured": x["measured"] + jax.random.normal(key, x["measured"].shape)}

    task = task_of(ByName(), DICT, preprocess=lambda x: x | {"measured": 2 * x["measured"]}, augment=noisy)
    np.testing.assert_allclose(task.evaluation_input(task.splits["train"].x)["measured"], 2 * X, rtol=1e-6)
    few = glojax.tasks.harder(task, train_examples=9)
    rows = {row.tobytes() for row in task.splits["train"].x["measured"]}
    assert {row.tobytes() for row in few.splits["train"].x["measured"]} <= rows
    assert few.splits["train"].x["kind"].shape == (9,)
    plain = task_of(ByName(), DICT)
    assert differences(identity(plain), identity(task)) == ["another preprocess"]
    assert differences(identity(plain), identity(task_of(ByName(), DICT))) == []


def test_another_array_or_name_in_a_tree_is_other_data() -> None:
    one = task_of(AsTree(), (X, KIND))
    for x in ((X, (KIND + 1) % 3), Pair(X, KIND)):
        assert one.contents["train"] != task_of(AsTree(), x).contents["train"]


@pytest.mark.parametrize(
    ("model", "x", "message"),
    [
        (ByName(), DICT | {"kind": KIND[:9]}, r"Task.train: inputs have .*'kind'.*: 9.* one number for all arrays"),
        (ByName(), DICT | {"kind": np.array(["a"] * 24)}, r"Task.train: inputs\['kind'\] are <U1\[24\]; real numbers"),
        (ByName(), DICT | {"measured": X * np.nan}, r"inputs\['measured'\] of 24 examples are NaN or infinite"),
        (ByName(), DICT | {"kind": KIND + 2**40}, r"inputs\['kind'\] hold 109951162777\d; integers of 32 bits"),
        (ByName(), DICT | {"age": KIND}, "Task.model takes measured, kind in its call, and the inputs also have 'age'"),
        (ByName(), {"measured": X}, "needs 'kind' in its call"),
        (ByName(), {1: X}, "inputs have the name 1; text is expected"),
        (AsTree(), (X, KIND[:, None][:0]), r"Task.train: inputs\[1\] have shape \[0, 1\]; \[examples, ...\]"),
    ],
)
def test_a_tree_that_does_not_fit_is_refused(model: Any, x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_of(model, x)


def test_parts_of_unlike_trees_are_refused() -> None:
    with pytest.raises(ValueError, match=r"inputs differ in shape: .*all parts must have one shape"):
        Task(AsTree(), ((X, KIND), LABELS), ((X, KIND[:, None]), LABELS))
