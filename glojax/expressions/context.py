"""What the leaves ``prior`` and ``progress`` stand for.

They are no part of an example: the prior belongs to an output, progress to a moment of a training. Losses without them,
which nearly all are, are computed as if there were no such leaves; a population in which some have them is handed on as
a ``InContext``, whose context a training fills in.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glojax.expressions import grammar
from glojax.expressions.trees import Tree

LEAVES: tuple[str, ...] = tuple(str(row.symbol) for row in grammar.CONTEXT_LEAVES)
"""The names of these leaves, in the order of the fields of ``Context``."""


class Context(NamedTuple):
    """Values of the leaves; each broadcasts to predictions ``[..., outputs]``."""

    prior: Any  # float[outputs], the share of the training labels that each output has
    progress: Any  # float[], steps taken over all steps of a training, from 0 to less than 1; or [..., 1]


class InContext(NamedTuple):
    """Losses of which some have these leaves."""

    program: Any  # a ``programs.Program``, or factors of a tree's nodes
    context: Context  # NaN until a training, or screening, fills it in


def leaves_of(tree: Tree) -> list[str]:
    """The names of these leaves that a tree has."""
    return [name for name in LEAVES if tree.depends_on(name)]


def prepared(trees: Iterable[Tree], program: Any, count: int) -> Any:
    """The program of a population, with a context to be filled in if any of its trees needs one.

    Args:
      trees: the population.
      program: what computes it, with the leading axis ``[count]``.
      count: candidates.
    """
    if not any(leaves_of(tree) for tree in trees):
        return program
    return InContext(program, Context(*(np.full(count, np.nan, np.float32) for _ in LEAVES)))


def filled(program: Any, prior: Any, progress: Any) -> Any:
    """The program with a context; one that takes none stays as it is. ``prior()`` is called only where it is needed."""
    return program._replace(context=Context(prior(), progress)) if isinstance(program, InContext) else program


def parted(program: Any) -> tuple[Any, Context | None]:
    """The program itself, and its context if it takes one."""
    return (program.program, program.context) if isinstance(program, InContext) else (program, None)


def replaced(program: Any, alone: Any) -> Any:
    """What was prepared, with another program of its kind."""
    return program._replace(program=alone) if isinstance(program, InContext) else alone


def on_points(context: Context | None, y: jax.Array) -> Mapping[str, jax.Array]:
    """The leaves by name at predictions ``[outputs, batch]``, each of that shape; of a context of no loss, none."""
    if context is None:
        return {}
    prior, progress = (jnp.asarray(value, y.dtype) for value in context)
    return {
        "prior": jnp.broadcast_to(prior[:, None], y.shape),
        "progress": jnp.broadcast_to(progress, y.shape),
    }
