"""Two virtual CPU devices for every test, and a task small enough to train in a moment."""

import os

import jax
import optax
import pytest

from glojax import data, models
from glojax.tasks import Task

if "XLA_FLAGS" not in os.environ and "JAX_NUM_CPU_DEVICES" not in os.environ:
    jax.config.update("jax_num_cpu_devices", 2)


@pytest.fixture(scope="session", autouse=True)
def cache_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is kept between processes stays out of the user's own cache."""
    os.environ["GLOJAX_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_task() -> Task:
    """200 digits for training, 100 for validation and test, a small network, 30 steps."""
    splits = [(split.x[:200], split.labels[:200]) for split in data.digits()]
    train, validation, test = splits
    return Task(
        models.MLP((16, 10)), train, (validation[0][:100], validation[1][:100]), (test[0][:100], test[1][:100]),
        optimizer=optax.sgd(0.05), batch_size=20, steps=30, name="tiny",
    )  # fmt: skip
