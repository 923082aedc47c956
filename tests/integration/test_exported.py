"""Exported Python, in a process that can import jax and what jax itself needs, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax import losses
from glojax.losses.loss import Loss

LOSSES = {
    "baikal_cma": losses.baikal_cma,
    "binary": Loss("x * log(y) + (1 - x) * log(1 - y)", output="sigmoid"),
    "numbers": Loss("-1 * square(x - y) + x / (2 + y)", output="identity"),
    "protected": Loss("x * log(y) / (x - y)", protected=True, output="sigmoid"),
}
OUTPUTS = [[0.3, -1.2, 2], [9, -9, 0], [1, 1, 1], [1e4, -1e4, 0], [-1e4, 1e4, 1e4], [100, -100, 0], [-30, 30, 17.5]]
LABELS = [[0, 0, 1], [1, 0, 0], [0.2, 0.5, 0.3], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]

SCRIPT = """
import json, sys

ALLOWED = {"jax", "jaxlib", "numpy", "scipy", "ml_dtypes", "opt_einsum", *sys.stdlib_module_names}

class Only:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ALLOWED or top.startswith(("exported_", "_sysconfigdata_")):
            return self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Only, sys.meta_path)
sys.path.insert(0, sys.argv[1])
import importlib
import jax
import jax.numpy as jnp

for absent in ("glojax", "flax", "optax"):
    try:
        importlib.import_module(absent)
    except ModuleNotFoundError:
        continue
    raise AssertionError(f"{absent} can be imported")
given = json.load(sys.stdin)
outputs, labels = jnp.array(given["outputs"], jnp.float32), jnp.array(given["labels"], jnp.float32)
found = {}
for name in given["names"]:
    loss = importlib.import_module(name).loss
    gradient = jax.jit(jax.grad(lambda outputs: loss(outputs, labels).sum()))(outputs)
    masked = loss(outputs, labels, where=labels < 0.4)
    found[name] = [loss(outputs, labels).tolist(), gradient.tolist(), masked.tolist()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """Values, gradients and values under a mask, of every loss."""
    folder = tmp_path_factory.mktemp("exported")
    for name, loss in LOSSES.items():
        (folder / f"exported_{name}.py").write_text(loss.to_python())
    names = [f"exported_{name}" for name in LOSSES]
    given = json.dumps({"outputs": OUTPUTS, "labels": LABELS, "names": names})
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    ran = subprocess.run(command, input=given, capture_output=True, text=True, cwd=folder, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", LOSSES)
def test_the_source_needs_nothing_but_jax_and_is_the_loss_on_edge_values(name: str, found: dict[str, list]) -> None:
    loss, outputs, labels = LOSSES[name], jnp.array(OUTPUTS, jnp.float32), jnp.array(LABELS, jnp.float32)
    expected = (
        loss(outputs, labels),
        jax.grad(lambda outputs: loss(outputs, labels).sum())(outputs),
        loss(outputs, labels, where=labels < 0.4),
    )
    for ours, theirs in zip(expected, found[f"exported_{name}"], strict=True):
        np.testing.assert_allclose(np.array(theirs, np.float32), ours, rtol=1e-5, atol=1e-6)


def test_the_readme_promises_no_more_than_that() -> None:
    assert "source code that needs only jax" in (Path(__file__).parents[2] / "README.md").read_text()
