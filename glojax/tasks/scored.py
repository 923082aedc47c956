"""What of a task says how good outputs are: a loss's targets, its metric, and the score that is made of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, Self

import jax
import numpy as np

from glojax.data.splits import Split
from glojax.distributed import jax_settings
from glojax.errors import users_code
from glojax.tasks import dense, metric_checks, metrics, targets
from glojax.tasks.metrics import Metric
from glojax.tasks.problems import Kind


class _Judged(Protocol):
    """What the methods below need of a task."""

    @property
    def metric(self) -> str | Metric | None: ...
    @property
    def minimize(self) -> bool: ...
    @property
    def problem(self) -> Kind: ...
    @property
    def flat(self) -> Mapping[str, Split]: ...
    @property
    def outputs(self) -> Any: ...  # an int, by a cached property
    @property
    def is_wide(self) -> Any: ...
    @property
    def loss_weights(self) -> Any: ...
    @property
    def has_gaps(self) -> Any: ...
    @property
    def _has_labels_below_0(self) -> Any: ...
    @property
    def given_metric(self) -> str | Metric: ...
    @property
    def metric_function(self) -> Metric: ...
    @property
    def metric_name(self) -> str: ...
    @property
    def is_error(self) -> bool: ...
    def as_score(self, metric: jax.Array) -> jax.Array: ...


class Scored:
    """The part of a ``Task`` that scores outputs."""

    def targets(self: _Judged, labels: jax.Array, outputs: int) -> tuple[jax.Array, jax.Array | None]:
        """Convert labels to the loss's targets.

        Args:
          labels: of a minibatch, in the form that the task keeps.
          outputs: the number of outputs of the network.

        Returns:
          x ``[rows, outputs]``, a row for each position of each example, and weights that broadcast to it, or ``None``
          where all entries weigh the same.
        """
        kind, weights = self.problem, self.loss_weights
        return targets.weighed(kind, labels, outputs, weights, self.has_gaps, self._has_labels_below_0)

    @property
    def further_parts(self) -> dict[str, Split]:
        """Parts of the data beside the usual three (``with_parts``)."""
        return vars(self).get("_parts", {})

    def with_parts(self, parts: Mapping[str, Split]) -> Self:
        """The task with further parts of its data, by name, on which networks may be scored."""
        made = dataclasses.replace(self)  # type: ignore[type-var]  # it is part of a dataclass
        vars(made)["_parts"] = dict(parts)
        return made

    @property
    def given_metric(self: _Judged) -> str | Metric:
        """The metric as it was given, to the task or by its kind."""
        return self.problem.metric if self.metric is None else self.metric

    @property
    def metric_function(self: _Judged) -> Metric:
        """The metric, as a function also where it was given by name, told by the kind what labels are."""
        return metrics.bound(metrics.metric_by_name("Task.metric", self.given_metric), self.problem.has_classes)

    @property
    def metric_name(self: _Judged) -> str:
        """The metric's name in reports."""
        metric = self.given_metric
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
        return name.removeprefix("binary_").replace("_", " ")

    @property
    def is_error(self: _Judged) -> bool:
        """Whether less of the metric is better."""
        return self.minimize or metrics.is_error(self.metric_function)

    @property
    def score_name(self: _Judged) -> str:
        """The name of what is maximized."""
        return f"1 / (1 + {self.metric_name})" if self.is_error else self.metric_name

    def score(self: _Judged, outputs: jax.Array, labels: jax.Array) -> jax.Array:
        """Compute the metric as a score: higher is better, and 0 is left for a training that failed.

        Args:
          outputs: of the network, ``[examples, ..., outputs]``.
          labels: in the form that the task keeps.
        """
        return self.as_score(self.metric_function(dense.rows(outputs), dense.label_rows(labels)))

    def as_score(self: _Judged, metric: jax.Array) -> jax.Array:
        """Convert the metric to a score."""
        return 1 / (1 + metric) if self.is_error else metric

    def as_metric(self: _Judged, scores: np.ndarray) -> np.ndarray:
        """Convert scores back to the metric; an error is infinite where a training failed."""
        return metrics.from_scores(scores, self.is_error)

    def check_metric(self: _Judged, for_search: bool = False) -> None:
        """Try the metric on random outputs, before anything is trained.

        Args:
          for_search: whether 0 means failure, so that the metric must be at least 0. Defaults to False.

        Raises:
          ValueError: it raises, or does not give one finite number, of at least 0 for a search.
        """
        labels, name = self.flat["validation"].labels, f"Task.metric, {self.metric_name},"
        outputs = np.random.default_rng(0).normal(size=(len(labels), self.outputs)).astype(np.float32)
        with users_code(name), jax_settings.standard(wide=self.is_wide):
            found = jax.jit(self.metric_function)(outputs, labels)
        metric_checks.metric_value(found, name, for_search)
