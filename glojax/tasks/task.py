"""Tasks: what a loss is judged on - a model, data, an optimizer and a length of training.

``Task`` takes a user's own model and arrays; ``digits``, ``mnist`` and ``cifar10`` are ready-made. ``named`` finds
either from the command line.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax import (
    data,
    models,  # UNUSED?
)
from glojax.errors import users_code
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.models.adapters import Model
from glojax.tasks import checks, fingerprints, metrics, problems
from glojax.tasks.metrics import Metric
from glojax.tasks.problems import Kind

if TYPE_CHECKING:
    from glojax.executors.protocol import Executor


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """A problem and the shortened training that a loss is scored by.

    Attributes:
      model: a Linen module, an NNX constructor, or an (init, apply) pair (``models.as_model``).
      train, validation, test: inputs ``[examples, ...]`` and labels as ``Kind`` says, for classification integers
        ``[examples]``; the test set is left alone until a search has ended, and may be missing. Inputs of uint8 are
        kept as such, a quarter of the memory, and are float32 of the same values for what follows.
      optimizer: any optax optimizer; a candidate may scale its updates (``candidates.Candidates``).
      batch_size: examples a step.
      steps: optimizer steps of the shortened training.
      kind: ``"classification"``, ``"binary"``, ``"multi-label"``, ``"regression"``, or a ``Kind``.
      metric: a key of ``metrics.METRICS``, or ``metric(outputs, labels) -> scalar``, finite and at least 0, with labels
        as the kind keeps them; the kind's if left out.
      minimize: whether less of a metric of your own is better. A score is then 1 / (1 + metric), as it is with rmse.
      class_weights: of each output, by which its part of the loss is multiplied; for classification that of an
        example's class weighs the whole example. Metrics know nothing of them.
      preprocess: ``preprocess(x) -> x``, from a batch of inputs to what the model is given; the inputs if left out.
      augment: ``augment(key, x) -> x``, in place of ``preprocess`` for the minibatches of training; all candidates
        that share a seed share what it draws.
      group: candidates trained together on a device, at most, and so the memory that a step takes; left out, as many
        as fit (``grouping.group_that_fits``). Scores do not depend on it.
      executor: makes what trains candidates (``evaluators``); left out, this process does. Scores do not depend on it.
      name: for the run directory and reports.

    Raises:
      ValueError: inputs that are not finite, labels of the wrong shape, type or range, a single class, sizes that
        do not fit, an unknown kind or metric, a model whose output is not ``[batch, outputs]``, no optax optimizer, or
        a function that raises; the message names the field, and the line that raised. All within a second: what was
        given is traced and not run.
    """

    model: Any
    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any] | None = None
    optimizer: optax.GradientTransformation = dataclasses.field(default_factory=lambda: optax.sgd(0.01))
    batch_size: int = 100
    steps: int = 2000
    kind: str | Kind = "classification"
    metric: str | Metric | None = None
    minimize: bool = False
    class_weights: Sequence[float] | None = None
    preprocess: Callable[[jax.Array], jax.Array] | None = None
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    group: int | None = None
    executor: "Executor | None" = None
    name: str = "task"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", problems.kind_by_name(self.kind))
        for field in ("train", "validation", "test"):
            if field != "test" or self.test is not None:
                object.__setattr__(self, field, checks.split(self.problem, field, getattr(self, field)))
        checks.data(self)
        checks.metric(self)
        checks.model(self)
        checks.optimizer(self)
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", checks.class_weights(self.class_weights, self.outputs))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split.labels)} {name}" for name, split in self.splits.items())
        return f"Task({self.name!r}: {sizes}; {self.steps} steps in batches of {self.batch_size})"

    @cached_property
    def outputs(self) -> int:
        """How many the network has."""
        return checks.called(self.pure_model, self.batch, True).outputs.shape[1]

    @property
    def problem(self) -> Kind:
        """The kind."""
        return problems.kind_by_name(self.kind)

    @property
    def is_error(self) -> bool:
        """Whether less of the metric is better."""
        return self.minimize or self.metric_function in metrics.MINIMIZED

    @property
    def metric_function(self) -> Metric:
        """The metric as a function."""
        return metrics.metric_by_name("Task.metric", self.problem.metric if self.metric is None else self.metric)

    @property
    def metric_name(self) -> str:
        """Of the metric, for reports."""
        metric = self.problem.metric if self.metric is None else self.metric
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
        return name.removeprefix("binary_").replace("_", " ")

    @property
    def score_name(self) -> str:
        """Of what is maximized."""
        return f"1 / (1 + {self.metric_name})" if self.is_error else self.metric_name

    def loss(self, tree: Tree | str, coefficients: Sequence[float] = (), *, protected: bool = False) -> Loss:
        """A tree as a loss for this task's outputs."""
        return Loss(tree, tuple(coefficients), protected, self.problem.output)  # type: ignore[arg-type]

    def score(self, outputs: jax.Array, labels: jax.Array) -> jax.Array:
        """The metric as a score: higher is better, and 0 is left for a training that failed."""
        found = self.metric_function(outputs, labels)
        return 1 / (1 + found) if self.is_error else found

    def as_metric(self, scores: np.ndarray) -> np.ndarray:
        """Scores as the metric that they stand for; an error is infinite where a training failed."""
        return metrics.from_scores(scores, self.is_error)

    def targets(self, labels: jax.Array, outputs: int) -> tuple[jax.Array, jax.Array | None]:
        """The loss's x ``[batch, outputs]`` of labels, and the weights of its entries if there are any."""
        x, known = self.problem.targets(labels, outputs)
        if self.class_weights is None:
            has_gaps = known is not None and np.isnan(self.splits["train"].labels).any()
            return x, known.astype(jnp.float32) if known is not None and has_gaps else None
        weights = jnp.array(self.class_weights, jnp.float32)
        return x, weights[labels][:, None] if known is None else weights * known

    def check_metric(self, for_search: bool = False) -> None:
        """Try the metric on random outputs, before anything is trained.

        Raises:
          ValueError: it gives no number, one that is not finite, or, for a search, in which 0 is failure, one below 0.
        """
        labels, name = self.splits["validation"].labels, f"Task.metric, {self.metric_name},"
        outputs = np.random.default_rng(0).normal(size=(len(labels), self.outputs)).astype(np.float32)
        with users_code(name):
            found = jax.jit(self.metric_function)(outputs, labels)
        if getattr(found, "shape", None) != ():
            raise ValueError(f"{name} gives {checks.described(found)} for the validation set; one number is expected.")
        found = np.asarray(found)
        if not np.isfinite(found) or (for_search and found < 0):
            raise ValueError(
                f"{name} gives {found} of random outputs for the validation set; one finite number"
                f"{' of at least 0' * for_search} is expected."
            )

    @property
    def raw_batch(self) -> jax.ShapeDtypeStruct:
        """Shape and type of a minibatch as the data holds it."""
        x = self.splits["train"].x
        return jax.ShapeDtypeStruct((self.batch_size, *x.shape[1:]), x.dtype)

    @cached_property
    def batch(self) -> jax.ShapeDtypeStruct:
        """Shape and type of a minibatch as the model is given it."""
        return jax.eval_shape(self.evaluation_input, self.raw_batch)

    def evaluation_input(self, x: jax.Array) -> jax.Array:
        """What the model is given of inputs outside training."""
        x = x.astype(jnp.float32)
        return x if self.preprocess is None else self.preprocess(x)

    def training_input(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """What the model is given of a minibatch in training."""
        return self.evaluation_input(x) if self.augment is None else self.augment(key, x.astype(jnp.float32))

    @property
    def splits(self) -> dict[str, data.Split]:
        """The parts that there are, by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: data.Split(*part) for name, part in parts.items() if part is not None}

    @cached_property
    def pure_model(self) -> Model:
        """The model as pure functions."""
        # Only its shape matters, and to compute a real one would start JAX.
        return models.as_model(self.model, np.zeros(self.batch.shape, self.batch.dtype))

    @cached_property
    def classes(self) -> int:
        """Number of classes that the labels name: the largest label plus one."""
        return 1 + max(int(split.labels.max()) for split in self.splits.values())

    @cached_property
    def contents(self) -> dict[str, Any]:
        """What is exact about the data and the model: digests, shapes and types, JSON-able."""
        made = checks.called(self.pure_model, self.batch, True)
        return fingerprints.contents(self.splits, made.params, made.state, self.batch, made.outputs)

    @cached_property
    def fingerprint(self) -> str:
        """A short digest of what is exact about the task, for display; the same in every process.

        It covers the data, shapes and types of the model's arrays, and the numbers and names in the task's fields. What
        functions compute is in ``identity.identity``.
        """
        metric = metrics.name_of(self.metric_function)
        return fingerprints.digest(
            {
                **self.contents,
                "length": [self.batch_size, self.steps],
                "class_weights": None if self.class_weights is None else list(self.class_weights),
                "output": self.problem.output if isinstance(self.problem.output, str) else "function",
                "metric": [metric or "function", self.is_error],
                "functions": [self.preprocess is not None, self.augment is not None],
            }
        )
