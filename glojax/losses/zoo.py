"""The known losses, and losses by name.

Losses that are trees are values of ``Loss`` and can be tuned and exported. The others are functions of the same form.
"""

import dataclasses
import functools
import inspect
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from glojax.expressions import parsing
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss, LossFunction, load
from glojax.losses.outputs import OUTPUTS, Output, probabilities
from glojax.losses.shapes import Axis, output_axes, sum_over
from glojax.losses.zoo_of_numbers import ZOO_OF_NUMBERS

_Term = tuple[Tree, tuple[float, ...]]
"""A term of a loss: a tree and its coefficients."""


def _loss(expression: str, coefficients: Sequence[float] = ()) -> Loss:
    return Loss(parsing.parse(expression), tuple(coefficients))


def _term(symbol: str | int, *operands: _Term, factor: float = 1.0) -> _Term:
    children = tuple(tree for tree, _ in operands)
    return Tree(symbol, children), (factor, *(value for _, coefficients in operands for value in coefficients))


def _weighted(*terms: tuple[float, str | _Term]) -> Loss:
    """Make the weighted sum of terms, where each weight is the coefficient of its term's root."""
    total: _Term | None = None
    for weight, given in terms:
        tree, (_, *rest) = parsing.parse_with_coefficients(given) if isinstance(given, str) else given
        term = tree, (weight, *rest)
        total = _term("+", total, term) if total else term
    assert total is not None
    return Loss(*total)


cross_entropy = _loss("x * log(y)")
"""Cross-entropy of one-hot or soft labels."""

baikal = _loss("log(y) - x / y")
"""Baikal, which GLO's search found on MNIST (arXiv 1905.11528, section V)."""

baikal_cma = _loss("log(y) - x / y", (2.7279, 0.9863, 1.5352, -1.1135, 1.3716, -0.8411))
"""Baikal with the coefficients that CMA-ES found (arXiv 1905.11528, section V)."""

focal = _loss("x * (square(1 - y) * log(y))")
"""Focal loss with gamma 2 (arXiv 1708.02002)."""

brier = _loss("-1 * square(x - y)")
"""Brier score: the squared error of the probabilities, summed over the classes."""

mean_absolute_error = _loss("-1 * (x * (1 - y) + (1 - x) * y)")
"""Absolute error of the probabilities, summed over the classes: 2 (1 - y) of the true class (arXiv 1712.09482).

It has no absolute value, whose gradient would be NaN where a prediction reaches its label. For soft labels it is the
expected loss of one-hot labels drawn from them.
"""

poly = _weighted((1.0, "x * log(y)"), (-2.0, "x * (1 - y)"))
"""PolyLoss with epsilon 2: cross-entropy plus epsilon times 1 - y of the true class (arXiv 2204.12511)."""

symmetric_cross_entropy = _weighted((0.1, "x * log(y)"), (-4.0, "(1 - x) * y"))
"""0.1 times cross-entropy plus reverse cross-entropy, where log 0 is -4 (arXiv 1908.06112); for one-hot labels."""


def taylor(centre: tuple[float, float], weights: Sequence[float]) -> Loss:
    """Make a third-order Taylor polynomial of TaylorGLO, without the terms that have no gradient.

    The formula is in arXiv 2002.00059, section 3. All these polynomials have the same tree of 43 nodes and differ only
    in its coefficients.

    Args:
      centre: the point (x, y) of the expansion.
      weights: six weights, of y, y², y³, x y, x y² and x² y, where x and y are measured from the centre.
    """
    x, y = (_term("-", _term(leaf), _term(1, factor=value)) for leaf, value in zip("xy", centre, strict=True))
    xx, yy = _term("square", x), _term("square", y)
    terms = [y, yy, _term("*", yy, y), _term("*", x, y), _term("*", x, yy), _term("*", xx, y)]
    return _weighted(*zip(weights, terms, strict=True))


taylor_mnist = taylor((-10.9408, 7.5216), (8.2896, 0.2415, 7.8726, 8.9666, 2.0184, 7.0513))
"""The loss that TaylorGLO found on MNIST (arXiv 2002.00059)."""


def generalized_cross_entropy(
    logits: jax.Array, labels: jax.Array, axis: Axis = -1, where: jax.Array | None = None, *, q: float = 0.7
) -> jax.Array:
    """Generalized cross-entropy: (1 - y^q) / q of the true class (arXiv 1805.07836, equation 6).

    Args:
      logits: the network's outputs, floating, ``[..., classes]`` along ``axis``.
      labels: one-hot or soft labels of the same shape.
      axis: the axis of the classes. Defaults to the last.
      where: mask as in a call of ``Loss``. Defaults to all.
      q: from cross-entropy, near 0, to absolute error, at 1; 0 < q <= 1. Defaults to 0.7.

    Returns:
      The loss of each sample.
    """
    x, _, log_y = probabilities(logits, labels, axis, where)
    return sum_over(-x * jnp.expm1(q * log_y) / q, axis, where)


