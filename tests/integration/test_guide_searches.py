"""The four searches of the guide on dense, several and given inputs, each with few candidates, and what they export."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import glojax

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
CONFIG = glojax.SearchConfig(population=4, generations=1, elites=1, finalists=1, final_seeds=1, breeding=False)


def task_of(mark: str) -> glojax.Task:
    """The task that the guide's block with this text makes."""
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL) if mark in block]
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code.partition("\nprint(")[0], mark, "exec"), names)
    return names["task"]() if callable(names["task"]) else names["task"]


@pytest.mark.slow
@pytest.mark.parametrize("mark", ["# unet.py", "# characters.py", "def table(", "# head.py"])
def test_a_search_of_the_guide_finds_a_loss_whose_source_is_equal_on_its_outputs(mark: str) -> None:
    task = task_of(mark)
    loss = glojax.search(task, CONFIG).loss
    source: dict[str, Any] = {}
    exec(compile(loss.to_python(), "<export>", "exec"), source)
    shape = (3, *task.positions, task.outputs)
    outputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    labels = jax.nn.one_hot(np.arange(np.prod(shape[:-1])).reshape(shape[:-1]) % task.outputs, task.outputs)
    where = jnp.arange(np.prod(shape[:-1])).reshape(shape[:-1]) % 3 > 0
    expected = loss(outputs, labels, where=where)
    assert expected.shape == shape[:-1]
    np.testing.assert_allclose(source["loss"](outputs, labels, where=where), expected, rtol=1e-4, atol=1e-5)
