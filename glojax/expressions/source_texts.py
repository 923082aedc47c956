"""The parts of an exported module that do not depend on the tree, for jax and for torch.

``Texts`` holds them for one library. Gaps are filled by ``source``. What makes y of the logits depends on the output;
what makes 1 - y is written only for a loss that takes it.
"""

from typing import NamedTuple

from glojax.expressions import grammar

MEANINGS = {
    "softmax": "the softmax of the logits",
    "sigmoid": "the sigmoid of the logits",
    "identity": "the output itself",
}
"""What y is, by output."""

LEAVES = {
    "prior": "the share of the training labels that each output has, [outputs].",
    "progress": "steps taken over all steps of the training, from 0 to 1.",
}
"""What the leaves of a context are."""


class Texts(NamedTuple):
    """Source of one library."""

    module: str
    single: str  # logits [samples], of an output that needs no others
    predictions: dict[str, str]  # y and log_y of z, by output
    complements: dict[str, str]  # 1 - y and its logarithm, by output
    kept: str  # a helper of these
    others: str  # another one, of the complement of softmax
    protected_divide: str
    protected_power: str
    integers: str
    targets: dict[str, str]  # x and which labels are known, by output
    leaves: dict[str, str]  # the leaves of a context as arrays, by name


JAX = Texts(
    module='''"""A loss function found by glojax.

f(x, y) = {formula}
"""

import jax
import jax.numpy as jnp
{helpers}

def {name}(logits, labels, axis=-1, where=None{leaves}):
    """Minus the sum over outputs of f(x, y), where x is the label and y {meaning}.

    Args:
      logits: the network's outputs, floating, [..., outputs] along axis.
      labels: one-hot or soft labels, or targets, of the same shape.
      axis: the axis of the outputs, for softmax the classes.
      where: booleans, the entries that take part, or the samples, without axis.{meanings}

    Returns:
      The loss of each sample, of the shape of logits without axis.
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    if not jnp.issubdtype(logits.dtype, jnp.floating) or labels.shape != logits.shape:
        raise ValueError(f"logits {{logits.shape}} must be floats, and labels {{labels.shape}} have their shape.")
{single}    if where is not None:
        where = jnp.expand_dims(where, axis) if jnp.ndim(where) == logits.ndim - 1 else where
        where = jnp.broadcast_to(where, logits.shape)
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    lowest = jnp.finfo(dtype).min / 4
    x, z = labels.astype(dtype), jnp.clip(logits.astype(dtype), lowest, -lowest)
    {prediction}{values}
    {statements}
    return -jnp.sum(jnp.broadcast_to(f, y.shape), axis=axis, where=where)
{integers}''',
    single="""    if logits.ndim == 1 and axis == -1:  # samples of one output each
        logits, labels, where = logits[:, None], labels[:, None], None if where is None else jnp.asarray(where)[:, None]
""",
    predictions={
        "softmax": """if where is not None:
        x, z = jnp.where(where, x, 0.0), jnp.where(where, z, lowest)
    log_y = jax.nn.log_softmax(z, axis=axis)
    y = kept_exp(log_y){complement}
    if where is not None:
        log_y, y = jnp.where(where, log_y, -1.0), jnp.where(where, y, 0.5)""",
        "sigmoid": """if where is not None:
        x, z = jnp.where(where, x, 0.0), jnp.where(where, z, 0.0)
    log_y = jax.nn.log_sigmoid(z)
    y = kept_exp(log_y, 1 - jnp.finfo(dtype).epsneg){complement}""",
        "identity": """y = z if where is None else jnp.where(where, z, 0.5)
    x = x if where is None else jnp.where(where, x, 0.0)""",
    },
    complements={
        "softmax": """
    log_rest = log_of_the_others(z, axis)
    rest = kept_exp(log_rest)
    if where is not None:
        log_rest, rest = jnp.where(where, log_rest, -1.0), jnp.where(where, rest, 0.5)""",
        "sigmoid": """
    log_rest = jax.nn.log_sigmoid(-z)
    rest = kept_exp(log_rest)""",
    },
    kept='''
def kept_exp(log_y, most=1.0):
    """exp(log_y), kept where 1 / y**2 is finite; its gradient passes as if it were not."""
    kept = jnp.clip(jnp.exp(log_y), jnp.finfo(log_y.dtype).tiny ** 0.45, most)
    return jax.lax.stop_gradient(kept) * jnp.exp(log_y - jax.lax.stop_gradient(log_y))
''',
    others='''
def log_of_the_others(z, axis):
    """log(1 - softmax(z)), which sets the largest logit against all others together."""
    largest = jnp.max(z, axis=axis, keepdims=True)
    is_largest = z == largest
    is_largest &= jnp.sum(is_largest, axis=axis, keepdims=True) == 1
    others = jnp.where(is_largest, jnp.finfo(z.dtype).min / 4, z) - largest
    of_largest = jax.nn.log_sigmoid(jax.nn.logsumexp(others, axis=axis, keepdims=True))
    y = jnp.where(is_largest, 0.5, jnp.exp(jax.nn.log_softmax(z, axis=axis)))
    return jnp.where(is_largest, of_largest, jnp.log1p(-y))
''',
    protected_divide=f'''
def protected_divide(x, y):
    """A quotient whose denominator is kept {grammar.PROTECTION} away from zero."""
    kept = jnp.maximum(jnp.abs(y), {grammar.PROTECTION})
    return x / jnp.where(y < 0, -kept, kept)
''',
    protected_power=f'''
def protected_power(x, y):
    """A power of a base kept {grammar.PROTECTION} away from zero, which is at most {grammar.LARGEST}."""
    kept = jnp.maximum(jnp.abs(x), {grammar.PROTECTION})
    fits = y * jnp.log(kept) < {grammar.LARGEST_EXPONENT}
    return jnp.where(fits, kept ** jnp.where(fits, y, 0.0), {grammar.LARGEST})
''',
    integers='''

def {name}_with_integer_labels(logits, labels, axis=-1, where=None{leaves}):
    """The loss of each sample from class indices; a label that is no class, such as -1, has loss 0 and gradient 0.

    Args:
      logits: as above, like axis and where.
      labels: integers of the shape of logits without axis{also}.
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    place = axis % logits.ndim
    samples = logits.shape[:place] + logits.shape[place + 1 :]
    if not jnp.issubdtype(labels.dtype, jnp.integer) or labels.shape not in {shapes}:
        raise ValueError(f"labels {{labels.dtype}}{{labels.shape}} must be integers of shape {{samples}}.")
    labels = labels.astype(jnp.int32)
    {targets}
    if where is not None:
        known &= jnp.expand_dims(where, axis) if jnp.ndim(where) == logits.ndim - 1 else where
    return {name}(logits, x, axis, known{passed})
''',
    targets={
        "softmax": """x = jax.nn.one_hot(labels, logits.shape[axis], axis=axis, dtype=logits.dtype)
    known = jnp.expand_dims((labels >= 0) & (labels < logits.shape[axis]), axis)""",
        "sigmoid": """if labels.size == logits.size:  # 0 or 1 for each output
        x = labels.reshape(logits.shape)
        known = (x == 0) | (x == 1)
    else:
        x = jax.nn.one_hot(labels, logits.shape[axis], axis=axis, dtype=logits.dtype)
        known = jnp.expand_dims((labels >= 0) & (labels < logits.shape[axis]), axis)""",
    },
    leaves={
        "prior": """
    prior = jnp.asarray(prior, dtype).reshape([-1 if place == axis % z.ndim else 1 for place in range(z.ndim)])""",
        "progress": """
    progress = jnp.asarray(progress, dtype)""",
    },
)
"""Needs only jax."""

