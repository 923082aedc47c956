"""Ready-made tasks: digits, digits with wrong labels, diabetes, MNIST, CIFAR-10, and a table of the user's own."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optax

from glojax import data, models
from glojax.data import augmentation, tables
from glojax.tasks import metrics, optimizers
from glojax.tasks.class_weights import MOST_IMBALANCE, imbalance
from glojax.tasks.harder import harder
from glojax.tasks.metrics import Metric
from glojax.tasks.metrics_of_targets import MetricOfTarget
from glojax.tasks.problems import KINDS
from glojax.tasks.task import Task


def digits(steps: int = 500, network: str = "mlp") -> Task:
    """Handwritten digits of 8x8 pixels in 10 classes: the default task, which needs no download. Plain SGD at 0.01.

    Args:
      steps: optimizer steps of the shortened training, in batches of 32. Defaults to 500, which is 15 epochs.
      network: ``"mlp"``, with layers of 64, 64 and 10, or ``"cnn"``, with two 3x3 convolutions of 16 and 32 channels
        before layers of 64 and 10. Defaults to ``"mlp"``.

    Raises:
      ValueError: an unknown network.
    """
    networks = {"mlp": models.MLP, "cnn": models.CNN}
    if network not in networks:
        raise ValueError(f"digits: network is {network!r}; allowed are {', '.join(networks)}.")
    splits = data.digits()
    return Task(
        networks[network](), *splits, optimizer=optax.sgd(0.01), batch_size=32, steps=steps, name=f"digits-{network}"
    )


def noisy_digits(steps: int = 500, network: str = "mlp", *, label_noise: float = 0.4) -> Task:
    """The digits with wrong training labels, a setting in which a loss matters; validation and test sets are clean.

    Args:
      steps: as for ``digits``.
      network: as there.
      label_noise: share of the training labels that become any other class. Defaults to 0.4.
    """
    return harder(digits(steps, network), label_noise=label_noise)


def diabetes(steps: int = 500, *, outliers: float = 0.0) -> Task:
    """The progress of diabetes in 442 patients: a regression, which needs no download. 64 hidden units, SGD at 0.01.

    Args:
      steps: optimizer steps of the shortened training, in batches of 32. Defaults to 500.
      outliers: share of the training targets that are moved by 8 standard deviations (``tasks.harder``).
    """
    splits = data.diabetes()
    task = Task(
        models.MLP((64, 1)),
        *splits,
        optimizer=optax.sgd(0.01),
        batch_size=32,
        steps=steps,
        kind="regression",
        name="diabetes",
    )
    return harder(task, outliers=outliers)


def mnist(steps: int = 2000, data_dir: str | os.PathLike[str] | None = None) -> Task:
    """MNIST in the setting of arXiv 1905.11528: its network, plain SGD at 0.01, batches of 100.

    Args:
      steps: optimizer steps of the shortened training. Defaults to 2000.
      data_dir: where the data is kept; ``data.mnist`` says more, and what is raised.
    """
    return Task(
        models.PaperCNN(),
        *data.mnist(data_dir, raw=True),
        optimizer=optax.sgd(0.01),
        batch_size=100,
        steps=steps,
        preprocess=augmentation.from_bytes,
        name="mnist",
    )


def cifar10(steps: int = 4300, data_dir: str | os.PathLike[str] | None = None) -> Task:
    """CIFAR-10 in the setting of arXiv 1905.11528: augmented 24x24 images in batches of 1,024, SGD with weight decay.

    The learning rate is 0.05, divided by 10 every 350 epochs.

    Args:
      steps: optimizer steps of the shortened training, which the paper does not give. Defaults to 4300, which is 100
        epochs of 45,000 images.
      data_dir: where the data is kept; ``data.cifar10`` says more, and what is raised.
    """
    splits, batch_size = data.cifar10(data_dir, raw=True), 1024
    epoch = len(splits.train.labels) // batch_size
    rate = optax.exponential_decay(0.05, 350 * epoch, 0.1, staircase=True)
    return Task(
        models.CifarCNN(),
        *splits,
        optimizer=optax.chain(optax.add_decayed_weights(0.004), optax.sgd(rate)),
        batch_size=batch_size,
        steps=steps,
        preprocess=augmentation.cifar_evaluation,
        augment=augmentation.cifar_training,
        name="cifar10",
    )


_NETWORKS = {"mlp": "64 hidden units", "tabular": "periodic embeddings, two layers of 64 with batch normalization"}


def table(
    path: str | os.PathLike[str],
    target: str,
    *,
    kind: str | None = None,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    optimizer: str = "adam",
    learning_rate: float | None = None,
    batch_size: int = 32,
    steps: int = 500,
    metric: str | None = None,
    network: str = "mlp",
    on_read: Callable[[tables.TableData], object] | None = None,
    **reading: Any,
) -> Task:
    """A table, CSV or Parquet: a network of 64 hidden units predicts one of its columns from the others.

    Classes are judged by accuracy, or by balanced accuracy where one has more than ``class_weights.MOST_IMBALANCE``
    times the rows of another.

    Args:
      path: the file. Columns of numbers are scaled, and columns of text are made one-hot (``tables.read``).
      target: name of the column that is predicted.
      kind: ``"classification"``, ``"binary"`` or ``"regression"``. Defaults to what the column's values suggest.
      numeric, categorical: columns that are read as numbers, or as text. Defaults to what their values suggest.
      optimizer: a key of ``optimizers.OPTIMIZERS``. Defaults to ``"adam"``, which was ahead of ``"sgd"`` on each of
        five tables (``experiments/table_optimizers.py``).
      learning_rate: the optimizer's learning rate. Defaults to 0.01 for ``"sgd"`` and ``"momentum"``, and to 0.003 for
        the others.
      batch_size: examples in a minibatch, at most all of them. Defaults to 32.
      steps: optimizer steps of the shortened training. Defaults to 500.
      metric: a name (``metrics.metric_by_name``), where ``f1:NAME`` is F1 of the class of that name. Defaults to
        accuracy, balanced accuracy or R². With a ``target_transform`` it is of the target itself.
      network: ``"mlp"``, of 64 hidden units, or ``"tabular"``, two layers of 64 with batch normalization after periodic
        embeddings of the numbers (``models.TabularMLP``). Defaults to ``"mlp"``.
      on_read: called with what was read, such as ``lambda table: print(table.about)``.
      **reading: further options of ``tables.read``: ordinal, drop, missing, delimiter, encoding, header, target_gaps,
        target_transform, test and seed.

    Raises:
      ValueError: a table that ``tables.read`` refuses, which names column and line, or an unknown optimizer.
      FileNotFoundError: there is no such file.
    """
    if network not in _NETWORKS:
        raise ValueError(f"table: network is {network!r}; allowed are {', '.join(_NETWORKS)}.")
    if learning_rate is None:
        learning_rate = 0.01 if optimizer in ("sgd", "momentum") else 0.003
    made = optimizers.optimizer_by_name(optimizer, learning_rate)
    read = tables.read(path, target, kind=kind, numeric=numeric, categorical=categorical, **reading)
    if metric is None and (ratio := _imbalance(read)) > MOST_IMBALANCE:
        metric = "balanced_accuracy"
        read = read.with_note("Metric", f"balanced accuracy, as one class has {ratio:.3g} times the rows of another")
    read = read.with_note("Network", f"{_NETWORKS[network]}; {optimizer} at {learning_rate:g}")
    if on_read is not None:
        on_read(read)
    judged = _judged(read, _of_class(read, metric))
    return Task(
        _network(read, network),
        *read.splits,
        optimizer=made,
        batch_size=min(batch_size, len(read.splits.train.labels)),
        steps=steps,
        kind=read.kind,
        metric=judged,
        minimize=isinstance(judged, MetricOfTarget) and metrics.is_error(judged.metric),
        name=f"{Path(path).stem}-{target}",
    )


def _imbalance(read: tables.TableData) -> float:
    """How many times the rows of its rarest class the training part has of its most frequent; 1 of a regression."""
    return imbalance(KINDS["classification"], read.splits.train.labels) if read.classes else 1.0


def _of_class(read: tables.TableData, metric: str | None) -> str | None:
    """The metric with the number of a class in place of its name, as in ``f1:yes``."""
    name, _, of = (metric or "").partition(":")
    return f"{name}:{read.classes.index(of)}" if name == "f1" and of in read.classes else metric


def _judged(read: tables.TableData, metric: str | None) -> str | Metric | None:
    """The metric, of the target itself where the network is trained with another form of it."""
    scale = read.transform.target_scale
    if not scale.transform:
        return metric
    chosen = metrics.metric_by_name("table: metric", metric or "r2")
    return MetricOfTarget(chosen, scale, read.target_mean, read.target_std)


def _network(read: tables.TableData, network: str) -> models.MLP | models.TabularMLP:
    outputs = len(read.classes) if read.kind == "classification" else 1
    return models.MLP((64, outputs)) if network == "mlp" else models.TabularMLP((64, 64, outputs), _numbers(read))


def _numbers(table: tables.TableData) -> int:
    """How many inputs of a table are numbers, which come first."""
    return sum(encoding.kind != "category" for encoding in table.transform.encodings)
