"""``Task``: the problem that a loss is scored on, as a model, data, an optimizer and a length of training.

It takes a user's own model and arrays, checks them by their shapes, and gives everything else in glojax what it needs:
pure functions of the model, inputs and targets of a minibatch, and scores. Which machine trains is not part of it.
"""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass
from functools import cached_property
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from flax import nnx
from jax.typing import ArrayLike

from glojax import data, deprecation, models
from glojax.defaults import derived
from glojax.distributed import jax_settings
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.models.adapters import Model
from glojax.tasks import checks, dense, fingerprints, heads, inputs, metric_checks, metrics, optimizers, sharding
from glojax.tasks import initial as initial_values
from glojax.tasks.class_weights import as_given, balanced
from glojax.tasks.inputs import Inputs
from glojax.tasks.labels import known_of
from glojax.tasks.metrics import Metric
from glojax.tasks.problems import Kind, kind_by_name
from glojax.tasks.scored import Scored
from glojax.tasks.sharding import Sharding

UserModel = nn.Module | Callable[[nnx.Rngs], nnx.Module] | tuple[Callable[..., Any], Callable[..., Any]]
"""A Linen module, an NNX constructor, or an (init, apply) pair; see ``models.as_model``."""


@dataclass(frozen=True, eq=False, repr=False)
class Task(Scored):
    """A problem and the shortened training by which a loss is scored.

        task = glojax.Task(
            flax.linen.Dense(3), (x_train, y_train), (x_validation, y_validation),
            optimizer=optax.adam(1e-3), batch_size=32, steps=500,
        )
        glojax.search(task)

    Args:
      model: a Linen module, an NNX constructor, or an (init, apply) pair (``models.as_model``).
      train, validation, test: inputs ``[examples, ...]``, a dict, tuple or NamedTuple of arrays (``tasks.inputs``),
        or for training ``data.Fed``; and labels as ``Kind`` describes them, for classes integers ``[examples]``.
        Where the model gives ``[batch, ..., outputs]``, as for pixels or tokens, labels are ``[examples, ...]`` or
        ``[examples, ..., outputs]``. Where it gives a tree of outputs, labels are such a tree, too: the loss is the sum
        of the outputs' mean losses, and the score the mean of theirs. A search never looks at the test set, and it may
        be missing.
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
      class_weight: ``"balanced"`` weighs each class, or label 0 and 1 of each output, by the inverse of its number of
        training examples (``class_weights.balanced``). Defaults to no weights.
      ignore_label: the number that stands for no label, such as -1 or 255: neither the loss nor the metric counts it.
        The task keeps -1 for it, or NaN where labels are no classes. Labels of NaN are unknown without it.
      preprocess: ``preprocess(x) -> x``, from a batch of inputs to the model's input. Defaults to the inputs.
      augment: ``augment(key, x) -> x``, in place of ``preprocess`` for minibatches in training. Candidates that share a
        seed see the same augmented inputs. Defaults to ``preprocess``.
      where: which labels take part, bool arrays ``[examples, ...]`` by the name of the part, ``{"train": mask}``, with
        the axes of the labels or of their positions. Neither the loss nor the metric sees the others, whatever they and
        the model's outputs there are, NaN too. The task keeps them as unknown labels. Defaults to all.
      has_aux: whether the model gives a pair of outputs and an auxiliary value, which is dropped. Defaults to False.
      sown_weight: factor of the losses that the model has beside its outputs, at least 0: the sum of what Linen modules
        sow in the collection ``"losses"``, and, with ``has_aux``, of ``"losses"`` in an auxiliary dict. The gradient is
        that of the mean loss plus this. Defaults to 0.
      initial: parameters that every training starts from: a pytree as the model has it, also a part of one; a Linen
        module's variables; or the path of an Orbax checkpoint or a file of safetensors. Defaults to drawn ones.
      trainable: which parameters are trained: a regular expression that their names, such as ``"Dense_0/kernel"``, are
        searched for, a function of a name, or a pytree of bools. The others keep what ``initial`` has. Defaults to all.
      averaging: share of the steps so far over which the weights, and a model's batch statistics, are averaged for
        every score, from 0, which scores the last weights, to 1. The last weights jump about with a constant learning
        rate, and so do scores of them. Training itself is not changed. Defaults to 0.2.
      sharding: how each network is spread over several devices (``Sharding``). Defaults to one device for each.
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
    train: tuple[Inputs, ArrayLike]
    validation: tuple[Inputs, ArrayLike]
    test: tuple[Inputs, ArrayLike] | None = None
    optimizer: optax.GradientTransformation = dataclasses.field(default_factory=lambda: optax.sgd(0.01))
    batch_size: int = None  # type: ignore[assignment]  # the default is made below
    steps: int = 2000
    kind: str | Kind = "classification"
    metric: str | Metric | None = None
    minimize: bool = False
    class_weights: Sequence[float] | None = None
    preprocess: Callable[[Any], Any] | None = None
    augment: Callable[[jax.Array, Any], Any] | None = None
    group: InitVar[int | None] = None
    executor: InitVar[Callable[..., Any] | None] = None
    name: str = "task"
    ignore_label: int | None = None
    averaging: float = 0.2
    where: InitVar[Mapping[str, Any] | None] = None
    has_aux: bool = False
    sown_weight: float = 0.0
    initial: Any = None
    trainable: initial_values.Trainable | None = None
    class_weight: str | None = None
    precision: str | None = None
    sharding: Sharding | None = None

    def __post_init__(
        self, group: int | None, executor: Callable[..., Any] | None, where: Mapping[str, Any] | None
    ) -> None:
        checks.machine(group)
        for field, value in {"group": group, "executor": executor}.items():
            object.__setattr__(self, field, deprecation.given_to_what_trains(f"Task.{field}", field, value))
        checks.auxiliary(self.has_aux, self.sown_weight)
        checks.precision("Task.precision", self.precision)
        if (named := heads.names_of(self.train)) is not None:
            for field, value in heads.made(self, named, where).items():
                object.__setattr__(self, field, value)
            checks.penalty(self._base_model, self.batch)
            return
        object.__setattr__(self, "kind", kind_by_name(self.kind))
        numbers = {field: inputs.whole_numbers(getattr(self, field)) for field in ("train", "validation", "test")}
        object.__setattr__(self, "ignore_label", checks.ignore_label(self.ignore_label))
        positions = dense.asked(self._adapted, self.preprocess, self.train)
        parts = [field for field in ("train", "validation", "test") if field != "test" or self.test is not None]
        dense.check_where(where, parts)
        for field in parts:
            mask = None if where is None else where.get(field)
            part = checks.split(self.problem, field, getattr(self, field), self.ignore_label, positions, mask)
            object.__setattr__(self, field, part)
        if self.ignore_label is None and self._has_labels_below_0:  # made of NaN; so the task may be made again of them
            object.__setattr__(self, "ignore_label", -1)
        checks.data(self.problem, self.flat)
        examples = len(self.splits["train"].labels)
        object.__setattr__(self, "batch_size", derived(self.batch_size, min(100, examples)))
        checks.count("batch_size", self.batch_size, examples)
        checks.count("steps", self.steps)
        checks.share("Task.averaging", self.averaging)
        metric_checks.metric(self.given_metric, self.metric_name, self.problem, self.minimize)
        metric_checks.metric_labels(self.metric_function, self.problem, self.flat)
        if isinstance(self.optimizer, optax.MultiSteps):
            object.__setattr__(self, "optimizer", self.optimizer.gradient_transformation())
        self._choose_inputs(numbers)
        with jax_settings.precision(self.is_wide):
            checks.penalty(self._base_model, self.batch)
            self._take_initial()
            sharding.check(self.sharding, models.shapes(self._base_model)[0])
            checked = optimizers.checked(self.optimizer, models.shapes(self.pure_model)[0])
        object.__setattr__(self, "optimizer", checked)
        checks.class_weight(self.class_weight, self.class_weights, self.problem)
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", checks.class_weights(self.class_weights, self.outputs))

    def _choose_inputs(self, numbers: Mapping[str, np.ndarray | None]) -> None:
        """Check the model with the inputs that it takes: float32, or int32 for whole numbers such as token ids.

        Args:
          numbers: inputs of each part, where they are whole numbers.
        """
        splits = self.splits
        whole = {field: x for field in splits if (x := numbers[field]) is not None}
        choices = ["floats", "integers"] if whole.keys() == splits.keys() else ["floats"]
        arrays = [x for x in whole.values() if not isinstance(x, data.Fed)]
        if len(choices) == 2 and any(max(int(x.max()), -int(x.min())) > 2**24 for x in arrays):
            choices.reverse()  # float32 would merge some of them
        refused: list[ValueError] = []
        for choice in choices:
            for field, (x, labels) in splits.items():
                object.__setattr__(self, field, (whole[field].astype(np.int32) if choice == "integers" else x, labels))
            for name in ("_base_model", "batch", "is_wide"):
                self.__dict__.pop(name, None)
            try:
                with jax_settings.precision(self.is_wide):
                    batch = checks.model_input(
                        self.evaluation_input,
                        self.training_input,
                        inputs.shapes(self.splits["train"].x, self.batch_size),
                    )
                    checks.model(self._base_model, batch, self.problem, self.flat, self.positions)
                return
            except ValueError as error:
                refused.append(error)
        # Of two errors the first is the model's own, unless it only asks for integers.
        raise refused[-1 if "integer" in str(refused[0]) else 0]

    def _take_initial(self) -> None:
        """Read the parameters that training starts from, and check them and which are trained."""
        params, state = models.shapes(self._base_model)
        if self.initial is not None:
            values = initial_values.checked(initial_values.read(self.initial), params, state)
            object.__setattr__(self, "initial", values)
        initial_values.frozen(self.trainable, params, self.initial or {})

    def __repr__(self) -> str:
        sizes = ", ".join(f"{inputs.count(split.labels)} {name}" for name, split in self.splits.items())
        return f"Task({self.name!r}: {sizes}; {self.steps} steps in batches of {self.batch_size})"

    # WHAT IT IS

    @property
    def splits(self) -> dict[str, data.Split]:
        """The parts of the data, by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test} | self.further_parts
        return {name: data.Split(*part) for name, part in parts.items() if part is not None}  # type: ignore[arg-type]

    @property
    def flat(self) -> dict[str, data.Split]:
        """The parts of the data with the labels of rows, one for each position of each example (``dense``).

        Of several outputs, the labels are those of the first.
        """
        return dense.flat(self.heads[0].splits)

    @property
    def heads(self) -> tuple["Task", ...]:
        """A task for each output that has labels of its own, in the tree's order; else this task alone."""
        return vars(self).get("_heads", (self,))

    @property
    def positions(self) -> tuple[int, ...]:
        """The axes of the outputs between ``batch`` and ``outputs``; () where an example has one label."""
        return dense.positions(self.heads[0].splits["train"].labels)

    @property
    def problem(self) -> Kind:
        """The kind of problem, as a ``Kind`` also where it was given by name."""
        return kind_by_name(self.kind)

    @cached_property
    def classes(self) -> int:
        """The number of classes in the labels: the largest label plus one."""
        return checks.class_count(self.flat)

    @cached_property
    def outputs(self) -> int:
        """The number of outputs of the network, of the first of several."""
        if self.heads[0] is not self:
            return self.heads[0].outputs
        with jax_settings.precision(self.is_wide):
            return checks.called(self.pure_model, self.batch, True).outputs.shape[-1]

    @cached_property
    def is_wide(self) -> bool:
        """Whether a function of the task asks for 64 bits, and the user has enabled them with ``jax_enable_x64``.

        All is computed in 32 bits otherwise, and scores are those without that setting.
        """
        if self.heads[0] is not self:
            return any(head.is_wide for head in self.heads)
        return jax_settings.asks_for_64_bits(self._computed)

    def _computed(self) -> Any:
        """Shapes and types of what the task's functions give; nothing is computed."""

        def compute(x: Inputs, labels: jax.Array) -> Any:
            key, batch = jax.random.key(0), self.evaluation_input(x)
            model = self._adapted(inputs.zeros(batch))
            params, state = model.init(key)
            outputs, state = model.apply(params, state, self.training_input(key, x), key, True)
            outputs = dense.rows(outputs)
            made = self.problem.output(outputs) if callable(self.problem.output) else None
            updates, _ = self.optimizer.update(params, self.optimizer.init(params), params)
            return batch, params, state, outputs, made, updates, self.metric_function(outputs, dense.label_rows(labels))

        return jax.eval_shape(compute, *inputs.taken(tuple(self.splits["train"]), slice(self.batch_size)))

    def _adapted(self, example: Inputs) -> Model:
        return models.as_model(self.model, example, has_aux=self.has_aux, penalized=self.sown_weight > 0)

    @cached_property
    def _base_model(self) -> Model:
        """The model as pure functions, with all its parameters."""
        with jax_settings.precision(self.is_wide):
            return self._adapted(inputs.zeros(self.batch))

    @cached_property
    def pure_model(self) -> Model:
        """The model as pure functions of the parameters that are trained; it begins with those that are given."""
        return self._base_model if self.initial is None else self._started(self.initial)

    def _started(self, values: initial_values.Values) -> Model:
        kept = initial_values.frozen(self.trainable, models.shapes(self._base_model)[0], values)
        return initial_values.started(self._base_model, values, kept)

    def holding(self, values: initial_values.Values) -> "Task":
        """The task inside a program that is given ``initial`` as an argument, so that it is there once for all.

        Args:
          values: the arrays of ``initial``, traced; empty without it.
        """
        if not values:
            return self
        held = copy.copy(self)
        vars(held)["pure_model"] = self._started(values)
        if self.heads[0] is not self:
            vars(held)["_heads"] = tuple(head.holding(values) for head in self.heads)
        return held

    @cached_property
    def contents(self) -> dict[str, Any]:
        """Digests of the data and a description of the model's arrays, JSON-able (``fingerprints.contents``)."""
        with jax_settings.precision(self.is_wide):
            made = checks.called(self.pure_model, self.batch, True)
        found = fingerprints.contents(self.splits, made.params, made.state, self.batch, made.outputs)
        if self.initial is not None:
            found["initial"] = fingerprints.digest_of_arrays(self.initial)
        return found | ({"sown_weight": float(self.sown_weight)} if self.sown_weight else {})

    @cached_property
    def fingerprint(self) -> str:
        """A short digest for display, the same in every process.

        It covers the data, the shapes and types of the model's arrays, and the numbers and known names in the task's
        fields. What its functions compute is in ``identity.identity``.
        """
        numbers = {
            "length": [int(self.batch_size), int(self.steps)],
            "averaging": float(self.averaging),
            "class_weights": as_given(self.class_weight, self.class_weights),
            "output": self.problem.output if isinstance(self.problem.output, str) else "function",
            "metric": [metrics.name_of(self.metric_function) or "function", self.is_error],
            "functions": [self.preprocess is not None, self.augment is not None],
        }
        products = {} if self.precision is None else {"precision": self.precision}
        return fingerprints.digest(self.contents | numbers | products)

    @cached_property
    def loss_weights(self) -> np.ndarray | None:
        """Factors of the loss: ``[outputs]``, or ``[outputs, 2]`` of labels 0 and 1; ``None`` where all are 1."""
        if self.class_weight is not None:
            return balanced(self.problem, self.flat["train"].labels, self.outputs)
        return None if self.class_weights is None else np.array(self.class_weights)

    @cached_property
    def has_gaps(self) -> bool:
        """Whether a label of the training set is unknown, so that the loss leaves it out."""
        return any(not known_of(head.flat["train"].labels).all() for head in self.heads)

    @cached_property
    def _has_labels_below_0(self) -> bool:
        return self.problem.has_classes and any(
            part.labels.ndim == 1 and bool((part.labels < 0).any()) for part in self.flat.values()
        )

    # THE LOSS

    def loss(self, tree: Tree | str, coefficients: Sequence[float] = (), *, protected: bool = False) -> Loss:
        """Make a loss for this task's outputs of a tree; the arguments are those of ``Loss``."""
        return Loss(tree, tuple(coefficients), protected, self.problem.output)  # type: ignore[arg-type]

    # THE MODEL'S INPUT

    @cached_property
    def batch(self) -> Any:
        """Shapes and types of a minibatch as the model gets it."""
        with jax_settings.precision(self.is_wide):
            return jax.eval_shape(self.evaluation_input, inputs.shapes(self.splits["train"].x, self.batch_size))

    def evaluation_input(self, x: Inputs) -> Inputs:
        """Make the model's input for evaluation of a batch of raw inputs."""
        x = inputs.unpacked(x)
        return x if self.preprocess is None else self.preprocess(x)

    def training_input(self, key: jax.Array, x: Inputs) -> Inputs:
        """Make the model's input for training of a minibatch of raw inputs, with a key for ``augment``."""
        return self.evaluation_input(x) if self.augment is None else self.augment(key, inputs.unpacked(x))
