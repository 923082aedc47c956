"""Real Ray on loopback of this machine: workers that are killed, stopped and added change no result."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

import glojax
from glojax import cli, tasks
from glojax.executors.protocol import Evaluator
from glojax.executors.ray_executor import RayExecutor
from glojax.records.run import BASELINE, Run
from glojax.tasks.task import Task

TASK = """
import jax.numpy as jnp
import optax
from flax import linen as nn

from glojax import Task, data


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(halved(nn.Dense(16)(x.reshape(len(x), -1))))


def halved(x):
    return jnp.maximum(x, 0) / 2


def task():
    train, validation, _ = [(split.x[:100], split.labels[:100]) for split in data.digits()]
    return Task(
        Network(), train, validation, optimizer=optax.sgd(0.1), batch_size=10, steps=18, preprocess=halved, name="own"
    )
"""
CONFIG = glojax.SearchConfig(population=12, generations=3, elites=2, finalists=2, final_seeds=2)


@pytest.fixture(scope="module")
def own_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's file, whose functions no other process can import."""
    path = tmp_path_factory.mktemp("own") / "own_task.py"
    path.write_text(TASK)
    return path


class _Disturbed:
    """An evaluator that calls a function whenever the search compares candidates during their training."""

    def __init__(self, evaluator: Evaluator, disturb: Callable[[], None]):
        self._evaluator, self._disturb = evaluator, disturb

    def __getattr__(self, name: str) -> Any:
        return getattr(self._evaluator, name)

    def train(self, *given: Any, keep: Any = None, **options: Any) -> Any:
        def disturbed(scores: np.ndarray) -> np.ndarray:
            self._disturb()
            return keep(scores)

        return self._evaluator.train(*given, keep=keep and disturbed, **options)


def _records(run_dir: Path, task: Task) -> list[Any]:
    """All that a run has recorded, except times."""
    with Run(run_dir, "search", task, CONFIG, resume=True) as run:
        records = [run.once(BASELINE, list), *run.generations(), run.finals()]
    return [[record._replace(seconds=0.0) for record in part] for part in records]


def _marked(mark: str) -> list[int]:
    """Processes that were started with this mark in their environment."""

    def environment(process: Path) -> bytes:
        try:
            return (process / "environ").read_bytes()
        except OSError:
            return b""

    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if mark.encode() in environment(path)]


def _all_gone(mark: str) -> bool:
    """Whether these processes end within half a minute."""
    until = time.monotonic() + 30
    while _marked(mark) and time.monotonic() < until:
        time.sleep(0.2)
    return not _marked(mark)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A machine of 3 cores, to which others can be added."""
    # On loopback, telling nobody, and without killing workers when other processes fill the memory.
    for name in ("ENABLE_WINDOWS_OR_OSX_CLUSTER", "USAGE_STATS_ENABLED", "memory_monitor_refresh_ms"):
        monkeypatch.setenv(f"RAY_{name}", "0")
    monkeypatch.setenv("GLOJAX_TEST", mark := f"ray {os.getpid()}")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 3, "include_dashboard": False})
    try:
        yield made
    finally:
        made.shutdown()
        assert _all_gone(mark)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_a_search_whose_workers_are_killed_added_and_stopped_has_the_record_of_one_in_this_process(
    own_file: Path, cluster: Any, tmp_path: Path
) -> None:
    task = tasks.task_by_name(f"{own_file}:task")
    glojax.search(task, CONFIG, tmp_path / "local")
    killed: list[int] = []
    stopped: list[int] = []

    def kill_in_the_middle() -> None:
        """Stop a worker, so that it gets a batch that it never finishes, and then kill it."""
        killed.append(executor.pool.processes[0])
        os.kill(killed[0], signal.SIGSTOP)
        threading.Timer(0.5, os.kill, (killed[0], signal.SIGKILL)).start()

    def stop() -> None:
        stopped.append(next(process for process in executor.pool.processes if process not in killed))
        os.kill(stopped[0], signal.SIGSTOP)

    def add() -> None:
        cluster.add_node(num_cpus=1)
        executor.pool.wait()

    events = iter([kill_in_the_middle, add, stop])
    with RayExecutor(cluster.address) as executor:
        executor.pool.wait()
        first = executor.pool.processes
        assert len(first) == 3

        def disturbed(*given: Any, **options: Any) -> Any:
            return _Disturbed(executor(*given, **options), lambda: next(events, lambda: None)())

        glojax.search(task, CONFIG, tmp_path / "ray", executor=disturbed)
        last = executor.pool.processes
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    assert next(events, None) is None
    assert len(last) == 4
    assert killed[0] not in last
    assert len(set(last) - set(first)) == 2  # in place of the killed one, and on the new machine
    assert _records(tmp_path / "ray", task) == _records(tmp_path / "local", task)


@pytest.mark.slow
def test_the_command_starts_ray_trains_the_same_and_leaves_no_process(own_file: Path) -> None:
    command = [sys.executable, "-m", "glojax", "evaluate", f"{own_file}:task", "baikal", "--seeds", "3"]
    mark = f"command {os.getpid()}"
    ended = subprocess.run(
        [*command, "--no-baseline", "--executor", "ray", "--workers", "1"],
        env=os.environ | {"GLOJAX_TEST": mark},
        timeout=300,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    scores = glojax.evaluate(tasks.task_by_name(f"{own_file}:task"), ["log(y) - x / y"], 3)  # Baikal
    assert "on 1 worker of Ray's, one core each." in ended.stdout
    assert f"{scores.mean():.4f} ± {scores.std(ddof=1):.4f}" in ended.stdout
    assert _all_gone(mark)


UNUSUAL = """
import flax.linen as nn
import numpy as np