TORCH = Texts(
    module='''"""A loss function found by glojax.

f(x, y) = {formula}
"""

import torch
{helpers}

def {name}(logits, labels, dim=-1, where=None{leaves}):
    """Minus the sum over outputs of f(x, y), where x is the label and y {meaning}.

    Args:
      logits: the network's outputs, floating, [..., outputs] along dim.
      labels: one-hot or soft labels, or targets, of the same shape.
      dim: the dimension of the outputs, for softmax the classes.
      where: booleans, the entries that take part, or the samples, without dim.{meanings}

    Returns:
      The loss of each sample, of the shape of logits without dim.
    """
    if not logits.is_floating_point() or labels.shape != logits.shape:
        raise ValueError(f"logits {{logits.shape}} must be floats, and labels {{labels.shape}} have their shape.")
{single}    if where is not None:
        where = (where.unsqueeze(dim) if where.dim() == logits.dim() - 1 else where).expand(logits.shape)
    dtype = torch.promote_types(logits.dtype, torch.float32)
    lowest = torch.finfo(dtype).min / 4
    x, z = labels.to(dtype), logits.to(dtype).clamp(lowest, -lowest)
    {prediction}{values}
    {statements}
    f = torch.broadcast_to(f, y.shape)
    return -torch.sum(f if where is None else torch.where(where, f, 0.0), dim=dim)
{integers}''',
    single="""    if logits.dim() == 1 and dim == -1:  # samples of one output each
        logits, labels, where = logits[:, None], labels[:, None], None if where is None else where[:, None]
""",
    predictions={
        "softmax": """if where is not None:
        x, z = torch.where(where, x, 0.0), torch.where(where, z, lowest)
    log_y = torch.log_softmax(z, dim=dim)
    y = kept_exp(log_y){complement}
    if where is not None:
        log_y, y = torch.where(where, log_y, -1.0), torch.where(where, y, 0.5)""",
        "sigmoid": """if where is not None:
        x, z = torch.where(where, x, 0.0), torch.where(where, z, 0.0)
    log_y = torch.nn.functional.logsigmoid(z)
    y = kept_exp(log_y, 1 - torch.finfo(dtype).eps / 2){complement}""",
        "identity": """y = z if where is None else torch.where(where, z, 0.5)
    x = x if where is None else torch.where(where, x, 0.0)""",
    },
    complements={
        "softmax": """
    log_rest = log_of_the_others(z, dim)
    rest = kept_exp(log_rest)
    if where is not None:
        log_rest, rest = torch.where(where, log_rest, -1.0), torch.where(where, rest, 0.5)""",
        "sigmoid": """
    log_rest = torch.nn.functional.logsigmoid(-z)
    rest = kept_exp(log_rest)""",
    },
    kept='''
def kept_exp(log_y, most=1.0):
    """exp(log_y), kept where 1 / y**2 is finite; its gradient passes as if it were not."""
    kept = torch.exp(log_y).clamp(torch.finfo(log_y.dtype).tiny ** 0.45, most)
    return kept.detach() * torch.exp(log_y - log_y.detach())
''',
    others='''
def log_of_the_others(z, dim):
    """log(1 - softmax(z)), which sets the largest logit against all others together."""
    largest = torch.amax(z, dim=dim, keepdim=True)
    is_largest = z == largest
    is_largest = is_largest & (is_largest.sum(dim=dim, keepdim=True) == 1)
    others = torch.where(is_largest, torch.finfo(z.dtype).min / 4, z) - largest
    of_largest = torch.nn.functional.logsigmoid(torch.logsumexp(others, dim=dim, keepdim=True))
    y = torch.where(is_largest, 0.5, torch.exp(torch.log_softmax(z, dim=dim)))
    return torch.where(is_largest, of_largest, torch.log1p(-y))
''',
    protected_divide=f'''
def protected_divide(x, y):
    """A quotient whose denominator is kept {grammar.PROTECTION} away from zero."""
    kept = torch.maximum(torch.abs(y), {grammar.PROTECTION} * torch.ones_like(y))
    return x / torch.where(y < 0, -kept, kept)
''',
    protected_power=f'''
def protected_power(x, y):
    """A power of a base kept {grammar.PROTECTION} away from zero, which is at most {grammar.LARGEST}."""
    kept = torch.maximum(torch.abs(x), {grammar.PROTECTION} * torch.ones_like(x))
    fits = y * torch.log(kept) < {grammar.LARGEST_EXPONENT}
    return torch.where(fits, kept ** torch.where(fits, y, 0.0), {grammar.LARGEST})
''',
    integers='''

def {name}_with_integer_labels(logits, labels, dim=-1, where=None{leaves}):
    """The loss of each sample from class indices; a label that is no class, such as -1, has loss 0 and gradient 0.

    Args:
      logits: as above, like dim and where.
      labels: integers of the shape of logits without dim{also}.
    """
    place = dim % logits.dim()
    samples = logits.shape[:place] + logits.shape[place + 1 :]
    if labels.is_floating_point() or labels.dtype == torch.bool or labels.shape not in {shapes}:
        raise ValueError(f"labels {{labels.dtype}}{{labels.shape}} must be integers of shape {{samples}}.")
    {targets}
    if where is not None:
        known = known & (where.unsqueeze(dim) if where.dim() == logits.dim() - 1 else where)
    return {name}(logits, x, dim, known{passed})
''',
    targets={
        "softmax": """known = (labels >= 0) & (labels < logits.shape[dim])
    x = torch.nn.functional.one_hot(torch.where(known, labels, 0).long(), logits.shape[dim]).movedim(-1, dim)
    known = known.unsqueeze(dim)""",
        "sigmoid": """if labels.numel() == logits.numel():  # 0 or 1 for each output
        x = labels.reshape(logits.shape)
        known = (x == 0) | (x == 1)
    else:
        known = (labels >= 0) & (labels < logits.shape[dim])
        x = torch.nn.functional.one_hot(torch.where(known, labels, 0).long(), logits.shape[dim]).movedim(-1, dim)
        known = known.unsqueeze(dim)""",
    },
    leaves={
        "prior": """
    prior = torch.as_tensor(prior, dtype=dtype, device=z.device)
    prior = prior.reshape([-1 if place == dim % z.dim() else 1 for place in range(z.dim())])""",
        "progress": """
    progress = torch.as_tensor(progress, dtype=dtype, device=z.device)""",
    },
)
"""Needs only torch."""
