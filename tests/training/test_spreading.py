"""A network that is spread over several devices is trained as one on a single device; each device holds its part."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

import glojax
from glojax.expressions.parsing import parse
from glojax.tasks.task import Task
from glojax.training import grouping, learner, spreading
from glojax.training.trainer import Trainer

RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(0, 9, (60, 8))
LABELS = (TOKENS + np.roll(TOKENS, 1, axis=1)) % 9
RULES = {
    "(query|key|value)/kernel": PartitionSpec(None, "model", None),  # attention by heads
    "up/kernel": PartitionSpec(None, "model"),
    "down/kernel": PartitionSpec("model", None),
}


class Layer(nn.Module):
    """A layer of a transformer."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + nn.MultiHeadDotProductAttention(4, name="attention")(nn.LayerNorm()(x))
        hidden = nn.relu(nn.Dense(32, name="up")(nn.LayerNorm()(x)))
        return x + nn.Dense(16, name="down")(hidden)


class Transformer(nn.Module):
    rematerialized: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        layer = nn.remat(Layer) if self.rematerialized else Layer  # jax.checkpoint
        return nn.Dense(9)(layer(name="layer")(nn.Embed(9, 16)(x)))


def task_of(devices: int = 0, rematerialized: bool = False, **fields: Any) -> Task:
    part = (TOKENS, LABELS)
    sharding = glojax.Sharding(devices, RULES) if devices else None
    training: dict[str, Any] = {"optimizer": optax.adam(3e-3), "batch_size": 10, "steps": 6, "metric": "log_loss"}
    return Task(Transformer(rematerialized), part, part, **(training | fields), sharding=sharding)


def trainer_of(task: Task, devices: int) -> Trainer:
    return Trainer(task, instructions=7, devices=jax.devices()[:devices])


def trained(trainer: Trainer, folder: Path | None = None) -> np.ndarray:
    """Scores of three candidates, of which the second soon meets NaN."""
    trees = [parse("x * log(y)"), parse("log(y - 2) * y"), parse("x * sqrt(y)")]
    candidates = trainer.candidates(trees, seeds=[1, 1, 2])
    return trainer.train(candidates, [3, 6], splits=("train", "validation"), directory=folder).scores


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """The scores on one device."""
    scores = trained(trainer_of(task_of(), 1))
    assert (scores[[0, 2]] > 0.25).all()
    assert len(np.unique(scores)) == 5  # training and validation part are alike
    return scores


@pytest.mark.slow
def test_scores_on_two_devices_and_with_rematerialization_are_those_of_one_device(expected: np.ndarray) -> None:
    np.testing.assert_allclose(trained(trainer_of(task_of(2, rematerialized=True), 2)), expected, rtol=1e-5)


SCRIPT = """
import json, sys
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 8)
sys.path.insert(0, sys.argv[1])
from test_spreading import *
from glojax.tasks import initial

trainer, folder = trainer_of(task_of(4), 8), Path(sys.argv[2])
scores, restored = [trained(trainer, folder).tolist() for _ in range(2)]
state = trainer.advance(trainer.begin(trainer.candidates([parse("y")], [1]), [3], ["train"]), hold=True)
learners = state.blocks[0].learners
shapes = [leaf.addressable_shards[0].data.shape for leaf in jax.tree.leaves(learners)]
print(json.dumps({
    "scores": scores, "restored": restored, "at once": trainer.plan.devices, "compiled": trainer.compilations,
    "shapes": dict(zip(initial.names(learners), shapes, strict=True)),
}))
"""


@pytest.mark.slow
def test_candidates_are_spread_over_four_devices_each_of_eight(tmp_path: Path, expected: np.ndarray) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path / "kept")],
        env=inherited | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-5)
    assert found["restored"] == found["scores"]
    assert found["at once"] == 2
    assert found["compiled"] == 4  # start, advance, score and regroup
    rows = grouping.plan(task_of(), jax.devices()[:1], 1).rows[-1]
    for of in ("params", "optimizer_state/0/mu", "optimizer_state/0/nu", "average/params"):
        assert found["shapes"][f"{of}/layer/up/kernel"] == [rows, 1, 16, 8]
        assert found["shapes"][f"{of}/layer/down/kernel"] == [rows, 1, 8, 16]
        assert found["shapes"][f"{of}/layer/attention/query/kernel"] == [rows, 1, 16, 1, 4]
        assert found["shapes"][f"{of}/Dense_0/kernel"] == [rows, 1, 16, 9]


@pytest.mark.slow
def test_a_device_holds_its_part_and_candidates_train_one_by_one() -> None:
    task = task_of(2)
    plan = grouping.plan(task, jax.devices()[:2])
    assert (plan.devices, plan.sizes) == (1, (1,))
    assert grouping.plan(task, jax.devices()[:2], 4).sizes == (4,)
    whole, params = learner.shapes(task), learner.shapes(task).params
    size = sum(leaf.size * 4 for leaf in jax.tree.leaves(params))
    divided = 4 * (3 * 16 * 16 + 2 * 16 * 32)
    assert spreading.bytes_of(task, params) == size - divided // 2
    assert spreading.bytes_of(task, whole) == 4 * (size - divided // 2) + 4 + 1  # Adam's, its counter, and the average
    assert spreading.bytes_of(task_of(), params) == size


def test_devices_that_cannot_be_divided_among_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Task\.sharding has 4 devices for a candidate, and 2 are there;"):
        Trainer(task_of(4), devices=jax.devices()[:2])


@pytest.mark.slow
def test_given_parameters_are_spread_too() -> None:
    values = Transformer().init(jax.random.key(0), TOKENS[:1])
    task = dataclasses.replace(task_of(2), initial=values, trainable="Dense_0")
    trainer = Trainer(task, devices=jax.devices()[:2])
    kernel = trainer.compiled.data.initial["layer/up/kernel"]
    assert kernel.addressable_shards[0].data.shape == (16, 16)
    np.testing.assert_array_equal(kernel, values["params"]["layer"]["up"]["kernel"])
