"""``Task``: the problem that a loss is scored on, as a model, data, an optimizer and a length of training.

It takes a user's own model and arrays, checks them by their shapes, and gives everything else in glojax what it needs:
pure functions of the model, inputs and targets of a minibatch, and scores. Which machine trains is not part of it.
"""

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass
from functools import cached_property
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.typing import ArrayLike

from glojax import data, models
from glojax.defaults import derived
from glojax.distributed import jax_settings
from glojax.errors import users_code
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.models.adapters import Model
from glojax.tasks import checks, dense, fingerprints, metric_checks, metrics, optimizers, problems, targets
from glojax.tasks.labels import known_of
from glojax.tasks.metrics import Metric
from glojax.tasks.problems import Kind

UserModel = nn.Module | Callable[[nnx.Rngs], nnx.Module] | tuple[Callable[..., Any], Callable[..., Any]]
"""A Linen module, an NNX constructor, or an (init, apply) pair; see ``models.as_model``."""


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """A problem and the shortened training by which a loss is scored.

        task = glojax.Task(
            flax.linen.Dense(3), (x_train, y_train), (x_validation, y_validation),
            optimizer=optax.adam(1e-3), batch_size=32, steps=500,
        )
        glojax.search(task)

    Args:
      model: a Linen module, an NNX constructor, or an (init, apply) pair (``models.as_model``).
      train, validation, test: inputs ``[examples, ...]`` and labels as ``Kind`` describes them, for classification
        integers ``[examples]``. Where the model gives ``[batch, ..., outputs]``, as for pixels or tokens, labels are
        ``[examples, ...]`` or ``[examples, ..., outputs]``. A search never looks at the test set, and it may be
        missing. Inputs of uint8 stay uint8 in memory and become float32 of the same values for ``preprocess``,
        ``augment`` and the model. Whole numbers become float32, too, unless the model takes nothing but integers, as
        an embedding of token ids does: then they are int32.
      optimizer: an optax optimizer, whose updates a candidate may scale; ``optax.MultiSteps`` too. One that needs more
        than gradients and parameters, or cannot bear a scale, is refused. Defaults to plain SGD at 0.01.
      batch_size: examples in a minibatch. Defaults to 100, or to all training examples where they are fewer.
      steps: optimizer steps of the shortened training. Defaults to 2000.
      kind: ``"classification"``, ``"binary"``, ``"multi-label"``, ``"regression"``, or a ``Kind``.
      metric: a name (``metrics.metric_by_name``), or ``metric(outputs, labels) -> scalar``, finite and at least 0, with
        labels in the form that the kind keeps. Defaults to the kind's metric.
      minimize: whether less of your own metric is better. The score is then 1 / (1 + metric), as it is with rmse.
      class_weights: a factor for each output's part of the loss; for classification, the factor of an example is that
        of its class, and with soft labels the mean of the factors that it stands for. Metrics are not weighted.
        Defaults to no weights.
      ignore_label: the number that stands for no label, such as -1 or 255: neither the loss nor the metric counts it.
        The task keeps -1 for it, or NaN where labels are no classes. Labels of NaN are unknown without it.
      preprocess: ``preprocess(x) -> x``, from a batch of inputs to the model's input. Defaults to the inputs.
      augment: ``augment(key, x) -> x``, in place of ``preprocess`` for minibatches in training. Candidates that share a
        seed see the same augmented inputs. Defaults to ``preprocess``.
      averaging: share of the steps so far over which the weights, and a model's batch statistics, are averaged for
        every score, from 0, which scores the last weights, to 1. The last weights jump about with a constant learning
        rate, and so do scores of them. Training itself is not changed. Defaults to 0.2.
      precision: of products and convolutions in training and scoring: ``"highest"`` has all 32 bits, ``"tf32"`` and
        ``"bf16"`` fewer on an accelerator, in less time (``jax_settings.PRECISIONS``). Defaults to what JAX is set to.
      group: deprecated; give ``group=`` to what trains.
      executor: deprecated; give ``executor=`` to what trains.
      name: for the run directory and reports.

    Raises:
      ValueError: inputs that are not finite, labels of the wrong shape, type or range, a single class, sizes that
        do not fit, an unknown kind or metric, a model whose output is not ``[batch, ..., outputs]``, no optax
        optimizer, or a function that raises; the message names the field, and the line that raised. Functions are
        traced, not run, so this takes less than a second.
    """

    model: UserModel
    train: tuple[ArrayLike, ArrayLike]
    validation: tuple[ArrayLike, ArrayLike]
    test: tuple[ArrayLike, ArrayLike] | None = None
    optimizer: optax.GradientTransformation = dataclasses.field(default_factory=lambda: optax.sgd(0.01))
    batch_size: int = None  # type: ignore[assignment]  # the default is made below
    steps: int = 2000
    kind: str | Kind = "classification"
    metric: str | Metric | None = None
    minimize: bool = False
    class_weights: Sequence[float] | None = None
    preprocess: Callable[[jax.Array], jax.Array] | None = None
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    group: InitVar[int | None] = None
    executor: InitVar[Callable[..., Any] | None] = None
    name: str = "task"
    ignore_label: int | None = None
    averaging: float = 0.2
    precision: str | None = None

    def __post_init__(self, group: int | None, executor: Callable[..., Any] | None) -> None:
        object.__setattr__(self, "kind", problems.kind_by_name(self.kind))
        numbers = {field: checks.whole_numbers(getattr(self, field)) for field in ("train", "validation", "test")}
        object.__setattr__(self, "ignore_label", checks.ignore_label(self.ignore_label))
        positions = dense.asked(self.model, self.preprocess, self.train)
        for field in ("train", "validation", "test"):
            if field != "test" or self.test is not None:
                part = checks.split(self.problem, field, getattr(self, field), self.ignore_label, positions)
                object.__setattr__(self, field, part)
        if self.ignore_label is None and self._has_labels_below_0:  # made of NaN; so the task may be made again of them
            object.__setattr__(self, "ignore_label", -1)
        checks.data(self.problem, self.flat)
        examples = len(self.splits["train"].labels)
        object.__setattr__(self, "batch_size", derived(self.batch_size, min(100, examples)))
        checks.count("batch_size", self.batch_size, examples)
        checks.count("steps", self.steps)
        checks.share("Task.averaging", self.averaging)
        checks.precision("Task.precision", self.precision)
        metric_checks.metric(self._given_metric, self.metric_name, self.problem, self.minimize)
        metric_checks.metric_labels(self.metric_function, self.problem, self.flat)
        if isinstance(self.optimizer, optax.MultiSteps):
            object.__setattr__(self, "optimizer", self.optimizer.gradient_transformation())
        self._choose_inputs(numbers)
        with jax_settings.precision(self.is_wide):
            checked = optimizers.checked(self.optimizer, models.shapes(self.pure_model)[0])
        object.__setattr__(self, "optimizer", checked)
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", checks.class_weights(self.class_weights, self.outputs))
        self._take_machine(group, executor)

    def _choose_inputs(self, numbers: Mapping[str, np.ndarray | None]) -> None:
        """Check the model with the inputs that it takes: float32, or int32 for whole numbers such as token ids.

        Args:
          numbers: inputs of each part, where they are whole numbers.
        """
        splits = self.splits
        whole = {field: x for field in splits if (x := numbers[field]) is not None}
        choices = ["floats", "integers"] if whole.keys() == splits.keys() else ["floats"]
        if len(choices) == 2 and any(max(int(x.max()), -int(x.min())) > 2**24 for x in whole.values()):
            choices.reverse()  # float32 would merge some of them
        refused: list[ValueError] = []
        for choice in choices:
            for field, (x, labels) in splits.items():
                object.__setattr__(self, field, (whole[field].astype(np.int32) if choice == "integers" else x, labels))
            for name in ("pure_model", "batch", "is_wide"):
                self.__dict__.pop(name, None)
            try:
                with jax_settings.precision(self.is_wide):
                    batch = checks.model_input(self.evaluation_input, self.training_input, self.raw_batch)
                    checks.model(self.pure_model, batch, self.problem, self.flat, self.positions)
                return
            except ValueError as error:
                refused.append(error)
        # Of two errors the first is the model's own, unless it only asks for integers.
        raise refused[-1 if "integer" in str(refused[0]) else 0]

    def _take_machine(self, group: int | None, executor: Callable[..., Any] | None) -> None:
        """Keep ``group`` and ``executor`` readable, with a warning where they are given."""
        if group is not None:
            checks.count("group", group)
        for field, value in {"group": group, "executor": executor}.items():
            object.__setattr__(self, field, value)
            if value is not None:
                warnings.warn(
                    f"Task.{field} is deprecated; give it to what trains, for example "
                    f"glojax.search(task, {field}=...).",
                    DeprecationWarning,
                    stacklevel=4,
                )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split.labels)} {name}" for name, split in self.splits.items())
        return f"Task({self.name!r}: {sizes}; {self.steps} steps in batches of {self.batch_size})"

    # WHAT IT IS

    @property
    def splits(self) -> dict[str, data.Split]:
        """The parts of the data, by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: data.Split(*part) for name, part in parts.items() if part is not None}  # type: ignore[arg-type]

    @property
    def flat(self) -> dict[str, data.Split]:
        """The parts of the data with the labels of rows, one for each position of each example (``dense``)."""
        return dense.flat(self.splits)

    @property
    def positions(self) -> tuple[int, ...]:
        """The axes of the outputs between ``batch`` and ``outputs``; () where an example has one label."""
        return dense.positions(self.splits["train"].labels)

    @property
    def problem(self) -> Kind:
        """The kind of problem, as a ``Kind`` also where it was given by name."""
        return problems.kind_by_name(self.kind)

    @cached_property
    def classes(self) -> int:
        """The number of classes in the labels: the largest label plus one."""
        return checks.class_count(self.flat)

    @cached_property
    def outputs(self) -> int:
        """The number of outputs of the network."""
        with jax_settings.precision(self.is_wide):
            return checks.called(self.pure_model, self.batch, True).outputs.shape[-1]

    @cached_property
    def is_wide(self) -> bool:
        """Whether a function of the task asks for 64 bits, and the user has enabled them with ``jax_enable_x64``.

        All is computed in 32 bits otherwise, and scores are those without that setting.
        """
        return jax_settings.asks_for_64_bits(self._computed)

    def _computed(self) -> Any:
        """Shapes and types of what the task's functions give; nothing is computed."""

        def compute(x: jax.Array, labels: jax.Array) -> Any:
            key, batch = jax.random.key(0), self.evaluation_input(x)
            model = models.as_model(self.model, np.zeros(batch.shape, batch.dtype))
            params, state = model.init(key)
            outputs, state = model.apply(params, state, self.training_input(key, x), key, True)
            outputs = dense.rows(outputs)
            made = self.problem.output(outputs) if callable(self.problem.output) else None
            updates, _ = self.optimizer.update(params, self.optimizer.init(params), params)
            return batch, params, state, outputs, made, updates, self.metric_function(outputs, dense.label_rows(labels))

        return jax.eval_shape(compute, *(part[: self.batch_size] for part in self.splits["train"]))

    @cached_property
    def pure_model(self) -> Model:
        """The model as pure functions."""
        # Only the shape of the example matters; a JAX array would start JAX.
        with jax_settings.precision(self.is_wide):
            return models.as_model(self.model, np.zeros(self.batch.shape, self.batch.dtype))

    @cached_property
    def contents(self) -> dict[str, Any]:
        """Digests of the data and a description of the model's arrays, JSON-able (``fingerprints.contents``)."""
        with jax_settings.precision(self.is_wide):
            made = checks.called(self.pure_model, self.batch, True)
        return fingerprints.contents(self.splits, made.params, made.state, self.batch, made.outputs)

    @cached_property
    def fingerprint(self) -> str:
        """A short digest for display, the same in every process.

        It covers the data, the shapes and types of the model's arrays, and the numbers and known names in the task's
        fields. What its functions compute is in ``identity.identity``.
        """
        return fingerprints.digest(
            {
                **self.contents,
                "length": [int(self.batch_size), int(self.steps)],
                "averaging": float(self.averaging),
                "class_weights": None if self.class_weights is None else list(self.class_weights),
                "output": self.problem.output if isinstance(self.problem.output, str) else "function",
                "metric": [metrics.name_of(self.metric_function) or "function", self.is_error],
                "functions": [self.preprocess is not None, self.augment is not None],
                **({} if self.precision is None else {"precision": self.precision}),
            }
        )

    @cached_property
    def has_gaps(self) -> bool:
        """Whether a label of the training set is unknown, so that the loss leaves it out."""
        return not known_of(self.flat["train"].labels).all()

    @cached_property
    def _has_labels_below_0(self) -> bool:
        return self.problem.has_classes and any(
            part.labels.ndim == 1 and bool((part.labels < 0).any()) for part in self.flat.values()
        )

    # THE LOSS AND THE SCORE

    def loss(self, tree: Tree | str, coefficients: Sequence[float] = (), *, protected: bool = False) -> Loss:
        """Make a loss for this task's outputs of a tree.

        Args:
          tree: f(x, y), or its expression.
          coefficients: a factor for each node. Defaults to 1 for all.
          protected: use the protected operators. Defaults to False.
        """
        return Loss(tree, tuple(coefficients), protected, self.problem.output)  # type: ignore[arg-type]

    def targets(self, labels: jax.Array, outputs: int) -> tuple[jax.Array, jax.Array | None]:
        """Convert labels to the loss's targets.

        Args:
          labels: of a minibatch, in the form that the task keeps.
          outputs: the number of outputs of the network.

        Returns:
          x ``[rows, outputs]``, a row for each position of each example, and weights that broadcast to it, or ``None``
          where all entries weigh the same.
        """
        return targets.weighed(
            self.problem, labels, outputs, self.class_weights, self.has_gaps, self._has_labels_below_0
        )

    @property
    def _given_metric(self) -> str | Metric:
        return self.problem.metric if self.metric is None else self.metric

    @property
    def metric_function(self) -> Metric:
        """The metric, as a function also where it was given by name, told by the kind what labels are."""
        return metrics.bound(metrics.metric_by_name("Task.metric", self._given_metric), self.problem.has_classes)

    @property
    def metric_name(self) -> str:
        """The metric's name in reports."""
        metric = self._given_metric
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
        return name.removeprefix("binary_").replace("_", " ")

    @property
    def is_error(self) -> bool:
        """Whether less of the metric is better."""
        return self.minimize or metrics.is_error(self.metric_function)

    @property
    def score_name(self) -> str:
        """The name of what is maximized."""
        return f"1 / (1 + {self.metric_name})" if self.is_error else self.metric_name

    def score(self, outputs: jax.Array, labels: jax.Array) -> jax.Array:
        """Compute the metric as a score: higher is better, and 0 is left for a training that failed.

        Args:
          outputs: of the network, ``[examples, ..., outputs]``.
          labels: in the form that the task keeps.
        """
        return self.as_score(self.metric_function(dense.rows(outputs), dense.label_rows(labels)))

    def as_score(self, metric: jax.Array) -> jax.Array:
        """Convert the metric to a score."""
        return 1 / (1 + metric) if self.is_error else metric

    def as_metric(self, scores: np.ndarray) -> np.ndarray:
        """Convert scores back to the metric; an error is infinite where a training failed."""
        return metrics.from_scores(scores, self.is_error)

    def check_metric(self, for_search: bool = False) -> None:
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

    # THE MODEL'S INPUT

    @property
    def raw_batch(self) -> jax.ShapeDtypeStruct:
        """Shape and type of a minibatch as the data holds it."""
        x = self.splits["train"].x
        return jax.ShapeDtypeStruct((self.batch_size, *x.shape[1:]), x.dtype)

    @cached_property
    def batch(self) -> jax.ShapeDtypeStruct:
        """Shape and type of a minibatch as the model gets it."""
        with jax_settings.precision(self.is_wide):
            return jax.eval_shape(self.evaluation_input, self.raw_batch)

    def evaluation_input(self, x: jax.Array) -> jax.Array:
        """Make the model's input for evaluation of a batch of raw inputs."""
        x = _unpacked(x)
        return x if self.preprocess is None else self.preprocess(x)

    def training_input(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """Make the model's input for training of a minibatch of raw inputs, with a key for ``augment``."""
        return self.evaluation_input(x) if self.augment is None else self.augment(key, _unpacked(x))


def _unpacked(x: jax.Array) -> jax.Array:
    """Inputs as the user's functions get them: pixels of uint8 as float32, and ids of int32 as they are."""
    return x if x.dtype == jnp.int32 else x.astype(jnp.float32)
