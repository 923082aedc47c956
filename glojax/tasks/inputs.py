"""Inputs of a task: one array ``[examples, ...]``, or a tree of them.

A tree is a dict with names, a tuple or a NamedTuple, of arrays or of other trees; the first axis of every array is that
of the examples. In a tree every array keeps what it is: floats are float32, integers int32 and booleans bool. A lone
array is float32, or, where the model takes nothing but integers, as an embedding of token ids does, int32. Pixels of
uint8 stay so in memory, and become float32 of the same values for ``preprocess``, ``augment`` and the model.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glojax.data.fed import Fed

Inputs = Any
"""An array ``[examples, ...]``, or a dict, tuple or NamedTuple of such arrays and of trees of them; or ``data.Fed``."""


def is_tree(given: Any) -> bool:
    """Whether inputs, as a user gave them, are a tree: a mapping, or a tuple of nothing but arrays and trees."""
    if isinstance(given, Mapping):
        return True
    return (
        isinstance(given, tuple)
        and len(given) > 0
        and all(is_tree(part) or (hasattr(part, "dtype") and bool(getattr(part, "shape", ()))) for part in given)
    )


def as_given(x: Any) -> Any:
    """Inputs as a user gave them: a tree or ``data.Fed`` as it is, everything else as an array."""
    return x if is_tree(x) or isinstance(x, Fed) else np.asarray(x)


def count(x: Inputs) -> int:
    """The number of examples."""
    return len(jax.tree.leaves(x)[0])


def taken(x: Inputs, places: Any) -> Inputs:
    """The examples at some places, an array or a slice, of every array."""
    return jax.tree.map(lambda leaf: leaf[places], x)


def shapes(x: Inputs, examples: int) -> Any:
    """Shapes and types of a batch of ``examples``, as ``jax.ShapeDtypeStruct`` leaves."""
    x = x[:1] if isinstance(x, Fed) else x
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((examples, *leaf.shape[1:]), leaf.dtype), x)


def zeros(batch: Any) -> Inputs:
    """NumPy arrays of the shapes and types of a batch; a JAX array would start JAX."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), batch)


def unpacked(x: Inputs) -> Inputs:
    """Inputs as a user's functions get them: pixels of uint8 as float32; int32 and booleans as they are."""
    return jax.tree.map(lambda leaf: leaf.astype(_seen(leaf.dtype)), x)


def _seen(dtype: Any) -> Any:
    return dtype if dtype in (jnp.int32, jnp.bool_) else jnp.float32


# CHECKED


def checked(field: str, given: Any) -> Inputs:
    """Check the inputs of one part of the data and convert them to the types that a task keeps.

    Args:
      field: ``"train"``, ``"validation"`` or ``"test"``, for messages.
      given: as the user gave them.

    Returns:
      One array: float32, or uint8 if it was. A tree: NumPy arrays of float32, int32, bool or uint8. ``data.Fed`` that
      is read in these types.

    Raises:
      ValueError: inputs that are not real, not finite or have too few axes, or arrays of unlike numbers of examples.
    """
    if isinstance(given, Fed):
        return given.as_types(jax.tree.map(lambda leaf: leaf.dtype, checked(field, given.as_types(None)[:1])))
    if not is_tree(given):
        x = np.asarray(given)
        _check_real(f"Task.{field}: inputs", x)
        x = x if x.dtype == np.uint8 else x.astype(np.float32)
        if x.ndim < 2 or len(x) == 0:
            raise ValueError(
                f"Task.{field}: inputs have shape {list(x.shape)}; [examples, ...] with an example is expected."
            )
        _check_finite(f"Task.{field}: inputs", x)
        return x
    leaves, structure = jax.tree_util.tree_flatten_with_path(_plain(field, given))
    kept = [_leaf(f"Task.{field}: inputs{jax.tree_util.keystr(path)}", leaf) for path, leaf in leaves]
    sizes = {jax.tree_util.keystr(path): len(leaf) for (path, _), leaf in zip(leaves, kept, strict=True)}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"Task.{field}: inputs have {sizes} examples; one number for all arrays is expected.")
    return jax.tree.unflatten(structure, kept)


