"""Losses: a tree with coefficients as a pure function in optax's shape, the zoo of known losses, save and load.

The loss of a sample is minus the sum over classes of f(x, y), where x is the label's entry and y the softmax
output (arXiv 1905.11528, section III). Every loss here is ``loss(logits, labels, axis=-1, where=None)``, returns
one value a sample, and can be jitted, vmapped and differentiated.
"""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from glojax import export, files, grammar, trees
from glojax.messages import quoted, short
from glojax.outputs import OUTPUTS, Output, check_logits, predictions, probabilities, sum_over
from glojax.trees import Tree

SCHEMA = 2
"""Version of the files that ``Loss.save`` writes."""

MAX_FILE_BYTES = 1_000_000
"""Largest loss file that is read; one of ``trees.MAX_NODES`` nodes has a hundredth of it."""

LossFunction = Callable[..., jax.Array]
"""``loss(logits, labels, axis=-1, where=None)``, as ``Loss`` and optax's losses are."""


@dataclass(frozen=True)
class Loss:
    """A loss function: minus the sum over a network's outputs, for softmax the classes, of a tree's values.

    Attributes:
      tree: f(x, y), or an expression that ``trees.parse`` takes; it must hold both ``x`` and ``y``.
      coefficients: factor of each node's value in pre-order, all 1 if left out (arXiv 1905.11528, section III-B).
      protected: use the protected operators of ``grammar.operators``.
      output: what makes y of the network's outputs: ``"softmax"``, ``"sigmoid"``, ``"identity"``, or a function.

    Raises:
      ValueError: an expression that does not parse, a tree without x or y, coefficients of the wrong number or
        not finite numbers, ``protected`` that is no bool, or an unknown output.
    """

    tree: Tree
    coefficients: tuple[float, ...] = ()
    protected: bool = False
    output: Output = "softmax"

    def __post_init__(self) -> None:
        if not isinstance(self.tree, Tree):
            object.__setattr__(self, "tree", trees.parse(self.tree))
        if not self.tree.has_x_and_y:
            raise ValueError(
                f"Loss.tree is {short(self.tree)}; a loss needs both x (the label) and y (the prediction)."
            )
        size = self.tree.size
        try:
            given = tuple(float(value) for value in self.coefficients) or (1.0,) * size
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"Loss.coefficients is {quoted(self.coefficients)}; a finite number for each node is expected."
            ) from error
        if len(given) != size:
            raise ValueError(f"Loss.coefficients has {len(given)} values; {short(self.tree)} has {size} nodes.")
        if wrong := [value for value in given if not math.isfinite(value)]:
            raise ValueError(f"Loss.coefficients holds {wrong[0]}; every value must be finite.")
        object.__setattr__(self, "coefficients", given)
        if not isinstance(self.protected, bool):
            raise ValueError(f"Loss.protected is {quoted(self.protected)}; True or False is allowed.")
        if not callable(self.output) and not (isinstance(self.output, str) and self.output in OUTPUTS):
            raise ValueError(f"Loss.output is {quoted(self.output)}; {', '.join(OUTPUTS)} or a function is allowed.")

    def __call__(
        self, logits: jax.Array, labels: jax.Array, axis: int = -1, where: jax.Array | None = None
    ) -> jax.Array:
        """The loss of every sample.

        Args:
          logits: the network's outputs, floating, ``[..., classes]`` along ``axis``.
          labels: one-hot or soft labels, or targets, of the shape of ``logits``.
          axis: the axis of the classes.
          where: entries to take part, broadcastable to ``logits``, or one for each sample, without ``axis``, as
            in optax; the others are left out of softmax and sum.

        Returns:
          The shape of ``logits`` without ``axis``.

        Raises:
          ValueError: logits that are not floating, no such axis, or labels of another shape; integer labels go to
            ``with_integer_labels``.
        """
        return apply(
            self.tree, self.coefficients, logits, labels, axis, where, protected=self.protected, output=self.output
        )

    def with_integer_labels(
        self, logits: jax.Array, labels: jax.Array, axis: int = -1, where: jax.Array | None = None
    ) -> jax.Array:
        """The same for labels that are class indices: integers of the shape of ``logits`` without ``axis``."""
        logits, labels = jnp.asarray(logits), jnp.asarray(labels)
        check_logits(logits, axis)
        axis %= logits.ndim
        expected = logits.shape[:axis] + logits.shape[axis + 1 :]
        if labels.shape != expected or not jnp.issubdtype(labels.dtype, jnp.integer):
            raise ValueError(
                f"labels is {labels.dtype}{list(labels.shape)}; integers of shape {list(expected)} are expected "
                f"for logits of shape {list(logits.shape)}."
            )
        return self(logits, jax.nn.one_hot(labels, logits.shape[axis], axis=axis, dtype=logits.dtype), axis, where)

    @property
    def tuned(self) -> bool:
        """Whether any coefficient differs from 1."""
        return any(value != 1 for value in self.coefficients)

    def __str__(self) -> str:
        return trees.write(self.tree, lambda node: node.text, self.protected, export.factors(self.coefficients, 6))

    def latex(self) -> str:
        """f(x, y) in LaTeX, coefficients to four digits."""
        return export.to_latex(self.tree, self.coefficients, self.protected)

    def sympy(self) -> Any:
        """f(x, y) as a sympy expression in the symbols ``x`` and ``y`` (needs the extra ``sympy``)."""
        return export.to_sympy(self.tree, self.coefficients, self.protected)

    def to_python(self, name: str = "loss") -> str:
        """Source of a function ``name(logits, labels, axis=-1, where=None)`` that needs only jax."""
        return export.to_python(self.tree, self.coefficients, self.protected, name, self.output)

    def to_torch(self, name: str = "loss") -> str:
        """Source of a function ``name(logits, labels, dim=-1)`` that needs only torch."""
        return export.to_torch(self.tree, self.coefficients, self.protected, name, self.output)

    def to_json(self) -> str:
        """The loss as JSON text, what ``save`` writes.

        Raises:
          ValueError: the output is a function, which no file can hold.
        """
        if callable(self.output):
            raise ValueError("Loss.output is a function, which cannot be saved; save the expression, str(loss.tree).")
        content = {
            "glojax_loss": SCHEMA,
            "expression": str(self.tree),
            "coefficients": list(self.coefficients),
            "protected": self.protected,
            "output": self.output,
        }
        return json.dumps(content, indent=2) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the loss as JSON, atomically; ``load`` reads it back."""
        files.write_atomically(path, self.to_json())


def load(path: str | os.PathLike[str]) -> Loss:
    """The loss that ``Loss.save`` wrote.

    Raises:
      ValueError: not such a file, one of a newer schema, or one of more than ``MAX_FILE_BYTES``; the message names it.
      OSError: the file cannot be read.
    """
    content = files.read_json(path, MAX_FILE_BYTES)
    try:
        return _from_json(content)
    except ValueError as error:
        raise ValueError(f"{short(path)} is not a glojax loss: {error}") from None


def _from_json(content: Any) -> Loss:
    if not isinstance(content, dict):
        raise ValueError(f"it holds {quoted(content)}; an object with entries is expected.")
    schema = _entry(content, "glojax_loss")
    if type(schema) is not int or schema not in (1, SCHEMA):
        raise ValueError(f"schema {quoted(schema)} is not known; this version of glojax reads 1 and {SCHEMA}.")
    tree = trees.parse(_entry(content, "expression"))
    coefficients, protected = _entry(content, "coefficients"), _entry(content, "protected")
    if not isinstance(coefficients, list) or not all(type(value) in (int, float) for value in coefficients):
        raise ValueError(f"coefficients is {quoted(coefficients)}; a list of numbers is expected.")
    output = "softmax" if schema == 1 else _entry(content, "output")  # 1 had no other
    return Loss(tree, tuple(coefficients), protected, output)


def _entry(content: dict[str, Any], name: str) -> Any:
    if name not in content:
        raise ValueError(f"the entry {name!r} is missing.")
    return content[name]


def apply(
    tree: Tree,
    coefficients: Sequence[Any],
    logits: jax.Array,
    labels: jax.Array,
    axis: int = -1,
    where: jax.Array | None = None,
    *,
    protected: bool = False,
    output: Output = "softmax",
) -> jax.Array:
    """``Loss.__call__`` as a function of the coefficients too, which may be traced: for tuning them by gradient."""
    x, y, log_y = predictions(logits, labels, axis, where, output)
    values = jnp.broadcast_to(_evaluate(tree, coefficients, x, y, log_y, protected), y.shape)
    return -sum_over(values, axis, where)


def _evaluate(tree: Tree, coefficients: Sequence[Any], x: Any, y: Any, log_y: Any, protected: bool) -> jax.Array:
    """f(x, y), the logarithm of a power of y taken from ``log_y``: exact where y underflows."""
    rows = {node.symbol: node for node in grammar.operators(protected)}
    factors = iter(coefficients)

    def visit(node: Tree) -> tuple[Any, tuple[Any, float] | None]:
        """The value, and (c, k) where it is c * y**k by construction."""
        factor = next(factors)
        if isinstance(node.symbol, int):
            value = jnp.asarray(node.symbol, y.dtype)
            power = (value, 0.0)
        elif node.symbol == "y":
            value, power = y, (jnp.ones((), y.dtype), 1.0)
        elif node.symbol == "x":
            value, power = x, None
        else:
            value, power = operate(rows[node.symbol], [visit(child) for child in node.children])
        if type(factor) is float and factor == 1:
            return value, power
        return factor * value, power and (factor * power[0], power[1])

    def operate(row: grammar.Node, operands: list[tuple[Any, Any]]) -> tuple[Any, Any]:
        values, powers = zip(*operands, strict=True)
        assert row.value is not None
        if row.symbol == "log" and powers[0] is not None and log_y is not None and not protected:
            constant, exponent = powers[0]
            return jnp.log(constant) + (exponent * log_y if exponent else 0.0), None
        return row.value(jnp, *values), None if protected else export.power(jnp, row, powers)

    return visit(tree)[0]


# THE ZOO


_Term = tuple[Tree, tuple[float, ...]]
"""A part of a loss: a tree and its coefficients."""


def _loss(expression: str, coefficients: Sequence[float] = ()) -> Loss:
    return Loss(trees.parse(expression), tuple(coefficients))


def _term(symbol: str | int, *operands: _Term, factor: float = 1.0) -> _Term:
    children = tuple(tree for tree, _ in operands)
    return Tree(symbol, children), (factor, *(value for _, coefficients in operands for value in coefficients))


def _weighted(*terms: tuple[float, str | _Term]) -> Loss:
    """The weighted sum of terms, each weight the coefficient of the term's root."""
    total: _Term | None = None
    for weight, given in terms:
        tree, (_, *rest) = (trees.parse(given), [1.0] * trees.parse(given).size) if isinstance(given, str) else given
        term = tree, (weight, *rest)
        total = _term("+", total, term) if total else term
    assert total is not None
    return Loss(*total)


