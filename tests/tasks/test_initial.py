"""Trainings that start from given parameters, and leave some of them as they are."""

import dataclasses
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

import glojax
from glojax.models.adapters import as_model
from glojax.tasks import initial
from glojax.tasks.identity import differences, identity
from glojax.tasks.task import Task
from glojax.training import learner
from glojax.training.trainer import Trainer

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 5)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


class Network(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(6, name="body")(x))
        return nn.Dense(3, name="head")(nn.tanh(x))


VARIABLES: Any = jax.tree.map(
    lambda leaf: np.asarray(leaf) + RANDOM.normal(size=leaf.shape).astype(np.float32) / 10,
    Network().init(jax.random.key(7), X, False),
)
PARAMS, FLAT = VARIABLES["params"], initial.read(VARIABLES)


def task_of(model: Any = None, **fields: Any) -> Task:
    part = (X, LABELS)
    settings = {"optimizer": optax.adam(0.05), "batch_size": 12, "steps": 4, "metric": "log_loss"}
    return Task(Network() if model is None else model, part, part, **(settings | fields))


def by_hand() -> Task:
    """The same head on the same frozen body, as functions that hold the body as constants."""
    pure = as_model(Network(), X)

    def init(key: jax.Array) -> Any:
        return jax.tree.map(jnp.asarray, PARAMS["head"]), {
            "batch_stats": jax.tree.map(jnp.asarray, VARIABLES["batch_stats"])
        }

    def apply(params: Any, state: Any, x: Any, key: jax.Array, train: bool) -> Any:
        return pure.apply(PARAMS | {"head": params}, state, x, key, train)

    return task_of((init, apply))


@pytest.fixture(scope="module")
def task() -> Task:
    return task_of(initial=VARIABLES, trainable="^head/")


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return glojax.evaluate(by_hand(), ["x * log(y)", "log(y) - x / y"], seeds=2)


@pytest.mark.slow
def test_a_frozen_body_gives_the_scores_of_one_held_by_hand(task: Task, expected: np.ndarray) -> None:
    found = glojax.evaluate(task, ["x * log(y)", "log(y) - x / y"], seeds=2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(set(found[0])) == 2  # seeds differ by their minibatches


def test_frozen_parameters_are_no_part_of_a_candidate_or_its_optimizer(task: Task) -> None:
    kept = learner.shapes(task)
    assert initial.names(kept.params) == ["head/bias", "head/kernel"]
    sizes = [leaf.size for leaf in jax.tree.leaves(kept.optimizer_state)]
    assert sum(sizes) == 2 * (3 + 18) + 1  # two moments and a count
    start = learner.start(task, learner.keys_of(jnp.uint32(0)))
    np.testing.assert_array_equal(start.params["head"]["kernel"], PARAMS["head"]["kernel"])  # type: ignore[index]
    np.testing.assert_array_equal(
        start.state["batch_stats"]["BatchNorm_0"]["mean"], FLAT["batch_stats/BatchNorm_0/mean"]
    )  # type: ignore[index]


@pytest.mark.slow
def test_a_training_is_continued_from_a_checkpoint(task: Task, tmp_path: Path) -> None:
    trainer = Trainer(task, instructions=3)
    candidates = trainer.candidates([glojax.parse("x * log(y)")], seeds=[3])
    whole = trainer.train(candidates, [2, 4]).scores
    trainer.train(candidates, [2, 4], directory=tmp_path / "kept")
    np.testing.assert_array_equal(trainer.train(candidates, [2, 4], directory=tmp_path / "kept").scores, whole)


@pytest.mark.slow
def test_orbax_safetensors_and_trees_are_one_task(task: Task, tmp_path: Path) -> None:
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "orbax", VARIABLES)
    given = {"orbax": tmp_path / "orbax", "flat": FLAT, "text": str(tmp_path / "orbax")}
    if (numpy_files := pytest.importorskip("safetensors.numpy")) is not None:
        numpy_files.save_file(
            {name.replace("/", "."): array for name, array in FLAT.items()}, tmp_path / "w.safetensors"
        )
        given["safetensors"] = tmp_path / "w.safetensors"
    for name, one in given.items():
        found = initial.read(one)
        assert found.keys() == FLAT.keys(), name
        jax.tree.map(np.testing.assert_array_equal, found, FLAT)
    other = task_of(initial=tmp_path / "orbax", trainable=lambda name: name.startswith("head"))
    assert differences(identity(task), identity(other)) == []
    changed = VARIABLES | {"params": PARAMS | {"head": jax.tree.map(lambda leaf: leaf + 1, PARAMS["head"])}}
    assert differences(identity(task), identity(task_of(initial=changed, trainable="^head/"))) == [
        "other initial parameters"
    ]


