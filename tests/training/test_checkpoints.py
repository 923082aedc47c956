"""Checkpoints: what goes on from them, and what is refused."""

import dataclasses
import re
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

from glojax.expressions.parsing import parse
from glojax.tasks.task import Task
from glojax.training import blocks
from glojax.training.checkpoints import Checkpoint
from glojax.training.trainer import Trainer


class Stop(Exception):
    """An interruption."""


def stop_at_second(reached: int, _: np.ndarray) -> None:
    """Interrupt a training at its second stop."""
    if reached == 2:
        raise Stop


class Noisy(nn.Module):
    """A network with batch statistics, whose dropout needs random keys."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Dense(8)(x.reshape(len(x), -1))
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        return nn.Dense(10)(nn.Dropout(0.3, deterministic=not train)(x))


@pytest.mark.slow
def test_state_dead_candidates_and_the_optimizers_momentum_go_on_too_on_other_devices(
    tiny_task: Task, tmp_path: Path
) -> None:
    task = dataclasses.replace(tiny_task, model=Noisy(), optimizer=optax.sgd(0.05, momentum=0.9))
    population = [parse(text) for text in ("x * log(y)", "log(0 * y - 1) * x", "log(y) - x / y", "x * y")] * 3
    seeds = [0] * 4 + [1] * 4 + [2] * 4
    two, one = (Trainer(task, instructions=31, group=3, devices=jax.devices()[:count]) for count in (2, 1))
    candidates = two.candidates(population, seeds)
    stops = [10, 20, 30]
    expected = two.train(candidates, stops)
    with pytest.raises(Stop):
        two.train(candidates, stops, directory=tmp_path, on_stop=stop_at_second)
    found = one.train(candidates, stops, directory=tmp_path)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.011)  # one of 100 images
    np.testing.assert_array_equal(found.steps, expected.steps)
    assert (expected.scores[1::4] == 0).all()
    assert (expected.scores[0::4, -1] > 0.3).all()


def test_random_keys_in_a_checkpoint_are_the_keys_that_were_saved() -> None:
    keys = jax.random.split(jax.random.key(3), 4)
    raw = blocks.as_raw(keys)
    assert isinstance(np.asarray(raw), np.ndarray)
    again = blocks.as_typed(keys, raw)
    np.testing.assert_array_equal(jax.random.normal(again[2], 5), jax.random.normal(keys[2], 5))


def test_the_newest_checkpoint_is_restored_exactly(tmp_path: Path) -> None:
    checkpoint, like = Checkpoint(tmp_path / "a", "one"), {"x": np.zeros(3, np.float32), "n": np.zeros((), np.int64)}
    assert checkpoint.restore(like) is None
    for number in (1, 2):
        checkpoint.save(number, {"x": np.float32([0.1, np.nan, number]), "n": np.array(7**18)})
    number, arrays = checkpoint.restore(like) or (0, {})
    assert number == 2
    np.testing.assert_array_equal(arrays["x"], np.float32([0.1, np.nan, 2]))
    assert arrays["n"] == 7**18
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["2"]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path, "one").save(1, {"x": np.zeros(3)})
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path))}/1 cannot be used: it is of another training"):
        Checkpoint(tmp_path, "other").restore({"x": np.zeros(3)})


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "one")
    checkpoint.save(1, {"x": np.arange(1000.0)})
    for path in (tmp_path / "1" / "arrays").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path))}/1 cannot be used"):
        checkpoint.restore({"x": np.zeros(1000)})
