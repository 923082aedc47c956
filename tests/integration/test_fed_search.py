"""A search whose data is fed from TensorFlow Datasets has the record of one whose arrays lie on the devices."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest

import glojax
from glojax import data, models
from glojax.records.run import BASELINE, Run
from glojax.tasks.identity import differences, identity
from glojax.tasks.task import Task

CONFIG = glojax.SearchConfig(population=6, generations=2, elites=1, finalists=2, final_seeds=2)


def task_of(*parts: Any) -> Task:
    training: dict[str, Any] = {"optimizer": optax.sgd(0.1), "batch_size": 20, "steps": 8, "name": "mnist"}
    return Task(models.MLP((16, 10)), *parts, **training, preprocess=lambda x: x / 255)


def source(part: str, data_dir: Path) -> Any:
    tfds = pytest.importorskip("tensorflow_datasets")
    return tfds.data_source("mnist", split=part, data_dir=data_dir, download=False)


class Stopped(Exception):
    pass


def record(task: Task, run_dir: Path, interrupted: bool = False) -> list[Any]:
    """What a search keeps, without times."""

    def stop(event: Any) -> None:
        raise Stopped

    if interrupted:
        with pytest.raises(Stopped):
            glojax.search(task, CONFIG, run_dir, on_event=stop)
    glojax.search(task, CONFIG, run_dir, resume=interrupted)
    with Run(run_dir, "search", task, CONFIG, resume=True) as run:
        records = [run.once(BASELINE, list), *run.generations(), run.finals()]
    return [[one._replace(seconds=0.0) for one in part] for part in records]


def check(data_dir: Path, validation: int, run_dirs: Path) -> None:
    arrays = data.mnist(data_dir, raw=True)
    sources = [source(part, data_dir) for part in (f"train[:-{validation}]", f"train[-{validation}:]", "test")]
    fed = [data.from_source(one, "image", "label") for one in sources]
    for (_, labels), part in zip(fed, arrays, strict=True):
        np.testing.assert_array_equal(labels, part.labels)
    held, streamed = task_of(*arrays), task_of(*fed)
    assert differences(identity(streamed), identity(held)) == []
    assert record(streamed, run_dirs / "fed", interrupted=True) == record(held, run_dirs / "held")


@pytest.mark.slow
def test_a_search_fed_from_a_data_source_and_resumed_has_the_record_of_one_of_arrays(
    small_sets: Any, tmp_path: Path
) -> None:
    check(small_sets.data_dir, 100, tmp_path)


@pytest.mark.slow
def test_mnist_fed_from_a_data_source_has_the_record_of_mnist_on_the_device(
    real_images: Path, tmp_path: Path, offline: None
) -> None:
    pytest.importorskip("tensorflow_datasets")
    shutil.copytree(real_images / "mnist", tmp_path / "downloads" / "manual", copy_function=shutil.copyfile)
    check(tmp_path, 5000, tmp_path)
