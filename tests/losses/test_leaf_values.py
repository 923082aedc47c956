"""Losses with the leaves prior and progress: their values, and what a call without them says."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from glojax.losses.leaf_values import leaf_values
from glojax.losses.loss import Loss, load

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
CLASSES = np.array([[0, 3, 1], [2, 2, -1]])
PRIOR = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
LOSS = Loss("x * log(y) * progress - prior * square(y)")
BY_HAND = jnp.where(
    CLASSES >= 0,
    -(
        0.25 * jax.nn.one_hot(CLASSES, 4) * jax.nn.log_softmax(LOGITS) - PRIOR * jnp.square(jax.nn.softmax(LOGITS))
    ).sum(axis=-1),
    0,
)  # fmt: skip


def test_values() -> None:
    found = LOSS.with_integer_labels(LOGITS, CLASSES, prior=PRIOR, progress=0.25)
    np.testing.assert_allclose(found, BY_HAND, rtol=1e-5)
    one_hot = np.array(jax.nn.one_hot(CLASSES, 4))
    moved = LOSS(np.moveaxis(LOGITS, -1, 0), np.moveaxis(one_hot, -1, 0), 0, prior=PRIOR, progress=jnp.float32(0.25))
    np.testing.assert_allclose(moved[CLASSES >= 0], BY_HAND[CLASSES >= 0], rtol=1e-5)


def test_values_of_several_axes() -> None:
    prior = np.arange(12.0).reshape(4, 3)
    found = leaf_values(LOSS.tree, jnp.asarray(LOGITS), (2, 1), prior, 0.5)
    np.testing.assert_array_equal(jnp.broadcast_to(found["prior"], LOGITS.shape), np.stack([prior.T] * 2))


def test_the_exported_source_takes_them() -> None:
    names: dict[str, Any] = {}
    exec(LOSS.to_python("found"), names)
    found = names["found_with_integer_labels"](LOGITS, CLASSES, prior=PRIOR, progress=0.25)
    np.testing.assert_allclose(found, BY_HAND, rtol=1e-5)
    compile(LOSS.to_torch("found"), "found.py", "exec")
    assert "def found(logits, labels, dim=-1, where=None, *, prior, progress):" in LOSS.to_torch("found")


def test_texts_and_files_give_the_loss_back(tmp_path: Any) -> None:
    assert Loss(str(LOSS)) == LOSS
    LOSS.save(tmp_path / "loss.json")
    assert load(tmp_path / "loss.json") == LOSS
    assert LOSS.latex() == r"x \, \log\left(y\right) \, \mathrm{progress} - \mathrm{prior} \, y^{2}"
    symbols = {symbol.name: symbol for symbol in LOSS.sympy().free_symbols}
    x, y, prior, progress = (symbols[name] for name in ("x", "y", "prior", "progress"))
    assert LOSS.sympy() == x * sympy.log(y) * progress - prior * y**2


def test_a_loss_without_them_takes_them_all_the_same() -> None:
    plain, labels = Loss("x * log(y)"), np.array(jax.nn.one_hot(CLASSES, 4))
    np.testing.assert_array_equal(plain(LOGITS, labels, progress=0.5, prior=PRIOR), plain(LOGITS, labels))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"has the leaf prior; call the loss with prior="),
        ({"prior": PRIOR}, r"has the leaf progress; call the loss with progress="),
        ({"prior": PRIOR[:3], "progress": 0.1}, r"prior has shape \[3\]; \[4\] is expected"),
        ({"prior": PRIOR, "progress": np.ones(2)}, r"progress has shape \[2\]; one number is expected"),
    ],
)
def test_what_is_missing_or_wrong_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LOSS.with_integer_labels(LOGITS, CLASSES, **given)