def test_what_is_trained_is_chosen_by_name_function_or_tree() -> None:
    shapes = jax.eval_shape(lambda: PARAMS)
    chosen = jax.tree.map(lambda leaf: leaf.ndim == 1, PARAMS)
    kernels = {"body/kernel", "head/kernel"}
    for trainable in ("bias|scale", lambda name: not name.endswith("kernel"), chosen):
        assert initial.frozen(trainable, shapes, FLAT) == kernels
    assert initial.frozen(None, shapes, {}) == frozenset()


def test_the_rest_of_a_partly_given_model_is_drawn() -> None:
    task = task_of(initial={"body": PARAMS["body"]})
    one, other = (task.pure_model.init(jax.random.key(seed))[0] for seed in (0, 1))
    np.testing.assert_array_equal(one["body"]["kernel"], PARAMS["body"]["kernel"])
    assert not np.array_equal(one["head"]["kernel"], other["head"]["kernel"])
    again = dataclasses.replace(task, steps=4)
    assert again.fingerprint == task.fingerprint != task_of().fingerprint


class OfNNX(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.body, self.head = nnx.Linear(5, 6, rngs=rngs), nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(jnp.tanh(self.body(x)))


def test_parameters_of_nnx_have_the_same_names() -> None:
    params = nnx.state(OfNNX(nnx.Rngs(3)), nnx.Param)
    assert set(initial.read(params)) == {"body/bias", "body/kernel", "head/bias", "head/kernel"}
    task = task_of(OfNNX, initial=params, trainable="head")
    trained, state = task.pure_model.init(jax.random.key(0))
    assert initial.names(trained) == ["head/bias", "head/kernel"]
    outputs, _ = task.pure_model.apply(trained, state, X, jax.random.key(0), False)
    np.testing.assert_allclose(outputs, OfNNX(nnx.Rngs(3))(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"initial": {"neck": np.ones(3)}}, "Task.initial has neck; the model has BatchNorm_0/bias, .*head/kernel"),
        (
            {"initial": {"head": {"bias": np.ones(4)}}},
            r"Task.initial: head/bias is float64\[4\]; the model's is float32\[3\]",
        ),
        ({"initial": "nowhere"}, "Task.initial is 'nowhere'; a folder that Orbax wrote"),
        ({"initial": {}}, "Task.initial is dict without arrays"),
        ({"trainable": "head"}, "Task.initial lacks .*body/bias, body/kernel, which Task.trainable leaves"),
        ({"initial": VARIABLES, "trainable": "neck"}, "Task.trainable is True for none of .*body/bias"),
        ({"initial": VARIABLES, "trainable": "("}, r"Task.trainable is '\(', no regular expression"),
        ({"initial": VARIABLES, "trainable": {"head": True}}, "Task.trainable has head; a bool for each of"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_of(**fields)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    for name in ("empty", "w.safetensors"):
        if name == "w.safetensors":
            pytest.importorskip("safetensors")
        with pytest.raises(ValueError, match=rf"Task.initial: .*{name} cannot be read: "):
            task_of(initial=tmp_path / name)
