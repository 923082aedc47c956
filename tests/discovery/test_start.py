"""What a search starts from."""

from pathlib import Path

import pytest

from glojax import losses
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.start import read_start, start_trees
from glojax.expressions.parsing import parse
from glojax.tasks.task import Task


def test_expressions_come_as_they_are(tiny_task: Task) -> None:
    config = SearchConfig(start=("x*log(y)", "log(y)-x/y", "x * log(y)"))
    assert config.start == ("x * log(y)", "log(y) - x / y")
    trees = start_trees(tiny_task, config)
    assert [str(child.tree) for child in trees] == list(config.start)
    assert {(child.parents, child.origin) for child in trees} == {((), "start")}


def test_the_zoo_is_the_known_trees_without_coefficients(tiny_task: Task) -> None:
    trees = [child.tree for child in start_trees(tiny_task, SearchConfig(start=("zoo", "x * log(y)")))]
    assert {losses.baikal.tree, parse("x * log(y)"), parse("-1 * square(x - y)")} <= {*trees}
    assert len(set(trees)) == len(trees)
    assert losses.baikal_cma.tree == losses.baikal.tree or losses.baikal_cma.tree not in trees


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (("log(x",), "SearchConfig.start holds 'log\\(x': parse: column 6"),
        (("x * x",), "SearchConfig.start holds 'x \\* x': 'x \\* x' lacks y"),
        (("y + 1",), "lacks x"),
        (("x * y" + " + x * y" * 9,), "has 39 nodes; at most 32 are allowed"),
    ],
)
def test_what_cannot_be_a_candidate_is_refused_at_once(start: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchConfig(start=start)


def test_more_trees_than_the_population_has_are_refused() -> None:
    with pytest.raises(ValueError, match=r"SearchConfig\.start has 3 trees, population is 2"):
        SearchConfig(population=2, start=("x * y", "x + y", "x - y"))


def test_an_expression_stands_for_itself() -> None:
    assert read_start("log(y) - x / y") == ["log(y) - x / y"]
    assert read_start("zoo") == ["zoo"]


def test_files_and_runs_hold_expressions(tmp_path: Path, made: Path) -> None:
    (tmp_path / "some.txt").write_text("# mine\nx * log(y)\n\nx - y\nx * log(y)\n")
    assert read_start(tmp_path / "some.txt") == ["x * log(y)", "x - y"]
    losses.baikal_cma.save(tmp_path / "loss.json")
    assert read_start(tmp_path / "loss.json") == [str(losses.baikal_cma.tree)]
    searched = read_start(made)
    assert searched[:2] == ["x * log(y + x)", "(x - 1) * log(y + x)"]  # the finalists; random search has its own
    assert len(set(searched)) == len(searched)


def test_files_without_expressions_are_named(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("# nothing\n")
    with pytest.raises(ValueError, match=r"none\.txt holds no expression"):
        read_start(tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_text("x * log(y)\nlog(\n")
    with pytest.raises(ValueError, match=r"bad\.txt holds 'log\(': parse"):
        read_start(tmp_path / "bad.txt")
    with pytest.raises(FileNotFoundError, match=r"missing\.json: there is no such file"):
        read_start(tmp_path / "missing.json")
