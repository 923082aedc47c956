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

from glojax import augmentation, checking, data, kinds, metrics, models, optimizers, tables
from glojax.kinds import Kind
from glojax.losses import Loss
from glojax.messages import listed, quoted, short
from glojax.metrics import Metric
from glojax.models import Model
from glojax.trees import Tree
from glojax.usercode import users_code

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
      minimize: whether less of a metric of your own is better. A score is then 1 / (1 + metric), as it is with rmse.
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
        object.__setattr__(self, "kind", kinds.named(self.kind))
        for field in ("train", "validation", "test"):
            if field != "test" or self.test is not None:
                object.__setattr__(self, field, checking.split(self.problem, field, getattr(self, field)))
        checking.data(self)
        checking.metric(self)
        checking.model(self)
        checking.optimizer(self)
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", checking.class_weights(self.class_weights, self.outputs))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split.labels)} {name}" for name, split in self.splits.items())
        return f"Task({self.name!r}: {sizes}; {self.steps} steps in batches of {self.batch_size})"

    @cached_property
    def outputs(self) -> int:
        """How many the network has."""
        return checking.called(self.pure_model, self.batch, True).outputs.shape[1]

    @property
    def problem(self) -> Kind:
        """The kind."""
        return kinds.named(self.kind)

    @property
    def is_error(self) -> bool:
        """Whether less of the metric is better."""
        return self.minimize or self._metric in metrics.MINIMIZED

    @property
    def _metric(self) -> Metric:
        return metrics.named("Task.metric", self.problem.metric if self.metric is None else self.metric)

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
            found = jax.jit(self._metric)(outputs, labels)
        if getattr(found, "shape", None) != ():
            raise ValueError(
                f"{name} gives {checking.described(found)} for the validation set; one number is expected."
            )
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
      ValueError: an unknown name, a file that is not there or not Python, a function that is not there, needs what is
        not given, takes no such option or returns no ``Task``. What the file itself raises passes.
    """
    if name in NAMED:
        _check_options(name, NAMED[name], options)
        return NAMED[name](**options)
    path, _, attribute = name.rpartition(":")
    if not path.endswith(".py"):
        raise ValueError(
            f"task {quoted(name)} is not known; allowed are {', '.join(NAMED)} or path/to/file.py:function."
        )
    if not os.path.isfile(path):
        raise ValueError(f"task {quoted(name)}: there is no file {quoted(path, 200)}.")
    module = _module(name, path)
    found = vars(module).get(attribute)
    _check_options(name, found, options)
    with users_code(f"task {quoted(name)}"):
        task = found(**options) if callable(found) else found
    if not isinstance(task, Task):
        others = [other for other, value in vars(module).items() if _may_be_task(value, module.__name__)]
        raise ValueError(
            f"task {quoted(name)}: {short(attribute)} in {short(path)} is no Task and no function that returns one; "
            f"there are {listed(others) or 'none'}."
        )
    return task


def _module(name: str, path: str) -> ModuleType:
    """The user's own file, run."""
    # Not under its own name, which may be that of a module that others import.
    spec = importlib.util.spec_from_file_location(f"glojax_task_{Path(path).stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = FROM_FILES[spec.name] = module  # dataclasses and pickle look there
    if (folder := str(Path(path).parent.resolve())) not in sys.path:
        sys.path.append(folder)  # the file may import its neighbours, as a script may
    with users_code(f"task {quoted(name)}: {short(path)}"):
        spec.loader.exec_module(module)
    return module


def _may_be_task(value: Any, module: str) -> bool:
    return isinstance(value, Task) or (inspect.isfunction(value) and value.__module__ == module)


def check(given: Any) -> None:
    """Raise ``ValueError`` for what is no task, such as a function that makes one."""
    if not isinstance(given, Task):
        raise ValueError(f"task is {given!r}; a glojax.Task is expected.")


def _check_options(name: str, make: Any, options: dict[str, Any]) -> None:
    """Refuse what cannot be called with these options and nothing else."""
    try:
        taken = inspect.signature(make).parameters
    except (TypeError, ValueError):  # no function, or one of C that does not say what it takes
        taken = {}
    if refused := [option for option in options if option not in taken]:
        takers = [known for known, made in NAMED.items() if refused[0] in inspect.signature(made).parameters]
        raise ValueError(f"task {quoted(name)} takes no {refused[0]}; allowed for {', '.join(takers) or 'none'}.")
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for option, parameter in taken.items():
        if parameter.default is parameter.empty and parameter.kind not in optional and option not in options:
            raise ValueError(f"task {quoted(name)} needs {short(option)}; a function that can do without is expected.")
