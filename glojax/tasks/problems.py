"""Kinds of problems: what a network's outputs mean, what labels look like, and what a found loss is held against."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from glojax.losses.loss import Loss
from glojax.losses.outputs import OUTPUTS, Output
from glojax.tasks import metrics
from glojax.tasks.metrics import Metric


@dataclass(frozen=True)
class Kind:
    """A kind of problem; ``KINDS`` has four, and an output with a metric makes another.

    Attributes:
      output: what makes predictions y of the network's outputs ``[batch, outputs]``: ``"softmax"``, ``"sigmoid"``,
        ``"identity"``, or a function that keeps the shape, for example ``jax.nn.softplus``.
      metric: ``metric(outputs, labels) -> scalar``, or a key of ``metrics.METRICS``; that of a task unless it has its
        own.
      baseline: the usual loss, which a found one is held against. Defaults to cross-entropy for softmax and sigmoid,
        and to the squared error for all other outputs.
      baseline_name: its name in reports.

    Labels are integers ``[examples]`` for softmax, one class an example. Otherwise they are numbers ``[examples,
    outputs]``, or ``[examples]`` for one output; NaN stands for an unknown one, which takes no part.

    Raises:
      ValueError: an unknown output or metric, or a baseline for other outputs; the message names the field.
    """

    output: Output
    metric: Metric | str
    baseline: Loss = None  # type: ignore[assignment]  # made below where it is left out
    baseline_name: str = "cross-entropy"

    def __post_init__(self) -> None:
        if not callable(self.output) and self.output not in OUTPUTS:
            raise ValueError(f"Kind.output is {self.output!r}; {', '.join(OUTPUTS)} or a function is allowed.")
        metrics.metric_by_name("Kind.metric", self.metric)
        if self.baseline is None:
            tree = {"softmax": "x * log(y)", "sigmoid": "x * log(y) + (1 - x) * log(1 - y)"}.get(str(self.output))
            loss = Loss(tree or "-1 * square(x - y)", output=self.output)  # type: ignore[arg-type]
            object.__setattr__(self, "baseline", loss)
        if self.baseline.output != self.output:
            raise ValueError(f"Kind.baseline is a loss of output {self.baseline.output!r}; {self.output!r} is needed.")

    @property
    def has_classes(self) -> bool:
        """Whether labels are classes."""
        return self.output == "softmax"

    def targets(self, labels: jax.Array, outputs: int) -> tuple[jax.Array, jax.Array | None]:
        """The loss's x ``[batch, outputs]`` of labels, and which of them are known if some may not be."""
        if self.has_classes:
            return jax.nn.one_hot(labels, outputs, dtype=jnp.float32), None
        known = ~jnp.isnan(labels)
        return jnp.where(known, labels, 0.0), known

    def checked(self, field: str, labels: np.ndarray, examples: int) -> np.ndarray:
        """Labels in the form that a task keeps.

        Raises:
          ValueError: labels of the wrong shape, type or range; the message names ``field``.
        """
        if self.has_classes:
            if labels.shape != (examples,) or not np.issubdtype(labels.dtype, np.integer):
                raise ValueError(
                    f"Task.{field}: labels are {labels.dtype}{list(labels.shape)}; integers of shape [{examples}] are "
                    "expected."
                )
            if labels.min() < 0:
                raise ValueError(f"Task.{field}: labels hold {labels.min()}; classes count from 0.")
            return labels.astype(np.int32)
        if labels.ndim not in (1, 2) or len(labels) != examples or not np.issubdtype(labels.dtype, np.number):
            raise ValueError(
                f"Task.{field}: labels are {labels.dtype}{list(labels.shape)}; numbers of shape [{examples}] or "
                f"[{examples}, outputs] are expected."
            )
        labels = labels.reshape(examples, -1).astype(np.float32)
        if np.isinf(labels).any():
            raise ValueError(
                f"Task.{field}: labels of example {int(np.isinf(labels).any(axis=1).argmax())} are infinite."
            )
        if self.output == "sigmoid" and not np.isin(labels[~np.isnan(labels)], (0, 1)).all():
            wrong = labels[~np.isnan(labels) & ~np.isin(labels, (0, 1))][0]
            raise ValueError(f"Task.{field}: labels hold {wrong:g}; 0 and 1 are allowed, and NaN where unknown.")
        return labels


KINDS = {
    "classification": Kind("softmax", metrics.accuracy),
    "binary": Kind("sigmoid", metrics.binary_accuracy),
    "multi-label": Kind("sigmoid", metrics.f1),
    "regression": Kind("identity", metrics.r2, baseline_name="squared error"),
}
"""Kinds by name."""


def kind_by_name(kind: str | Kind) -> Kind:
    """The kind of that name, or the kind itself.

    Raises:
      ValueError: an unknown name.
    """
    if isinstance(kind, Kind):
        return kind
    if kind not in KINDS:
        raise ValueError(f"Task.kind is {kind!r}; allowed are {', '.join(KINDS)}, or a glojax.Kind.")
    return KINDS[kind]
