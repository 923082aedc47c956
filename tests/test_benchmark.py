"""What ``glojax bench`` measures, checked where it can be known beforehand."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from glojax import benchmark, cli, data, models, tasks
from glojax.expressions import canonical, parsing
from glojax.models import convolutions
from glojax.training.trainer import Trainer


@pytest.mark.slow
def test_arithmetic_of_a_step_is_that_of_the_networks_descriptions() -> None:
    mlp = 32 * 2 * (64 * 64 * 2 + 64 * 10 * 3)  # the first layer has no gradient by its input
    cnn = 32 * 2 * (64 * 9 * 16 * 2 + 16 * 9 * 16 * 32 * 3 + 3 * (128 * 64 + 64 * 10))
    hidden = 7 * 7 * 64 * 1024 + 1024 * 10
    paper = 100 * 2 * (28 * 28 * 25 * 32 * 2 + 14 * 14 * 25 * 32 * 64 * 3 + 3 * hidden)
    a, b, c = 32 * 32, 16 * 16, 8 * 8  # points at every size
    all_cnn = 128 * 2 * (a * 27 * 96 * 2 + 3 * 9 * (a * 96**2 + b * (96**2 + 96 * 192 + 192**2) + c * 192**2))
    # The layer without padding has 6x6 outputs, and its gradient by the input pads them to 8x8.
    all_cnn += 128 * 2 * ((36 + 36 + c) * 9 * 192**2 + 3 * 36 * (192**2 + 192 * 10))
    resnet = 128 * 2 * (a * 27 * 16 * 2 + 3 * (9 * (a * 6 * 16**2 + b * 5 * 32**2 + c * 5 * 64**2) + 640))
    resnet += 128 * 2 * 3 * 10 * (b * 16 * 32 + c * 32 * 64)  # 3x3 and 1x1
    every = (("mlp", mlp), ("cnn", cnn), ("paper", paper), ("allcnn", all_cnn), ("resnet", resnet))
    for network, expected in every:
        task = benchmark.NETWORKS[network].task()
        assert benchmark.gflop_per_step(task) == pytest.approx(expected / 1e9, rel=1e-9)


@pytest.mark.parametrize("network", ["cnn", "paper"])
def test_arithmetic_is_no_less_than_what_xla_counts_of_products(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # XLA leaves the products with padding out and counts a few operations beside products. It counts a loop's body
    # once, so there must be no loop over parts of a batch.
    monkeypatch.setattr(convolutions, "_CACHE_BYTES", 2**40)
    convolutions._batched.cache_clear()  # what was traced with such a loop
    task = benchmark.NETWORKS[network].task()
    params, state = models.shapes(task.pure_model)

    def step(params: Any, x: jax.Array) -> Any:
        logits, backward = jax.vjp(lambda p: task.pure_model.apply(p, state, x, jax.random.key(0), True)[0], params)
        return backward(logits)

    x = jax.ShapeDtypeStruct((task.batch_size, *task.splits["train"].x.shape[1:]), np.float32)
    counted: Any = jax.jit(step).lower(params, x).cost_analysis()
    assert 0.75 < counted["flops"] / 1e9 / benchmark.gflop_per_step(task) < 1
    convolutions._batched.cache_clear()


@pytest.mark.slow
def test_losses_differ_have_the_size_asked_for_and_train_to_the_end() -> None:
    found = benchmark.losses(24, 12)
    assert len(found) == 24
    assert {tree.size for tree in found} == {12}
    assert len({canonical.canonical(tree) for tree in found}) == 24
    assert all(tree.has_x_and_y for tree in found)
    trainer = Trainer(tasks.digits(), instructions=31)
    assert (trainer.train(trainer.candidates(found, [0] * 24), [500]).steps == 500).all()
    assert benchmark.losses(5, 12) == found[:5]


@pytest.mark.slow
def test_a_measurement_counts_the_steps_that_were_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two losses that train and one that meets NaN at once; a clock on which every look takes a second.
    population = [parsing.parse(text) for text in ("x * log(y)", "log(y) - x / y", "x * log(y) / log(x)")]
    monkeypatch.setattr(benchmark, "losses", lambda count, nodes: tuple(population))
    monkeypatch.setattr(benchmark, "matrix_product", lambda: lambda: 2.0)
    monkeypatch.setattr(benchmark.time, "perf_counter", iter(range(1000)).__next__)
    speed = benchmark.measure(benchmark.planned("mlp", 6, steps=150, rounds=3))
    assert (speed.population, speed.steps, speed.rounds, speed.nodes) == (6, 150, 3, 16)
    steps = 4 * 150 + 2 * 100  # whether it is dead is seen after 100
    assert speed.candidate_steps_per_second == (steps, steps, steps)
    assert speed.candidates_per_second == steps / 500
    assert speed.gemm_share.median == pytest.approx(steps * speed.gflop_per_candidate_step / 2)
    assert speed.compilations == 3  # all are one group, and nobody is regrouped
    assert speed.compile_seconds > 0
    assert speed.memory_bytes > 10**8


def test_rate_of_the_matrix_product_is_that_of_numpy_within_an_order_of_magnitude() -> None:
    matrix = np.ones((2048, 2048), np.float32)
    matrix @ matrix
    started = benchmark.time.perf_counter()
    matrix @ matrix
    rate = 2 * 2048**3 / 1e9 / (benchmark.time.perf_counter() - started)
    assert 0.1 < benchmark.matrix_product()() / rate < 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rnn",), "network 'rnn' is not known; allowed are mlp, cnn, paper, cifar, allcnn, resnet or path"),
        (("mlp", "--population", 0), "population is 0; it must be at least 1"),
        (("mlp", "--rounds", -1), "rounds is -1; it must be at least 1"),
        (("mlp", "--steps", 0), "steps is 0; it must be at least 1"),
        (("mlp", "--group", 0), "group is 0; it must be at least 1"),
        (("mlp", "--nodes", 4), "nodes is 4; 5 to 64 are allowed"),
        (("mlp", "--nodes", 65), "nodes is 65; 5 to 64 are allowed"),
        (("mlp", "no.py:task"), "there is no file 'no.py'"),
        (("--devices", 0), "devices is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(
    arguments: tuple, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "measure", lambda plan: pytest.fail("measured"))
    result = CliRunner().invoke(cli.app, ["bench", *map(str, arguments)])
    assert message in str(result.exception)


OWN = """
import optax
from glojax import Task, data, models

