"""Losses: a tree with coefficients as a pure function in optax's form, and loss files.

The loss of a sample is minus the sum over classes of f(x, y), where x is an entry of the label and y of the softmax
output (arXiv 1905.11528, section III). A loss is called as ``loss(logits, labels, axis=-1, where=None)``, returns one
value for each sample, and can be jitted, vmapped and differentiated.
"""

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import chex
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from glojax import files
from glojax.errors import quoted, short
from glojax.expressions import export, parsing, source, trees
from glojax.expressions.trees import Tree
from glojax.losses.evaluation import Coefficients, Predicted, evaluate
from glojax.losses.labels import classes_as_targets
from glojax.losses.leaf_values import leaf_values
from glojax.losses.outputs import OUTPUTS, Output, complement, predictions
from glojax.losses.shapes import Axis, sum_over

if TYPE_CHECKING:
    import sympy

SCHEMA = 2
"""Version of the loss files that ``Loss.save`` writes."""

MAX_FILE_BYTES = 1_000_000
"""Largest loss file that is read; ``trees.MAX_NODES`` nodes need a hundredth of it."""

LossFunction = Callable[..., jax.Array]
"""``loss(logits, labels, axis=-1, where=None)``, the form of ``Loss`` and of optax's losses."""


@dataclass(frozen=True)
class Loss:
    """A loss function: minus the sum of f(x, y) over a network's outputs, for softmax the classes.

    Two losses with equal attributes are equal, and a loss can be a dictionary's key.

    Attributes:
      tree: f(x, y), or an expression that ``parsing.parse_with_coefficients`` reads, such as the text of another loss;
        it must contain both ``x`` and ``y``.
      coefficients: the factor of each node's value in pre-order (arXiv 1905.11528, section III-B). Defaults to those in
        the expression, or 1.
      protected: use the protected operators of ``grammar.operators``. Defaults to False.
      output: how y is made of the network's outputs: ``"softmax"``, ``"sigmoid"``, ``"identity"``, or a function that
        keeps the shape. Defaults to softmax.

    Raises:
      ValueError: the expression does not parse, x or y is missing, the coefficients are not one finite number for each
        node, ``protected`` is no bool, or the output is unknown.

    Example:
        loss = Loss("log(y) - x / y")
        loss(logits, labels).mean()  # the mean over the samples
        jax.grad(lambda logits: loss(logits, labels).mean())(logits)
    """

    tree: Tree
    coefficients: tuple[float, ...] = ()
    protected: bool = False
    output: Output = "softmax"

    def __post_init__(self) -> None:
        if not isinstance(self.tree, Tree):
            tree, found = parsing.parse_with_coefficients(self.tree)
            if any(value != 1 for value in found):
                if len(self.coefficients):
                    raise ValueError(
                        f"Loss.coefficients is {quoted(self.coefficients)}, and {quoted(self.tree)} has coefficients "
                        "of its own; only one of them is allowed."
                    )
                object.__setattr__(self, "coefficients", found)
            object.__setattr__(self, "tree", tree)
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
        self,
        logits: ArrayLike,
        labels: ArrayLike,
        axis: Axis = -1,
        where: ArrayLike | None = None,
        *,
        prior: ArrayLike | None = None,
        progress: ArrayLike | None = None,
    ) -> jax.Array:
        """Compute the loss of each sample.

        Args:
          logits: the network's outputs, floating, ``[..., outputs]`` along ``axis``, for softmax the classes. For every
            other output, ``[samples]`` are samples of one output each.
          labels: one-hot or soft labels, or targets, of the shape of ``logits``. They broadcast over samples, from an
            axis of length 1 or from one sample's floating labels.
          axis: the axis of the outputs, several of them, or ``None`` for all. Defaults to the last.
          where: mask of the entries that take part in softmax and sum, broadcastable to ``logits``, or of the samples,
            without ``axis``, as in optax. What the others hold has no influence. Defaults to all.
          prior: for a tree with the leaf ``prior``, the share of the training labels that each output has,
            ``[outputs]``.
          progress: for a tree with the leaf ``progress``, steps taken over all steps, from 0 to 1, one number.

        Returns:
          The losses, at least float32, of the shape of ``logits`` without ``axis``.

        Raises:
          ValueError: the logits are not floating or have no such axis, the labels have another shape, or the mask
            another shape or no booleans, or a leaf of the tree is not given. Class indices go to
            ``with_integer_labels``.
        """
        return apply(
            self.tree,
            self.coefficients,
            logits,
            labels,
            axis,
            where,
            protected=self.protected,
            output=self.output,
            prior=prior,
            progress=progress,
        )

    def with_integer_labels(
        self,
        logits: ArrayLike,
        labels: ArrayLike,
        axis: Axis = -1,
        where: ArrayLike | None = None,
        *,
        prior: ArrayLike | None = None,
        progress: ArrayLike | None = None,
    ) -> jax.Array:
        """Compute the loss of each sample from class indices, or for a sigmoid from labels 0 and 1.

        A label that is no class, such as -1, is no label: its sample has loss 0 and gradient 0, as with ``where``.

        Args:
          logits: the network's outputs, floating, ``[..., outputs]`` along ``axis``.
          labels: integers or booleans, of the shape of ``logits`` without ``axis``: classes from 0, where several axes
            are counted as one. For a sigmoid of one output for each sample they are 0 or 1, and for several outputs
            they may have the shape of ``logits``.
          axis: the axis of the outputs, several of them, or ``None`` for all. Defaults to the last.
          where: mask as in a call of the loss. Defaults to all.
          prior: as in a call of the loss, like ``progress``.
          progress: as there.

        Returns:
          The losses, of the shape of ``logits`` without ``axis``.

        Raises:
          ValueError: the logits are not floating or have no such axis, the labels are no integers of that shape, or
            they are targets of an output that is no probability.
        """
        one_hot, known = classes_as_targets(logits, labels, axis, where, self.output)
        return self(logits, one_hot, axis, known, prior=prior, progress=progress)

    @property
    def tuned(self) -> bool:
        """Whether any coefficient differs from 1."""
        return any(value != 1 for value in self.coefficients)

    def __str__(self) -> str:
        """The expression with coefficients to six digits, which gives the loss back as ``Loss(text)``."""
        return trees.write(
            self.tree, lambda node: node.text, self.protected, export.coefficient_texts(self.coefficients)
        )

    def latex(self) -> str:
        """Write f(x, y) in LaTeX, with coefficients to four digits."""
        return export.to_latex(self.tree, self.coefficients, self.protected)

    def sympy(self) -> "sympy.Expr":
        """Write f(x, y) as a sympy expression in the real symbols ``x`` and ``y``; needs the extra ``sympy``."""
        return export.to_sympy(self.tree, self.coefficients, self.protected)

    def to_python(self, name: str = "loss") -> str:
        """Write the source of ``name(logits, labels, axis=-1, where=None)``, which needs only jax."""
        return source.to_python(self.tree, self.coefficients, self.protected, name, self.output)

    def to_torch(self, name: str = "loss") -> str:
        """Write the source of ``name(logits, labels, dim=-1)``, which needs only torch."""
        return source.to_torch(self.tree, self.coefficients, self.protected, name, self.output)

    def to_json(self) -> str:
        """Write the loss as the JSON text of a loss file.

        Raises:
          ValueError: the output is a function, which a file cannot hold.
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
        """Write a loss file, atomically; ``load`` reads it.

        Args:
          path: the file, which is replaced if it exists; missing folders are made.

        Raises:
          ValueError: the output is a function, which a file cannot hold.
          OSError: the file cannot be written.
        """
        files.write_atomically(path, self.to_json())


def load(path: str | os.PathLike[str]) -> Loss:
    """Read a loss file, which ``Loss.save`` wrote. Nothing in it is executed.

    Args:
      path: the file.

    Raises:
      ValueError: it is no loss file, has a newer schema or more than ``MAX_FILE_BYTES`` bytes; the message names it.
      OSError: the file cannot be read.

    Example:
        loss = load("runs/digits/loss.json")
    """
    content = files.read_json(path, MAX_FILE_BYTES)
    try:
        return _from_json(content)
    except ValueError as error:
        raise ValueError(f"{short(path)} is not a glojax loss: {error}") from None


def _from_json(content: object) -> Loss:
    if not isinstance(content, dict):
        raise ValueError(f"it contains {quoted(content)}; a JSON object is expected.")
    schema = _entry(content, "glojax_loss")
    if type(schema) is not int or schema not in (1, SCHEMA):
        raise ValueError(f"schema {quoted(schema)} is not known; this version of glojax reads 1 and {SCHEMA}.")
    tree = parsing.parse(_entry(content, "expression"))
    coefficients, protected = _entry(content, "coefficients"), _entry(content, "protected")
    if not isinstance(coefficients, list) or not all(type(value) in (int, float) for value in coefficients):
        raise ValueError(f"coefficients is {quoted(coefficients)}; a list of numbers is expected.")
    output = "softmax" if schema == 1 else _entry(content, "output")  # schema 1 had no other
    return Loss(tree, tuple(coefficients), protected, output)


def _entry(content: dict[str, Any], name: str) -> Any:
    if name not in content:
        raise ValueError(f"the entry {name!r} is missing.")
    return content[name]


def apply(
    tree: Tree,
    coefficients: Coefficients,
    logits: ArrayLike,
    labels: ArrayLike,
    axis: Axis = -1,
    where: ArrayLike | None = None,
    *,
    protected: bool = False,
    output: Output = "softmax",
    prior: ArrayLike | None = None,
    progress: ArrayLike | None = None,
) -> jax.Array:
    """Compute the loss of each sample as a function of the coefficients, which may be traced and differentiated.

    Args:
      tree: f(x, y).
      coefficients: the factor of each node's value in pre-order, ``[nodes]``.
      logits: the network's outputs, as in a call of ``Loss``, like ``labels``, ``axis`` and ``where``.
      labels: as there.
      axis: as there.
      where: as there.
      protected: use the protected operators. Defaults to False.
      output: how y is made of the logits. Defaults to softmax.
      prior: as in a call of ``Loss``, like ``progress``.
      progress: as there.

    Returns:
      The losses, of the shape of ``logits`` without ``axis``.

    Raises:
      ValueError: as in a call of ``Loss``; or there are not as many coefficients as nodes, or ``output`` is a function
        that changes the shape.

    Example:
        jax.grad(lambda coefficients: apply(tree, coefficients, logits, labels).mean())(jnp.ones(tree.size))
    """
    if len(coefficients) != tree.size:
        raise ValueError(f"coefficients has {len(coefficients)} values; {short(tree)} has {tree.size} nodes.")
    if output != "softmax" and jnp.ndim(logits) == 1 and axis == -1:
        logits, labels = jnp.asarray(logits)[:, None], _column(labels)
        where = None if where is None else _column(where)
    x, y, log_y = predictions(logits, labels, axis, where, output)
    chex.assert_equal_shape((x, y))
    chex.assert_type((x, y), float)
    leaves = leaf_values(tree, y, axis, prior, progress)
    given = Predicted(x, y, log_y, lambda: complement(logits, axis, where, output), leaves)
    return -sum_over(evaluate(tree, coefficients, given, protected), axis, where)


def _column(values: ArrayLike) -> jax.Array:
    values = jnp.asarray(values)
    return values[:, None] if values.ndim == 1 else values
