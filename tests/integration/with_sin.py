"""What is expected of glojax with the operator sin: run by ``test_operator.py`` on a copy with that row put in.

Prints, as JSON, the file of the package that was checked and what failed by the name of the check, empty if nothing.
"""

import functools
import sys
import tempfile
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sympy

import glojax
from glojax import platforms
from glojax.expressions import canonical, coefficients, grammar, interpreter_kernels, programs, trees

TEXT = "x * sin(y) - sin(2 * y - x) / 2"
Y = np.array([[0.05, 0.2, 0.75], [1e-6, 0.5, 0.499999]])
X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
OUTPUTS = np.log(Y)
PREDICTIONS = np.exp(OUTPUTS) / np.exp(OUTPUTS).sum(axis=1, keepdims=True)


def by_hand(x: Any, y: Any, xp: Any = np) -> Any:
    """What ``TEXT`` says."""
    return x * xp.sin(y) - xp.sin(2 * y - x) / 2


def loss_by_hand(outputs: Any) -> Any:
    """The loss of ``TEXT`` in jax."""
    return -by_hand(X, jax.nn.softmax(outputs), jnp).sum(axis=-1)


def parsing_and_printing() -> None:
    tree = glojax.parse(TEXT)
    assert str(tree) == TEXT
    assert [node.symbol for node in tree.nodes()].count("sin") == 2
    with pytest.raises(ValueError, match="sine"):
        glojax.parse("sine(y)")


def latex_and_sympy() -> None:
    loss = glojax.Loss("x * sin(y)")
    assert loss.latex() == r"x \, \sin\left(y\right)"
    x, y = sympy.symbols("x y", real=True)
    assert loss.sympy() == x * sympy.sin(y)
    value = sympy.lambdify((x, y), glojax.Loss(TEXT).sympy(), "numpy")
    np.testing.assert_allclose(value(X, Y), by_hand(X, Y), rtol=1e-14)


def growth_draws_it_by_its_weight() -> None:
    random = np.random.default_rng(0)
    drawn = [trees.draw_symbol(random) for _ in range(4000)]
    (row,) = (node for node in grammar.NODES if node.symbol == "sin")
    share = row.weight / sum(node.weight for node in grammar.NODES)
    assert abs(drawn.count("sin") / 4000 - share) < 4 * (share / 4000) ** 0.5
    assert any(node.symbol == "sin" for _ in range(50) for node in trees.grow(random, 3).nodes())
    found = [str(tree) for tree in trees.enumerate_trees(1)]
    assert {"sin(x)", "sin(y)", "sin(1)", "sin(-1)"} <= set(found)
    assert len(found) == trees.count_trees(1)


