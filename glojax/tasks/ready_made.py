"""Tasks that are ready to use: digits, MNIST, CIFAR-10, and a table of one's own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import optax

from glojax import (
    data,
    models,
)
from glojax.data import augmentation, tables
from glojax.tasks import optimizers
from glojax.tasks.task import Task

if TYPE_CHECKING:
    pass


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
    made = optimizers.optimizer_by_name(optimizer, learning_rate)
    read = tables.read(path, target, kind=kind, numeric=numeric, categorical=categorical)
    outputs = len(read.classes) if read.kind == "classification" else 1
    return Task(
        models.MLP((64, outputs)), *read.splits, optimizer=made, steps=steps, kind=read.kind,
        batch_size=min(batch_size, len(read.splits.train.labels)), name=f"{Path(path).stem}-{target}",
    )  # fmt: skip