cross_entropy = _loss("x * log(y)")
"""Cross-entropy of one-hot or soft labels."""

baikal = _loss("log(y) - x / y")
"""The loss that GLO's search found on MNIST (arXiv 1905.11528, section V)."""

baikal_cma = _loss("log(y) - x / y", (2.7279, 0.9863, 1.5352, -1.1135, 1.3716, -0.8411))
"""Baikal with the coefficients that CMA-ES found (arXiv 1905.11528, section V)."""

focal = _loss("x * (square(1 - y) * log(y))")
"""Focal loss with gamma = 2 (arXiv 1708.02002)."""

brier = _loss("-1 * square(x - y)")
"""Brier score: the squared error of the probabilities, summed over classes."""

mean_absolute_error = _loss("-1 * (x * (1 - y) + (1 - x) * y)")
"""Absolute error of the probabilities, summed over classes: 2 (1 - y) of the true class (arXiv 1712.09482).

Written without an absolute value, whose gradient is NaN where a prediction reaches its label. For soft labels it is the
expectation over one-hot labels drawn from them.
"""

poly = _weighted((1.0, "x * log(y)"), (-2.0, "x * (1 - y)"))
"""PolyLoss with epsilon = 2: cross-entropy plus epsilon times 1 - y of the true class (arXiv 2204.12511)."""