import glojax

RANDOM = np.random.default_rng(0)
X, SHOP, LABELS = RANDOM.normal(size=(60, 5)).astype(np.float32), RANDOM.integers(0, 9, 60), np.arange(60) % 3


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, measured, shop):
        return nn.Dense(3)(measured) + nn.Embed(9, 3)(shop)


class TwoHeads(nn.Module):
    @nn.compact
    def __call__(self, x):
        return {"large": nn.Dense(2)(x), "class": nn.Dense(3)(x)}


def task_of(model, x, labels=LABELS):
    return glojax.Task(model, (x, labels), (x, labels), batch_size=10, steps=5, metric="log_loss")


def fed():
    return task_of(nn.Dense(3), glojax.data.Fed("x.npy"))


def tree():
    return task_of(TwoInputs(), {"measured": X, "shop": SHOP})


def heads():
    return task_of(TwoHeads(), X, {"class": LABELS, "large": (LABELS > 1).astype(int)})


def table():
    return task_of(glojax.models.TabularMLP((5, 3)), X)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_fed_inputs_trees_several_outputs_and_tables_are_trained_as_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("unusual.py").write_text(UNUSUAL)
    np.save("x.npy", np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32))
    with RayExecutor(workers=1) as executor:
        for kind in ("fed", "tree", "heads", "table"):
            task = tasks.task_by_name(f"unusual.py:{kind}")
            found = glojax.evaluate(task, ["x * sqrt(y)"], seeds=2, executor=executor)
            np.testing.assert_array_equal(found, glojax.evaluate(task, ["x * sqrt(y)"], seeds=2), err_msg=kind)


def test_what_cannot_be_had_with_ray_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, message in (
        ("--distributed --executor ray", "--distributed goes with --executor local"),
        ("--executor ray --devices 2", "--devices goes with --executor local"),
        ("--workers 2", "go with --executor ray alone"),
    ):
        monkeypatch.setattr(sys, "argv", ["glojax", "tune", "digits", "baikal", *given.split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_the_cluster_file_of_the_docs_is_one_of_rays() -> None:
    import ray

    page = (Path(__file__).parents[2] / "docs" / "ray.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    cluster = yaml.safe_load(block)
    jsonschema.validate(cluster, schema)
    assert cluster["head_node_type"] in cluster["available_node_types"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster | {"max_worker": 1}, schema)