def label_smoothed_cross_entropy(
    logits: jax.Array, labels: jax.Array, axis: Axis = -1, where: jax.Array | None = None, *, smoothing: float = 0.1
) -> jax.Array:
    """Cross-entropy of labels that are mixed with the uniform distribution over the classes.

    Args:
      logits: as in ``generalized_cross_entropy``, like the arguments that are not listed.
      labels: as there.
      axis: as there.
      where: as there.
      smoothing: share of the uniform distribution, in [0, 1]. Defaults to 0.1.

    Returns:
      The loss of each sample.
    """
    x, _, log_y = probabilities(logits, labels, axis, where)
    classes = jnp.expand_dims(_count(x, axis, where), output_axes(x, axis))
    return -sum_over(((1 - smoothing) * x + smoothing / classes) * log_y, axis, where)


def class_weighted_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    axis: int = -1,
    where: jax.Array | None = None,
    *,
    weights: Sequence[float],
) -> jax.Array:
    """Cross-entropy in which each class has a weight.

    Args:
      logits: as in ``generalized_cross_entropy``, like the arguments that are not listed.
      labels: as there.
      axis: the axis of the classes, a single one. Defaults to the last.
      where: as there.
      weights: a factor for each class.

    Returns:
      The loss of each sample.
    """
    x, _, log_y = probabilities(logits, labels, axis, where)
    factors = jnp.asarray(weights, x.dtype).reshape([-1 if place == axis % x.ndim else 1 for place in range(x.ndim)])
    return -sum_over(factors * x * log_y, axis, where)


def next_generation(logits: jax.Array, labels: jax.Array, axis: Axis = -1, where: jax.Array | None = None) -> jax.Array:
    """Next-generation loss: the mean over the classes of exp(2.4092 - y - y x) - cos(cos(sin y)) (arXiv 2404.12948)."""
    x, y, _ = probabilities(logits, labels, axis, where)
    values = jnp.exp(2.4092 - y - y * x) - jnp.cos(jnp.cos(jnp.sin(y)))
    return sum_over(values, axis, where) / _count(x, axis, where)


def _count(x: jax.Array, axis: Axis, where: jax.Array | None) -> jax.Array:
    """Count the classes that take part in each sample; 1 if none does, so that the loss is 0 and not NaN."""
    return jnp.maximum(sum_over(jnp.ones_like(x), axis, where), 1)


ZOO: dict[str, LossFunction] = {
    "cross_entropy": cross_entropy,
    "baikal": baikal,
    "baikal_cma": baikal_cma,
    "focal": focal,
    "brier": brier,
    "mean_absolute_error": mean_absolute_error,
    "poly": poly,
    "symmetric_cross_entropy": symmetric_cross_entropy,
    "taylor_mnist": taylor_mnist,
    "generalized_cross_entropy": generalized_cross_entropy,
    "label_smoothed_cross_entropy": label_smoothed_cross_entropy,
    "next_generation": next_generation,
}
"""The known losses by name."""


OF_SOFTMAX = (
    generalized_cross_entropy,
    label_smoothed_cross_entropy,
    class_weighted_cross_entropy,
    next_generation,
)
"""The functions among them, which take softmax of the logits themselves."""


def output_of(loss: LossFunction) -> Output | None:
    """The output that a loss is made for: its own, that of a known function, ``None`` for what is not known.

    ``functools.partial`` and wrappers that name what they wrap, such as ``jax.jit``, are looked through.
    """
    inner = inspect.unwrap(loss)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    if isinstance(inner, Loss):
        return inner.output
    if any(inner is known for known in ZOO_OF_NUMBERS.values()):
        return "identity"
    return "softmax" if any(inner is known for known in OF_SOFTMAX) else None


def loss_by_name(text: str, output: Output = "softmax") -> LossFunction:
    """Look up a loss: by a name in ``ZOO`` or ``ZOO_OF_NUMBERS``, by the path of a loss file, or by an expression.

    Args:
      text: the name, the path, which ends in ``.json``, or the expression.
      output: the output that known losses and expressions are made for. Defaults to softmax.

    Returns:
      A ``Loss``, or a function of the same form.

    Raises:
      ValueError: it is none of these; the message says where the expression does not parse and lists the known losses.
        Or it is a function of softmax, or of numbers, and the output is another.
      OSError: the file cannot be read.

    Example:
        loss_by_name("baikal") == loss_by_name("log(y) - x / y")
    """
    if text in ZOO:
        known = ZOO[text]
        if known in OF_SOFTMAX and output in OUTPUTS and output != "softmax":
            trees_of_it = ", ".join(name for name, loss in ZOO.items() if isinstance(loss, Loss))
            raise ValueError(f"{text} is a loss of softmax outputs, not of {output!r}; {trees_of_it} are of any.")
        return dataclasses.replace(known, output=output) if isinstance(known, Loss) else known
    if text in ZOO_OF_NUMBERS:
        if output in ("softmax", "sigmoid"):
            raise ValueError(f"{text} is a loss of numbers, whose output is the identity, not of {output!r}.")
        known = ZOO_OF_NUMBERS[text]
        return known if output == "identity" else functools.partial(known, output=output)
    if text.endswith(".json"):
        return load(text)
    try:
        return Loss(*parsing.parse_with_coefficients(text), output=output)
    except ValueError as error:
        raise ValueError(f"{error} Known losses are {', '.join([*ZOO, *ZOO_OF_NUMBERS])}.") from None
