"""One seed, one result: whatever the devices, the groups, or what was computed before."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from glojax import SearchConfig, TuneConfig, search, tune
from glojax.expressions.canonical import canonical
from glojax.tasks.task import Task
from glojax.training import trainer

pytestmark = pytest.mark.slow

CONFIG = SearchConfig(population=10, generations=3, elites=2, seeds=2, finalists=3, final_seeds=2, seed=4)
TUNING = TuneConfig(generations=2, seeds=2, finalists=2, final_seeds=2, seed=4)

SCRIPT = """
import json, sys
sys.path[:0] = sys.argv[1:]
from conftest import tiny_task
from test_determinism import outcome
task = getattr(tiny_task, "__wrapped__", None) or tiny_task.__pytest_wrapped__.obj
print(json.dumps(outcome(task())))
"""


def outcome(task: Task, group: int | None = None) -> dict[str, Any]:
    """The results of a search and a tuning, as JSON has them."""
    found = search(task, CONFIG, group=group)
    tuned = tune(task, found.best, dataclasses.replace(TUNING, rate=found.rate), group=group)
    return {
        "trees": [[str(tree) for tree in generation.trees] for generation in found.generations],
        "fates": [list(generation.fates) for generation in found.generations],
        "fitness": np.concatenate([generation.fitness for generation in found.generations]).tolist(),
        "best": [str(found.best), found.rate],
        "tuning": np.concatenate(tuned.history).tolist(),
        "tuned": list(tuned.loss.coefficients),
    }


@pytest.fixture(scope="module")
def expected(tiny_task: Task) -> dict[str, Any]:
    """The results on two devices, in groups of the default size."""
    assert len(jax.devices()) == 2
    return outcome(tiny_task)


def assert_alike(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal, but scores may differ by one of the 100 validation examples, which rounding can turn."""
    for field in ("trees", "fates", "best"):
        assert found[field] == expected[field]
    for field in ("fitness", "tuning"):
        np.testing.assert_allclose(found[field], expected[field], atol=0.0101)
    np.testing.assert_allclose(found["tuned"], expected["tuned"], rtol=1e-5)


def test_the_same_again_is_the_same_to_the_last_bit(tiny_task: Task, expected: dict[str, Any]) -> None:
    canonical.cache_clear()
    assert outcome(dataclasses.replace(tiny_task)) == expected


@pytest.mark.parametrize("group", [1, 3])
def test_how_many_candidates_train_together_changes_nothing(
    tiny_task: Task, expected: dict[str, Any], group: int
) -> None:
    assert_alike(outcome(dataclasses.replace(tiny_task), group), expected)


def test_one_device_finds_what_two_do(
    tiny_task: Task, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "all_devices", lambda: jax.devices()[:1])
    assert_alike(outcome(dataclasses.replace(tiny_task)), expected)


def test_four_devices_of_another_process_find_what_two_do(expected: dict[str, Any]) -> None:
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "4"}
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(Path(__file__).parents[1])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_alike(json.loads(done.stdout), expected)
