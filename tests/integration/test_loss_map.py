"""The loss map and the searches replayed on it, against the trainings themselves."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glojax import SearchConfig, evaluate, tasks
from glojax.expressions.parsing import parse
from glojax.seeds import named_seed

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def modules() -> Any:
    """The scripts as modules."""
    sys.path.insert(0, str(EXPERIMENTS))
    try:
        yield importlib.import_module("loss_map"), importlib.import_module("replay")
    finally:
        sys.path.remove(str(EXPERIMENTS))


@pytest.fixture(scope="module")
def small(modules: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The map of depth 1, with few trainings."""
    output = tmp_path_factory.mktemp("map")
    given = ["loss_map", "--depth", "1", "--seeds", "2", "--more-seeds", "1", "--top", "2", "--output", str(output)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", given)
        modules[0].main()
    return output / "loss_map.parquet"


def test_a_map_holds_the_scores_of_its_trainings(modules: Any, small: Path) -> None:
    found = modules[0].read(small)
    assert {str(tree) for tree in found.trees} <= {"x * y", "y - x", "x - y", "x / y", "y / x", "x + y"}
    seeds = [named_seed(0, "loss map", number) for number in range(3)]
    for name, on in found.on.items():
        task = modules[0].TASKS[name]()
        rates = on.rates[np.arange(len(on.rates)), on.best_rates]
        best = np.isfinite(on.more[:, 0])
        assert best.sum() == min(2, len(found.trees))
        trees = [tree for tree, is_best in zip(found.trees, best, strict=True) if is_best]
        margins = evaluate(tasks.ranked(task), trees, seeds, rates=rates[best])
        np.testing.assert_allclose(on.scores[best], margins, atol=1e-4)
        for place, split in enumerate(("validation", "test")):
            accuracy = evaluate(task, trees, seeds, rates=rates[best], split=split).mean(axis=1)
            np.testing.assert_allclose(on.accuracy[best, place], accuracy, atol=1e-4)


def test_a_map_that_is_there_is_not_trained_again(
    modules: Any, small: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = small.read_bytes()
    given = [
        "loss_map",
        "--depth",
        "1",
        "--seeds",
        "2",
        "--more-seeds",
        "1",
        "--top",
        "2",
        "--output",
        str(small.parent),
    ]
    monkeypatch.setattr(sys, "argv", given)
    modules[0].main()
    assert small.read_bytes() == before
    assert len(trained) <= 2  # the baselines of the two tasks


def test_another_file_is_refused(modules: Any, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"expression": ["x * y"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"other.parquet is no loss map: experiments/loss_map.py makes one"):
        modules[0].read(tmp_path / "other.parquet")


@pytest.fixture(scope="module")
def replay(modules: Any) -> Any:
    """The searches on noisy digits, on the map that is kept."""
    found = modules[0].read(EXPERIMENTS / "loss_map.parquet")
    assert len(found.trees) == found.coverage["losses"] == found.funnel["trainable"] == 35_074
    return modules[1].Replay.of(found, "noisy_digits")


def test_a_replayed_training_is_a_look_up(replay: Any) -> None:
    on, evaluator = replay.on, replay.fitness.evaluator
    tree = parse("x * log(y)")
    row = replay.screener.row(tree)
    assert replay.screener.row(parse("x * log(y * y)")) == row  # its gradient has the same direction
    candidates = evaluator.candidates([tree] * 3, [1, 2, 3], None, on.rates[row])
    assert candidates.rates.tolist() == [0, 1, 2]
    trained = evaluator.train(candidates, [55, 166, 500], keep=lambda scores: np.array([True, False, True]))
    assert trained.steps.tolist() == [500, 55, 500]
    for rate in (0, 2):
        assert trained.scores[rate, :, 0].tolist() in on.rungs[row, rate].tolist()
    assert trained.scores[1, 1, 0] == trained.scores[1, 0, 0]
    whole = evaluator.train(evaluator.candidates([tree], [7], None, [on.rates[row, on.best_rates[row]]]), [500])
    assert whole.scores[0, 0, 0] in on.scores[row]


def test_trees_off_the_map_are_not_trainable(replay: Any) -> None:
    assert replay.screener.trainable([parse("x * log(y)"), parse("-1 * x * log(y)")]) == [True, False]


def test_a_replayed_search_is_one_of_its_seed_and_finds_good_losses(replay: Any) -> None:
    settings = {"population": 20, "finalists": 4}
    found, same, other = (replay.search(settings, repeat, 40_000) for repeat in (0, 0, 1))
    assert found == same
    assert found != other
    values = replay.values
    assert found.value == values[found.row] > np.quantile(values, 0.9)
    assert found.steps[-1] >= 40_000 > found.steps[-2]
    assert SearchConfig(**settings).pool == 1000
