"""A network that is spread over several devices, because it does not fit one.

Arrays are divided as JAX divides them: a ``PartitionSpec`` names, for each axis of an array, the axis of the mesh that
it is divided over. Devices form a mesh of ``"candidates"`` and ``"model"``; a candidate has those along ``"model"``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import PartitionSpec

from glojax.errors import listed
from glojax.tasks import initial

AXIS = "model"
"""The axis of the mesh that a network is spread over."""


@dataclass(frozen=True)
class Sharding:
    """How each candidate's network is spread over several devices.

    Scores are those of one device, but for rounding: sums over a divided axis are added in another order.

    Args:
      devices: of one candidate, at least 2. The number of all devices must be a multiple.
      rules: ``jax.sharding.PartitionSpec`` by a regular expression that parameters' names, such as
        ``"Dense_0/kernel"``, are searched for; the first that is found counts. The axis of the mesh is ``"model"``. An
        optimizer's arrays and averages of a parameter are divided as it is; what no rule is for lies whole on every
        device.

    Raises:
      ValueError: too few devices, or a rule that is none.

    Example:
      ``Sharding(4, {"up/kernel": PartitionSpec(None, "model"), "down/kernel": PartitionSpec("model", None)})``
    """

    devices: int
    rules: Mapping[str, PartitionSpec]

    def __post_init__(self) -> None:
        if not isinstance(self.devices, int) or isinstance(self.devices, bool) or self.devices < 2:
            raise ValueError(f"Sharding.devices is {self.devices!r}; a whole number of at least 2 is allowed.")
        if not isinstance(self.rules, Mapping) or not self.rules:
            raise ValueError(f"Sharding.rules is {self.rules!r}; a dict of PartitionSpec by name is expected.")
        for pattern, spec in self.rules.items():
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                raise ValueError(f"Sharding.rules has {pattern!r}, no regular expression: {error}.") from None
            if not isinstance(spec, PartitionSpec) or list(spec).count(AXIS) != 1 or set(spec) - {None, AXIS}:
                raise ValueError(
                    f"Sharding.rules[{pattern!r}] is {spec!r}; a jax.sharding.PartitionSpec of None and once "
                    f"{AXIS!r} is expected."
                )

    def spec(self, name: str) -> PartitionSpec:
        """How the parameter of this name is divided; ``PartitionSpec()`` if it is not."""
        return next((spec for pattern, spec in self.rules.items() if re.search(pattern, name)), PartitionSpec())

    def specs(self, params: Any, tree: Any) -> list[PartitionSpec]:
        """How the leaves of a tree are divided.

        Args:
          params: the model's parameters, or their shapes.
          tree: of these, or holding trees of them and of their shapes, as an optimizer's state does.

        Returns:
          A spec for each leaf, in the order of ``jax.tree.leaves``.
        """
        leaves = jax.tree.leaves(params)
        known = {name: tuple(leaf.shape) for name, leaf in zip(initial.names(params), leaves, strict=True)}

        def of(name: str, shape: tuple[int, ...]) -> PartitionSpec:
            tails = (name[place:] for place in _starts(name))
            owner = next((tail for tail in tails if known.get(tail) == shape), None)
            return PartitionSpec() if owner is None else self.spec(owner)

        found = zip(initial.names(tree), jax.tree.leaves(tree), strict=True)
        return [of(name, tuple(leaf.shape)) for name, leaf in found]


def _starts(name: str) -> Iterable[int]:
    """Where the parts of a name begin."""
    return [0, *(place + 1 for place, letter in enumerate(name) if letter == "/")]


def check(sharding: Any, params: Any) -> None:
    """Check how a model is spread.

    Args:
      sharding: ``Task.sharding``, which may be None.
      params: shapes and types of the model's parameters.

    Raises:
      ValueError: no ``Sharding``, a rule for no parameter, or one that does not fit a parameter's shape.
    """
    if sharding is None:
        return
    if not isinstance(sharding, Sharding):
        raise ValueError(f"Task.sharding is a {type(sharding).__name__}; a glojax.Sharding or None is expected.")
    names = initial.names(params)
    if unused := [pattern for pattern in sharding.rules if not any(re.search(pattern, name) for name in names)]:
        raise ValueError(f"Task.sharding has a rule for {unused[0]!r}; the model has {listed(sorted(names))}.")
    for name, leaf in zip(names, jax.tree.leaves(params), strict=True):
        if AXIS in (spec := sharding.spec(name)):
            axis = list(spec).index(AXIS)
            if axis >= len(leaf.shape) or leaf.shape[axis] % sharding.devices:
                raise ValueError(
                    f"Task.sharding divides axis {axis} of {name}, {leaf.dtype}{list(leaf.shape)}, over "
                    f"{sharding.devices} devices; an axis whose size is a multiple is expected."
                )
