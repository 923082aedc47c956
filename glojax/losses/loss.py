"""Losses: a tree with coefficients as a pure function in optax's shape, the zoo of known losses, save and load.

The loss of a sample is minus the sum over classes of f(x, y), where x is the label's entry and y the softmax
output (arXiv 1905.11528, section III). Every loss here is ``loss(logits, labels, axis=-1, where=None)``, returns
one value a sample, and can be jitted, vmapped and differentiated.
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from glojax import files
from glojax.errors import quoted, short
from glojax.expressions import export, grammar, source, trees
from glojax.expressions.trees import Tree
from glojax.losses.outputs import OUTPUTS, Output, check_logits, predictions, sum_over

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
        return source.to_python(self.tree, self.coefficients, self.protected, name, self.output)

    def to_torch(self, name: str = "loss") -> str:
        """Source of a function ``name(logits, labels, dim=-1)`` that needs only torch."""
        return source.to_torch(self.tree, self.coefficients, self.protected, name, self.output)

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
        return row.value(jnp, *values), None if protected else grammar.power(jnp, row, powers)

    return visit(tree)[0]