symmetric_cross_entropy = _weighted((0.1, "x * log(y)"), (-4.0, "(1 - x) * y"))
"""0.1 times cross-entropy plus reverse cross-entropy with log 0 taken as -4 (arXiv 1908.06112), for one-hot labels."""


def taylor(centre: tuple[float, float], weights: Sequence[float]) -> Loss:
    """A third-order Taylor polynomial about ``centre``, without what has no gradient (arXiv 2002.00059, section 3).

    The six weights are those of y, y², y³, x y, x y² and x² y, where x and y are taken from the centre. Its 43 nodes
    are the same for all of them, only their coefficients differ.
    """
    x, y = (_term("-", _term(leaf), _term(1, factor=value)) for leaf, value in zip("xy", centre, strict=True))
    xx, yy = _term("square", x), _term("square", y)
    terms = [y, yy, _term("*", yy, y), _term("*", x, y), _term("*", x, yy), _term("*", xx, y)]
    return _weighted(*zip(weights, terms, strict=True))


taylor_mnist = taylor((-10.9408, 7.5216), (8.2896, 0.2415, 7.8726, 8.9666, 2.0184, 7.0513))
"""The loss that TaylorGLO found on MNIST (arXiv 2002.00059)."""


def generalized_cross_entropy(
    logits: jax.Array, labels: jax.Array, axis: int = -1, where: jax.Array | None = None, *, q: float = 0.7
) -> jax.Array:
    """(1 - y^q) / q of the true class (arXiv 1805.07836, equation 6); 0 < q <= 1."""
    x, _, log_y = probabilities(logits, labels, axis, where)
    return sum_over(-x * jnp.expm1(q * log_y) / q, axis, where)


