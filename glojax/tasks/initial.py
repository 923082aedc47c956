"""Parameters that a training starts from, and those that it leaves as they are.

Parameters have names, the path of each in the model's tree: ``"Dense_0/kernel"``. ``read`` makes a dict of arrays by
name of what a user has: a pytree, an Orbax checkpoint or a file of safetensors. ``checked`` fits it to a model, and
``started`` gives the model that begins there, whose parameters are those that are trained.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from glojax.errors import listed, users_code
from glojax.models.adapters import Model

Values = Mapping[str, Any]
"""Arrays by the names of parameters and state."""

Trainable = str | Callable[[str], bool] | Mapping[str, Any]


def names(tree: Any) -> list[str]:
    """The name of each leaf: keys, places and fields from the root, joined by ``/``."""
    return [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def _name(path: Any) -> str:
    parts = [next(getattr(key, field) for field in ("key", "idx", "name") if hasattr(key, field)) for key in path]
    if parts and parts[-1] == "value":  # of a variable of NNX
        parts.pop()
    return "/".join(map(str, parts))


def read(given: Any) -> dict[str, np.ndarray]:
    """Read ``Task.initial``.

    Args:
      given: a pytree of parameters, or of a Linen module's variables, with ``"params"`` and other collections; or the
        path of an Orbax checkpoint, a folder, or of a file of safetensors, in whose names dots separate as ``/`` does.

    Raises:
      ValueError: a path that is neither, a file that cannot be read, or leaves that are no arrays.
      ImportError: the extra ``safetensors`` is not installed.
    """
    tree = _file(Path(given)) if isinstance(given, str | os.PathLike) else given
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = _name(path).removeprefix("params/")
        try:
            found[name] = np.asarray(leaf)
        except (TypeError, ValueError):
            raise ValueError(f"Task.initial: {name} is a {type(leaf).__name__}; an array is expected.") from None
    if not found:
        raise ValueError(f"Task.initial is {type(given).__name__} without arrays; a tree of parameters is expected.")
    return found


def _file(path: Path) -> Any:
    if path.is_dir():
        import orbax.checkpoint as ocp  # takes most of a second

        try:
            return ocp.StandardCheckpointer().restore(path.absolute())
        except Exception as error:  # Orbax and TensorStore raise all kinds
            raise ValueError(f"Task.initial: the checkpoint {path} cannot be read: {_first_line(error)}") from None
    if path.is_file() and path.suffix == ".safetensors":
        try:
            from safetensors.numpy import load_file
        except ImportError:
            raise ImportError(f"{path} needs the extra safetensors: pip install 'glojax[safetensors]'") from None
        try:
            return {name.replace(".", "/"): array for name, array in load_file(path).items()}
        except Exception as error:  # of another type for every kind of damage
            raise ValueError(f"Task.initial: {path} cannot be read: {_first_line(error)}") from None
    raise ValueError(
        f"Task.initial is {str(path)!r}; a folder that Orbax wrote, a file that ends with .safetensors, or a pytree of "
        "parameters is expected."
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def checked(values: Values, params: chex.ArrayTree, state: chex.ArrayTree) -> dict[str, np.ndarray]:
    """Fit values to a model.

    Args:
      values: from ``read``. What a model has and they lack is drawn as ever.
      params, state: shapes and types of the model's.

    Returns:
      The values in the types of the model.

    Raises:
      ValueError: a name that the model has not, or another shape.
    """
    like = {
        name: leaf for tree in (state, params) for name, leaf in zip(names(tree), jax.tree.leaves(tree), strict=True)
    }
    if unknown := sorted(set(values) - set(like)):
        raise ValueError(f"Task.initial has {listed(unknown)}; the model has {listed(sorted(like))}.")
    for name, value in values.items():
        if value.shape != like[name].shape:
            raise ValueError(
                f"Task.initial: {name} is {value.dtype}{list(value.shape)}; the model's is "
                f"{like[name].dtype}{list(like[name].shape)}."
            )
    return {name: np.asarray(value, like[name].dtype) for name, value in values.items()}


def frozen(trainable: Any, params: chex.ArrayTree, values: Values) -> frozenset[str]:
    """The names of the parameters that are not trained.

    Args:
      trainable: ``Task.trainable``.
      params: shapes and types of the model's parameters.
      values: those that are given.

    Raises:
      ValueError: no such choice, one that leaves nothing to train, or frozen parameters without a value.
    """
    if trainable is None:
        return frozenset()
    known = names(params)
    if isinstance(trainable, str):
        try:
            trained = {name for name in known if re.search(trainable, name)}
        except re.error as error:
            raise ValueError(f"Task.trainable is {trainable!r}, no regular expression: {error}.") from None
    elif callable(trainable):
        with users_code("Task.trainable"):
            trained = {name for name in known if trainable(name)}
    else:
        chosen = dict(zip(names(trainable), jax.tree.leaves(trainable), strict=True))
        if set(chosen) != set(known) or not all(isinstance(one, bool | np.bool_) for one in chosen.values()):
            raise ValueError(
                f"Task.trainable has {listed(sorted(chosen))}; a bool for each of {listed(sorted(known))}, a regular "
                "expression, or a function of a name is expected."
            )
        trained = {name for name, one in chosen.items() if one}
    if not trained:
        raise ValueError(f"Task.trainable is True for none of {listed(sorted(known))}; at least one must be trained.")
    kept = frozenset(known) - trained
    if missing := sorted(kept - set(values)):
        raise ValueError(f"Task.initial lacks {listed(missing)}, which Task.trainable leaves as they are.")
    return kept


def started(model: Model, values: Values, kept: Collection[str]) -> Model:
    """A model that begins with given values.

    Args:
      model: the model.
      values: from ``checked``, or the same as JAX's arrays.
      kept: from ``frozen``.

    Returns:
      The model whose ``params`` are those that are trained: ``None`` stands where another is kept.
    """

    def filled(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        found = zip(names(tree), leaves, strict=True)
        new = [jnp.asarray(values[name]) if name in values else leaf for name, leaf in found]
        return jax.tree.unflatten(structure, new)

    full = jax.eval_shape(lambda: model.init(jax.random.key(0)))[0]
    all_names, structure = names(full), jax.tree.structure(full)

    def init(key: jax.Array) -> tuple[Any, Any]:
        params, state = map(filled, model.init(key))
        leaves = jax.tree.leaves(params)
        trained = [None if name in kept else leaf for name, leaf in zip(all_names, leaves, strict=True)]
        return jax.tree.unflatten(structure, trained), state

    def whole(params: Any) -> Any:
        trained = iter(jax.tree.leaves(params))
        return jax.tree.unflatten(structure, [values[name] if name in kept else next(trained) for name in all_names])

    def apply(params: Any, state: Any, x: Any, key: jax.Array, train: bool) -> tuple[Any, Any]:
        return model.apply(whole(params), state, x, key, train)

    if (penalized := model.penalized) is None:
        return Model(init, apply)
    return Model(init, apply, lambda params, state, x, key: penalized(whole(params), state, x, key))
