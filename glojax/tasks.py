"""Tasks: what a loss is judged on - a model, data, an optimizer and a length of training.

``Task`` takes a user's own model and arrays; ``digits``, ``mnist`` and ``cifar10`` are ready-made. ``named`` finds
either from the command line.
"""

import dataclasses
import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax import augmentation, data, kinds, metrics, models, optimizers, tables
from glojax.kinds import Kind
from glojax.losses import Loss
from glojax.metrics import Metric
from glojax.models import Model
from glojax.trees import Tree

if TYPE_CHECKING:
    from glojax.evaluators import Executor


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """A problem and the shortened training that a loss is scored by.

    Attributes:
      model: a Linen module, an NNX constructor, or an (init, apply) pair (``models.as_model``).
      train, validation, test: inputs ``[examples, ...]`` and labels as ``Kind`` says, for classification integers
        ``[examples]``; the test set is left alone until a search has ended, and may be missing. Inputs of uint8 are
        kept as such, a quarter of the memory, and are float32 of the same values for what follows.
      optimizer: any optax optimizer; a candidate may scale its updates (``populations.Candidates``).
      batch_size: examples a step.
      steps: optimizer steps of the shortened training.
      kind: ``"classification"``, ``"binary"``, ``"multi-label"``, ``"regression"``, or a ``Kind``.
      metric: a key of ``metrics.METRICS``, or ``metric(outputs, labels) -> scalar``, finite and at least 0, with labels
        as the kind keeps them; the kind's if left out.
      minimize: whether less of a metric of your own is better. A score is then 1 / (1 + metric).
      class_weights: of each output, by which its part of the loss is multiplied; for classification that of an
        example's class weighs the whole example. Metrics know nothing of them.
      preprocess: ``preprocess(x) -> x``, from a batch of inputs to what the model is given; the inputs if left out.
      augment: ``augment(key, x) -> x``, in place of ``preprocess`` for the minibatches of training; all candidates
        that share a seed share what it draws.
      group: candidates trained together on a device, at most, and so the memory that a step takes; left out, as many
        as fit (``groups.group_that_fits``). Scores do not depend on it.
      executor: makes what trains candidates (``evaluators``); left out, this process does. Scores do not depend on it.
      name: for the run directory and reports.

    Raises:
      ValueError: inputs that are not finite, labels of the wrong shape, type or range, a single class, sizes that
        do not fit, an unknown kind or metric, or a model whose output is not ``[batch, outputs]``; the message names
        the field.
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
        object.__setattr__(self, "kind", kinds.named(self.kind))
        for field in ("train", "validation", "test"):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, _checked_split(self.problem, field, getattr(self, field)))
        shapes = {field: split.x.shape[1:] for field, split in self.splits.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"Task: inputs differ in shape: {shapes}; all parts must have one shape.")
        labels = self.splits["train"].labels
        present = np.unique(labels[~np.isnan(labels)])
        if len(present) < 2:
            raise ValueError(f"Task.train has labels of one class, {present.tolist()}; at least two are needed.")
        size = len(self.splits["train"].labels)
        if not 1 <= self.batch_size <= size:
            raise ValueError(f"Task.batch_size is {self.batch_size}; 1 to {size}, the training examples, are allowed.")
        for field in ("steps", "group"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ValueError(f"Task.{field} is {value}; it must be at least 1.")
        if isinstance(self.metric, str) and self.metric not in metrics.METRICS:
            raise ValueError(f"Task.metric is {self.metric!r}; {', '.join(metrics.METRICS)} or a function is allowed.")
        self._check_model()
        if self.class_weights is not None:
            weights = np.asarray(self.class_weights, float)
            if weights.shape != (self.outputs,) or not (np.isfinite(weights) & (weights > 0)).all():
                raise ValueError(
                    f"Task.class_weights is {self.class_weights}; a number above 0 for each of the {self.outputs} "
                    "outputs is expected."
                )
            object.__setattr__(self, "class_weights", tuple(weights.tolist()))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split.labels)} {name}" for name, split in self.splits.items())
        return f"Task({self.name!r}: {sizes}; {self.steps} steps in batches of {self.batch_size})"

    def _check_model(self) -> None:
        augmented = jax.eval_shape(lambda x: self.training_input(jax.random.key(0), x), self._raw_batch)
        if (augmented.shape, augmented.dtype) != (self.batch.shape, self.batch.dtype):
            raise ValueError(
                f"Task.augment gives {augmented.dtype}{list(augmented.shape)}, and evaluation gives the model "
                f"{self.batch.dtype}{list(self.batch.shape)}; both must be alike."
            )
        shape = jax.eval_shape(self._example_outputs).shape
        fits = len(shape) == 2 and shape[0] == self.batch_size
        if self.problem.has_classes and not (fits and shape[1] >= self.classes):
            raise ValueError(
                f"Task.model gives an output of shape {list(shape)} for a batch of {self.batch_size}; "
                f"[batch, classes] with at least {self.classes} classes, as many as the labels name, is expected."
            )
        columns = {name: split.labels.shape[-1] for name, split in self.splits.items()}
        if not self.problem.has_classes and not (fits and set(columns.values()) == {shape[1]}):
            raise ValueError(
                f"Task.model gives an output of shape {list(shape)} for a batch of {self.batch_size}, and labels have "
                f"{columns} columns; [batch, outputs] with an output for each column is expected."
            )

    @cached_property
    def outputs(self) -> int:
        """How many the network has."""
        return jax.eval_shape(self._example_outputs).shape[1]

    @property
    def problem(self) -> Kind:
        """The kind."""
        return kinds.named(self.kind)

    @property
    def is_error(self) -> bool:
        """Whether less of the metric is better."""
        return self.minimize or self.metric in metrics.MINIMIZED

    @property
    def _metric(self) -> Metric:
        metric = self.problem.metric if self.metric is None else self.metric
        return metrics.METRICS[metric] if isinstance(metric, str) else metric

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
        found = self._metric(outputs, labels)
        return 1 / (1 + found) if self.is_error else found

    def as_metric(self, scores: np.ndarray) -> np.ndarray:
        """Scores as the metric that they stand for; an error is infinite where a training failed."""
        with np.errstate(divide="ignore"):
            return 1 / np.asarray(scores, float) - 1 if self.is_error else scores

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
        labels = self.splits["validation"].labels
        outputs = np.random.default_rng(0).normal(size=(len(labels), self.outputs)).astype(np.float32)
        found = np.asarray(jax.jit(self._metric)(outputs, labels))
        if found.shape != () or not np.isfinite(found) or (for_search and found < 0):
            raise ValueError(
                f"Task.metric, {self.metric_name}, gives {found} of random outputs for the validation set; one finite "
                f"number{' of at least 0' * for_search} is expected."
            )

    def _example_outputs(self) -> jax.Array:
        key = jax.random.key(0)
        params, state = self.pure_model.init(key)
        return self.pure_model.apply(params, state, jnp.zeros(self.batch.shape, self.batch.dtype), key, True)[0]

    @property
    def _raw_batch(self) -> jax.ShapeDtypeStruct:
        x = self.splits["train"].x
        return jax.ShapeDtypeStruct((self.batch_size, *x.shape[1:]), x.dtype)

    @cached_property
    def batch(self) -> jax.ShapeDtypeStruct:
        """Shape and type of a minibatch as the model is given it."""
        return jax.eval_shape(self.evaluation_input, self._raw_batch)

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
    def fingerprint(self) -> str:
        """Digest of what a score depends on: the data, the shapes of the parameters and the length of training.

        Of ``preprocess`` and ``augment``, it tells whether they are there, and their names.
        """
        digest = hashlib.sha256()
        for name, split in self.splits.items():
            digest.update(name.encode() + split.x.tobytes() + split.labels.tobytes())
        params, _ = models.shapes(self.pure_model)
        shapes = [
            (jax.tree_util.keystr(path), leaf.shape) for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        ]
        digest.update(repr((shapes, self.batch_size, self.steps)).encode())
        if (self.problem, self.metric, self.class_weights) != (kinds.KINDS["classification"], None, None):
            digest.update(repr((self.problem.output, self.metric_name, self.is_error, self.class_weights)).encode())
        for field in ("preprocess", "augment"):
            if (function := getattr(self, field)) is not None:
                name = getattr(function, "__qualname__", type(function).__qualname__)
                digest.update(f"{field} {name}".encode())
        return digest.hexdigest()[:16]


def _checked_split(kind: Kind, field: str, split: Any) -> data.Split:
    try:
        x, labels = (np.asarray(part) for part in split)
    except (TypeError, ValueError):
        raise ValueError(f"Task.{field} must be a pair of arrays (inputs, labels).") from None
    x = x if x.dtype == np.uint8 else x.astype(np.float32)
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(
            f"Task.{field}: inputs have shape {list(x.shape)}; [examples, ...] with an example is expected."
        )
    if not np.isfinite(x).all():
        rows = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        raise ValueError(f"Task.{field}: inputs of {len(rows)} examples are NaN or infinite, the first at {rows[0]}.")
    return data.Split(x, kind.checked(field, labels, len(x)))


# READY-MADE


def digits(steps: int = 500, network: str = "mlp") -> Task:
    """Handwritten digits, 8x8 pixels, 10 classes: the embedded default, with plain SGD.

    Args:
      steps: of the shortened training, in batches of 32; 500 are 15 epochs.
      network: ``"mlp"``, 64-64-10, or ``"cnn"``, two 3x3 convolutions of 16 and 32 channels, then 64 and 10.
    """
    networks = {"mlp": models.MLP, "cnn": models.CNN}
    if network not in networks:
        raise ValueError(f"digits: network is {network!r}; allowed are {', '.join(networks)}.")
    splits = data.digits()
    return Task(
        networks[network](), *splits, optimizer=optax.sgd(0.01), batch_size=32, steps=steps, name=f"digits-{network}"
    )


def mnist(steps: int = 2000, data_dir: str | os.PathLike[str] | None = None) -> Task:
    """MNIST in the setting of arXiv 1905.11528: its network, plain SGD at 0.01, batches of 100.

    Args:
      steps: of the shortened training.
      data_dir: as for ``data.mnist``, which also tells what is raised.
    """
    return Task(
        models.PaperCNN(), *data.mnist(data_dir, raw=True), optimizer=optax.sgd(0.01), batch_size=100, steps=steps,
        preprocess=augmentation.from_bytes, name="mnist",
    )  # fmt: skip


def cifar10(steps: int = 4300, data_dir: str | os.PathLike[str] | None = None) -> Task:
    """CIFAR-10 in the setting of arXiv 1905.11528: augmented 24x24 images in batches of 1,024, SGD with weight decay.

    The learning rate is 0.05, divided by 10 every 350 epochs.

    Args:
      steps: of the shortened training, on which the paper is silent; 4,300 are 100 epochs of 45,000 images.
      data_dir: as for ``data.cifar10``, which also tells what is raised.
    """
    splits, batch_size = data.cifar10(data_dir, raw=True), 1024
    epoch = len(splits.train.labels) // batch_size
    rate = optax.exponential_decay(0.05, 350 * epoch, 0.1, staircase=True)
    return Task(
        models.CifarCNN(), *splits, optimizer=optax.chain(optax.add_decayed_weights(0.004), optax.sgd(rate)),
        batch_size=batch_size, steps=steps, preprocess=augmentation.cifar_evaluation,
        augment=augmentation.cifar_training, name="cifar10",
    )  # fmt: skip


def table(
    path: str | os.PathLike[str],
    target: str,
    *,
    kind: str | None = None,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    optimizer: str = "sgd",
    learning_rate: float = 0.01,
    batch_size: int = 32,
    steps: int = 500,
) -> Task:
    """A CSV file, one of whose columns is to be told from the others by a network of 64 hidden units.

    Args:
      path: of the file; its columns are scaled, or one-hot where they hold text (``tables.read``).
      target: name of the column.
      kind: ``"classification"``, ``"binary"`` or ``"regression"``; by the column's values if left out.
      numeric, categorical: columns that are to be taken as such.
      optimizer: a key of ``optimizers.OPTIMIZERS``.
      learning_rate: of it.
      batch_size: examples a step, fewer where there are not so many.
      steps: of the shortened training.

    Raises:
      ValueError: what ``tables.read`` refuses, naming column and line, or an unknown optimizer.
      FileNotFoundError: there is no such file.
    """
    made = optimizers.named(optimizer, learning_rate)
    read = tables.read(path, target, kind=kind, numeric=numeric, categorical=categorical)
    outputs = len(read.classes) if read.kind == "classification" else 1
    return Task(
        models.MLP((64, outputs)), *read.splits, optimizer=made, steps=steps, kind=read.kind,
        batch_size=min(batch_size, len(read.splits.train.labels)), name=f"{Path(path).stem}-{target}",
    )  # fmt: skip


FROM_FILES: dict[str, ModuleType] = {}
"""What ``named`` has loaded; by these names no other process can import them."""

NAMED: dict[str, Callable[..., Task]] = {"digits": digits, "mnist": mnist, "cifar10": cifar10}


def named(name: str, **options: Any) -> Task:
    """The ready-made task of that name, or what ``path/to/file.py:function`` of the user's own returns.

    Args:
      name: a key of ``NAMED``, or a Python file and a function (or a ``Task``) in it.
      **options: passed on to the ready-made task or the function.

    Raises:
      ValueError: an unknown name, a file or function that is not there, a function that returns no ``Task``, or an
        option that it does not take.
    """
    if name in NAMED:
        _check_options(name, NAMED[name], options)
        return NAMED[name](**options)
    path, _, attribute = name.rpartition(":")
    if not path:
        raise ValueError(f"task {name!r} is not known; allowed are {', '.join(NAMED)} or path/to/file.py:function.")
    if not Path(path).is_file():
        raise ValueError(f"task {name!r}: there is no file {path}.")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"task {name!r}: {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = FROM_FILES[spec.name] = module
    spec.loader.exec_module(module)
    found = getattr(module, attribute, None)
    _check_options(name, found, options)
    task = found(**options) if callable(found) else found
    if not isinstance(task, Task):
        raise ValueError(f"task {name!r}: {attribute} in {path} is no Task and no function that returns one.")
    return task


def _check_options(name: str, make: Any, options: dict[str, Any]) -> None:
    taken = inspect.signature(make).parameters if options and callable(make) else {}
    if refused := [option for option in options if option not in taken]:
        takers = [known for known, made in NAMED.items() if refused[0] in inspect.signature(made).parameters]
        raise ValueError(f"task {name!r} takes no {refused[0]}; allowed for {', '.join(takers) or 'none'}.")
