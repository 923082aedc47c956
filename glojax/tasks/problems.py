"""Kinds of problems: what a network's outputs mean, what labels look like, and which loss is the baseline.

``KINDS`` has four of them by name. An output with a metric makes another.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from glojax.deprecation import renamed_fields
from glojax.losses.loss import Loss
from glojax.losses.outputs import OUTPUTS, Output
from glojax.tasks import labels as labels_of
from glojax.tasks import metrics
from glojax.tasks.metrics import Metric


@renamed_fields(control="baseline", control_name="baseline_name", usual="baseline")
@dataclass(frozen=True)
class Kind:
    """A kind of problem.

        counts = glojax.Kind(jax.nn.softplus, "rmse")  # predictions above 0
        task = glojax.Task(model, train, validation, kind=counts)

    Labels are whole numbers ``[examples]`` for softmax, one class for each example, or one-hot or soft labels
    ``[examples, classes]``. For every other output they are numbers ``[examples, outputs]``, or ``[examples]`` for one
    output. NaN stands for an unknown label, which does not count.

    Args:
      output: makes predictions y of the network's outputs ``[batch, outputs]``: ``"softmax"``, ``"sigmoid"``,
        ``"identity"``, or a function that keeps the shape, for example ``jax.nn.softplus``.
      metric: ``metric(outputs, labels) -> scalar``, or a name (``metrics.metric_by_name``); a task may have its own
        instead.
      baseline: the usual loss, with which a found one is compared. Defaults to cross-entropy for softmax and sigmoid,
        and to the squared error for every other output.
      baseline_name: its name in reports. Defaults to "cross-entropy".

    Raises:
      ValueError: an unknown output or metric, or a baseline for another output; the message names the field.
    """

    output: Output
    metric: Metric | str
    baseline: Loss = None  # type: ignore[assignment]  # the default is made below
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
        """Whether labels are classes: integers, or soft."""
        return self.output == "softmax"

    @property
    def label_types(self) -> tuple[str, ...]:
        """What labels may be, as keys of ``metrics.LABELS``; the usual first."""
        if self.has_classes:
            return ("classes",)
        return ("labels 0 and 1",) if self.output == "sigmoid" else ("numbers", "labels 0 and 1")

    def targets(self, labels: jax.Array, outputs: int) -> tuple[jax.Array, jax.Array | None]:
        """Convert labels to the loss's targets.

        Args:
          labels: of a minibatch, as ``checked`` returns them.
          outputs: the number of outputs of the network.

        Returns:
          x ``[batch, outputs]``, 0 where a label is unknown, and which labels are known: ``[batch, outputs]``,
          ``[batch, 1]`` for soft labels of classes, and ``None`` for integers, of which those below 0 are not.
        """
        if self.has_classes and labels.ndim == 1:
            return jax.nn.one_hot(labels, outputs, dtype=jnp.float32), None
        known = ~jnp.isnan(labels)
        known = known.all(axis=-1, keepdims=True) if self.has_classes else known
        return jnp.where(known, labels, 0.0), known

    def checked(self, field: str, labels: ArrayLike, examples: int, ignore_label: int | None = None) -> np.ndarray:
        """Check labels and convert them to the form that a task keeps.

        Args:
          field: the part of the data, for messages.
          labels: as the user gave them.
          examples: the number of inputs.
          ignore_label: the number that stands for no label. Defaults to none.

        Returns:
          int32 ``[examples]`` for classes, -1 for no label, and float32 ``[examples, classes]`` for soft ones. For
          every other output float32 ``[examples, outputs]``, NaN where a label is unknown.

        Raises:
          ValueError: labels of the wrong shape, type or range; the message names the field.
        """
        if self.has_classes:
            return labels_of.classes(f"Task.{field}", labels, examples, ignore_label)
        binary = self.output == "sigmoid"
        return labels_of.numbers(f"Task.{field}", labels, examples, ignore_label, binary=binary)


KINDS = {
    "classification": Kind("softmax", metrics.accuracy),
    "binary": Kind("sigmoid", metrics.binary_accuracy),
    "multi-label": Kind("sigmoid", metrics.f1),
    "regression": Kind("identity", metrics.r2, baseline_name="squared error"),
}
"""Kinds by name."""


def kind_by_name(kind: str | Kind) -> Kind:
    """Find a kind of problem by its name.

    Args:
      kind: a key of ``KINDS``, or a ``Kind``, which is returned as it is.

    Raises:
      ValueError: an unknown name.
    """
    if isinstance(kind, Kind):
        return kind
    if kind not in KINDS:
        raise ValueError(f"Task.kind is {kind!r}; allowed are {', '.join(KINDS)}, or a glojax.Kind.")
    return KINDS[kind]