def _plain(field: str, given: Any) -> Any:
    """A tree with dicts for all mappings; names of arrays must be text."""
    if isinstance(given, Mapping):
        if wrong := [name for name in given if not isinstance(name, str)]:
            raise ValueError(f"Task.{field}: inputs have the name {wrong[0]!r}; text is expected.")
        return {name: _plain(field, part) for name, part in given.items()}
    if isinstance(given, tuple) and is_tree(given):
        parts = [_plain(field, part) for part in given]
        return type(given)(*parts) if hasattr(given, "_fields") else tuple(parts)
    return given


def _leaf(what: str, given: Any) -> np.ndarray:
    leaf = np.asarray(given)
    _check_real(what, leaf)
    if leaf.ndim < 1 or len(leaf) == 0:
        raise ValueError(f"{what} have shape {list(leaf.shape)}; [examples, ...] with an example is expected.")
    if leaf.dtype in (np.bool_, np.uint8):
        return leaf
    if jnp.issubdtype(leaf.dtype, jnp.integer):
        if not _fits_int32(leaf):
            raise ValueError(f"{what} hold {leaf.flat[np.abs(leaf).argmax()]}; integers of 32 bits are expected.")
        return leaf.astype(np.int32)
    leaf = leaf.astype(np.float32)
    _check_finite(what, leaf)
    return leaf


def _check_real(what: str, x: np.ndarray) -> None:
    if not (x.dtype == bool or jnp.issubdtype(x.dtype, jnp.integer) or jnp.issubdtype(x.dtype, jnp.floating)):
        raise ValueError(f"{what} are {x.dtype}{list(x.shape)}; real numbers are expected.")


def _check_finite(what: str, x: np.ndarray) -> None:
    if not np.isfinite(x).all():
        rows = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        raise ValueError(f"{what} of {len(rows)} examples are NaN or infinite, the first at {rows[0]}.")


def _fits_int32(x: np.ndarray) -> bool:
    bounds = np.iinfo(np.int32)
    return bool(bounds.min <= x.min() and x.max() <= bounds.max)


# WHOLE NUMBERS


def whole_numbers(given: Any) -> Any:
    """Inputs of one part if they are an array of whole numbers that may be ids.

    Args:
      given: a pair (inputs, labels), not yet checked.

    Returns:
      The inputs as they are; ``None`` if they are a tree, not of an integer type, or beyond int32.
    """
    if isinstance(given, tuple | list) and given and isinstance(given[0], Fed):
        fed = given[0].as_types(None)
        return fed if whole_numbers((fed[:1],)) is not None else None
    try:
        x = np.asarray(given[0]) if not is_tree(given[0]) else np.zeros(0)
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    return x if np.issubdtype(x.dtype, np.integer) and x.size and _fits_int32(x) else None


def asked(x: Any, sizes: tuple[int, ...]) -> Iterator[Any]:
    """Batches with which a model may be asked for the shape of its outputs, before inputs are checked.

    Args:
      x: as the user gave them.
      sizes: examples in a batch, beside their whole number.

    Yields:
      Trees of ``jax.ShapeDtypeStruct`` as the user's functions get them; one array of whole numbers as floats first.
    """
    x = x.as_types(None)[: max(sizes)] if isinstance(x, Fed) else x
    arrays = jax.tree.map(np.asarray, x) if is_tree(x) else np.asarray(x)
    whole = not is_tree(x) and np.issubdtype(arrays.dtype, np.integer)
    kinds = (lambda dtype: jnp.float32, lambda dtype: jnp.int32)[: 1 + whole]
    if is_tree(x):
        kinds = (lambda dtype: jnp.int32 if dtype != np.uint8 and np.issubdtype(dtype, np.integer) else _seen(dtype),)
    for kind in kinds:
        for size in (*sizes, count(arrays)):
            yield jax.tree.map(
                lambda leaf, kind=kind: jax.ShapeDtypeStruct(leaf.shape, kind(leaf.dtype)), shapes(arrays, size)
            )
