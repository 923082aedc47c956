"""The protocol: what trains in this process and by Ray has its methods, with its arguments."""

import inspect
from typing import Any

import pytest

from glojax.executors.local import local_executor
from glojax.executors.protocol import Evaluator, Executor
from glojax.training.trainer import Trainer


def arguments(function: Any) -> dict[str, Any]:
    """Names and defaults of all arguments but self."""
    given = inspect.signature(function).parameters.values()
    return {parameter.name: parameter.default for parameter in given if parameter.name != "self"}


@pytest.mark.parametrize("method", ["candidates", "train"])
def test_a_trainer_takes_what_an_evaluator_takes(method: str) -> None:
    assert arguments(getattr(Trainer, method)) == arguments(getattr(Evaluator, method))


def test_this_process_takes_what_an_executor_takes() -> None:
    assert arguments(local_executor) == arguments(Executor.__call__)


@pytest.mark.parametrize("method", ["candidates", "train"])
def test_rays_evaluator_takes_what_an_evaluator_takes(method: str) -> None:
    from glojax.executors.ray_executor import RayEvaluator

    assert arguments(getattr(RayEvaluator, method)) == arguments(getattr(Evaluator, method))


def test_rays_executor_takes_what_an_executor_takes() -> None:
    from glojax.executors.ray_executor import RayExecutor

    assert arguments(RayExecutor.__call__) == arguments(Executor.__call__)