def task():
    train, validation, _ = data.digits()
    return Task(models.MLP((8, 10)), train, validation, optimizer=optax.sgd(0.01), batch_size=10, steps=40)
"""


@pytest.mark.slow
def test_bench_prints_a_table_and_writes_the_same_figures_as_json(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    own, figures = f"{tmp_path}/own.py:task", tmp_path / "speed.json"
    arguments = ["bench", own, "--population", "3", "--population", "85", "--nodes", "10", "--rounds", "2"]
    result = CliRunner().invoke(cli.app, [*arguments, "--group", "3", "--json", str(figures)])
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert found["schema"] == 1
    assert found["machine"]["platform"] == jax.default_backend()
    assert found["machine"]["devices"] == jax.device_count()
    assert f"platform {jax.default_backend()}" in result.output
    assert [speed["population"] for speed in found["speeds"]] == [3, 85]
    for speed in found["speeds"]:
        assert (speed["network"], speed["steps"], speed["rounds"], speed["nodes"]) == (own, 40, 2, 10)
        assert speed["group"] == 3
        rate = speed["candidate_steps_per_second"]
        assert 0 < rate["lowest"] <= rate["median"] <= rate["highest"]
        assert f"{rate['median']:,.0f}" in result.output
        assert speed["candidates_per_second"] == pytest.approx(rate["median"] / 40)
        assert speed["gflop_per_candidate_step"] == pytest.approx(10 * 2 * (64 * 8 * 2 + 80 * 3) / 1e9)


@pytest.mark.slow
def test_networks_of_random_images_have_their_data_sets_shapes() -> None:
    names = ("paper", "cifar", "allcnn", "resnet")
    shapes = {name: benchmark.NETWORKS[name].task().splits["train"].x.shape[1:] for name in names}
    assert shapes == {"paper": (28, 28, 1), "cifar": (24, 24, 3), "allcnn": (32, 32, 3), "resnet": (32, 32, 3)}
    assert data.digits()[0].x.shape[1:] == benchmark.NETWORKS["mlp"].task().splits["train"].x.shape[1:]