def compute_as_on(platform: str, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(platforms, "choose", lambda *arguments, **forms: forms[platform](*arguments))
    for name in ("on_gpu", "on_tpu"):
        patch.setattr(interpreter_kernels, name, functools.partial(getattr(interpreter_kernels, name), interpret=True))
    programs._sweep.cache_clear()


def interpreter() -> None:
    tree, factors = glojax.parse(TEXT), np.random.default_rng(1).uniform(0.5, 2, glojax.parse(TEXT).size)
    with jax.enable_x64(True):
        for given in (None, factors):
            program = jax.tree.map(lambda leaf: leaf[0], programs.encode([tree], [given], dtype=np.float64))

            def function(y: Any, given: Any = given) -> Any:
                return trees.evaluate(tree, jnp.asarray(X), y, jnp, coefficients=given)

            for platform in ("cpu", "gpu", "tpu"):
                with pytest.MonkeyPatch.context() as patch:
                    compute_as_on(platform, patch)
                    value, slope = programs.value_and_slope(program, jnp.asarray(X), jnp.asarray(Y))
                np.testing.assert_allclose(value, trees.evaluate(tree, X, Y, np, coefficients=given), rtol=1e-12)
                expected = jax.grad(lambda y, function=function: function(y).sum())(jnp.asarray(Y))
                np.testing.assert_allclose(slope, expected, rtol=1e-12)
        np.testing.assert_allclose(trees.evaluate(tree, X, Y, np), by_hand(X, Y), rtol=1e-14)


def compiled_loss() -> None:
    for protected in (False, True):
        compare_with_jax(glojax.Loss(TEXT, protected=protected))


def compare_with_jax(loss: glojax.Loss) -> None:
    with jax.enable_x64(True):
        given = jnp.asarray(OUTPUTS)
        np.testing.assert_allclose(jax.jit(loss)(given, jnp.asarray(X)), loss_by_hand(given), rtol=1e-12)
        gradient = jax.grad(lambda outputs: loss(outputs, jnp.asarray(X)).sum())(given)
        np.testing.assert_allclose(gradient, jax.grad(lambda outputs: loss_by_hand(outputs).sum())(given), rtol=1e-10)


def executed(source: str) -> Any:
    names: dict[str, Any] = {}
    exec(source, names)
    return names["loss"]


def export_to_python() -> None:
    source = glojax.Loss(TEXT).to_python()
    assert "jnp.sin" in source
    np.testing.assert_allclose(executed(source)(OUTPUTS, X), loss_by_hand(OUTPUTS), rtol=1e-5)


def export_to_torch() -> None:
    if find_spec("torch") is None:
        return
    import torch

    value = executed(glojax.Loss(TEXT).to_torch())(torch.tensor(OUTPUTS), torch.tensor(X))
    np.testing.assert_allclose(value.numpy(), -by_hand(X, PREDICTIONS).sum(axis=-1), rtol=1e-10)


def canonical_form() -> None:
    form = canonical.canonical(glojax.parse("sin(y) * 1 + sin(y + 0)"))
    assert form == canonical.canonical(glojax.parse("2 * sin(y)"))
    assert str(form) == "2 * sin(y)"
    # sin may vanish: it cancels nowhere.
    assert str(canonical.canonical(glojax.parse("sin(y) / sin(y)"))) == "sin(y) / sin(y)"
    # The sum's factor and the leaf's, which shapes the curve, are told apart; the node's own is the sum's.
    assert coefficients.identifiable_coefficients(glojax.parse("sin(y)")) == (0, 1)


def saving_and_loading() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "loss.json"
        loss = glojax.Loss(TEXT, tuple(np.linspace(0.5, 1.5, glojax.parse(TEXT).size)), output="sigmoid")
        loss.save(path)
        assert glojax.load(path) == loss


def a_search() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 4)).astype(np.float32)
    part = (x, (x[:, 0] > 0).astype(np.int32))
    task = glojax.Task(glojax.models.MLP((8, 2)), part, part, optimizer=optax.sgd(0.1), batch_size=20, steps=10)
    config = glojax.SearchConfig(
        population=24, generations=2, elites=2, seeds=1, finalists=2, final_seeds=2, fair_rates=False, screening=(),
        max_nodes=16,
    )  # fmt: skip
    found = glojax.search(task, config)
    bred = [tree for generation in found.generations for tree in generation.trees]
    assert any(node.symbol == "sin" for tree in bred for node in tree.nodes())
    assert found.fitness > 0.5
    ours, theirs = glojax.evaluate(task, [TEXT, lambda outputs, labels: -by_hand(
        labels, jax.nn.softmax(outputs), jnp).sum(axis=-1)], 3)  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


ALL = (
    parsing_and_printing, latex_and_sympy, growth_draws_it_by_its_weight, interpreter, compiled_loss, export_to_python,
    export_to_torch, canonical_form, saving_and_loading, a_search,
)  # fmt: skip
CHECKS = {check.__name__: check for check in ALL}

if __name__ == "__main__":
    import json

    failed = {}
    for name, check in CHECKS.items():
        try:
            check()
        except Exception:
            failed[name] = traceback.format_exc()
    json.dump({"package": str(Path(glojax.__file__).parent), "failed": failed}, sys.stdout)