def label_smoothed_cross_entropy(
    logits: jax.Array, labels: jax.Array, axis: int = -1, where: jax.Array | None = None, *, smoothing: float = 0.1
) -> jax.Array:
    """Cross-entropy of labels mixed with the uniform distribution, whose share is ``smoothing``."""
    x, _, log_y = probabilities(logits, labels, axis, where)
    classes = jnp.expand_dims(_count(x, axis, where), axis)
    return -sum_over(((1 - smoothing) * x + smoothing / classes) * log_y, axis, where)


def next_generation(logits: jax.Array, labels: jax.Array, axis: int = -1, where: jax.Array | None = None) -> jax.Array:
    """exp(2.4092 - y - y x) - cos(cos(sin y)), the mean over classes (arXiv 2404.12948)."""
    x, y, _ = probabilities(logits, labels, axis, where)
    values = jnp.exp(2.4092 - y - y * x) - jnp.cos(jnp.cos(jnp.sin(y)))
    return sum_over(values, axis, where) / _count(x, axis, where)


def _count(x: jax.Array, axis: int, where: jax.Array | None) -> jax.Array:
    """Number of classes that take part in each sample; 1 where none does, so that its loss is 0 and not NaN."""
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


def named(text: str, output: Output = "softmax") -> LossFunction:
    """The loss that a person names: one of the zoo, the path of a saved ``.json``, or an expression.

    Trees of the zoo and expressions are made for ``output``.

    Raises:
      ValueError: none of these; the message says where the expression does not parse, and what the zoo holds.
      OSError: the file cannot be read.
    """
    if text in ZOO:
        known = ZOO[text]
        return dataclasses.replace(known, output=output) if isinstance(known, Loss) else known
    if text.endswith(".json"):
        return load(text)
    try:
        return Loss(trees.parse(text), output=output)
    except ValueError as error:
        raise ValueError(f"{error} Known losses are {', '.join(ZOO)}.") from None
