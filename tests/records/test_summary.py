"""The summary of a run directory."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from glojax import losses
from glojax.records import summary
from glojax.records.candidates import Record
from glojax.records.directory import write_settings
from glojax.records.run import Run
from glojax.records.summary import PhaseSummary, differing, runs_in
from glojax.statistics import lower_bound
from glojax.tasks.task import Task


def record(name: str, fitness: float, *scores: float, steps: int = 10) -> Record:
    return Record(name, name, (), fitness, scores, 1.0, "trained", (), 0, steps, 0.0)


def phase(
    *generations: list[Record], name: str = "search", finals: tuple[Record, ...] = (), **config: object
) -> PhaseSummary:
    return PhaseSummary(name, dict(config), list(generations), {}, list(finals), None, True)


# PHASES


def test_the_ranking_has_the_latest_record_of_each_candidate() -> None:
    first, second = [record("a", 0.5), record("b", 0.4)], [record("a", 0.3), record("c", 0.4)]
    ranking = phase(first, second).ranking
    assert [(one.expression, one.fitness) for one in ranking] == [("b", 0.4), ("c", 0.4), ("a", 0.3)]


def test_the_best_is_the_fittest_or_the_finalist_with_the_best_lower_bound() -> None:
    candidates = [record("a", 0.5), record("b", 0.9)]
    assert phase(candidates).best == candidates[1]
    steady, wild = record("a", 0.5, 0.49, 0.5, 0.51, 0.5), record("b", 0.55, 0.1, 1.0, 0.1, 1.0)
    assert lower_bound(np.array(steady.scores)) > lower_bound(np.array(wild.scores))
    assert phase(candidates, finals=(wild, steady)).best == steady
    assert phase([record("a", 0.0)]).best is None
    assert phase().best is None


def test_steps_are_those_of_candidates_finals_and_the_baseline() -> None:
    whole = dataclasses.replace(
        phase([record("a", 0.5, steps=1)], [record("b", 0.5, steps=20)], finals=(record("a", 0.5, 0.5, steps=300),)),
        baseline=record("c", 0.5, steps=4000),
    )
    assert whole.steps == 4321


@pytest.mark.parametrize(
    ("name", "config", "planned"),
    [("search", {"generations": 5}, 5), ("tune", {"generations": 5}, 6), ("taylor", {"generations": 5}, 6),
     ("random search", {"generations": 5}, 0), ("exhaustive", {}, 0), ("search", {"generations": None}, 0)],
)  # fmt: skip
def test_planned_generations_count_the_start_of_cma_es(name: str, config: dict[str, int], planned: int) -> None:
    assert phase(name=name, **config).planned_generations == planned


# RUNS


def test_the_coverage_of_an_exhaustive_search_is_read(tiny_task: Task, tmp_path: Path) -> None:
    with Run(tmp_path, "exhaustive", tiny_task, {"depth": 2}, False) as run:
        run.save("losses", {"trees": ["x * y"], "coverage": {"functions": 528}, "funnel": {"drawn": 25_844}})
    assert summary.read(tmp_path).phases["exhaustive"].coverage == {"functions": 528}


@pytest.mark.parametrize("content", [["x * y"], {"coverage": 528}, {"coverage": {"functions": "many"}}])
def test_a_damaged_coverage_is_told(content: object, tiny_task: Task, tmp_path: Path) -> None:
    with Run(tmp_path, "exhaustive", tiny_task, {"depth": 2}, False) as run:
        run.save("losses", content)
    with pytest.raises(ValueError, match=r"record\.sqlite or settings\.json beside it is damaged"):
        summary.read(tmp_path)


def test_finalists_that_were_passed_over_and_gains_of_chance_do_not_win(made: Path) -> None:
    tuned = summary.read(made).phases["tune"]
    best, start = tuned.best, tuned.finals[0]
    assert best is not None
    assert best != start
    places = [place for place, record in enumerate(tuned.finals) if record != start]
    assert dataclasses.replace(tuned, passed_over=places).best == start
    measured = {"coefficients": list(best.coefficients), "mean": 0.1, "error": 0.05, "needed": 0.2}
    assert dataclasses.replace(tuned, measured=measured).best == start
    assert dataclasses.replace(tuned, measured={**measured, "needed": 0.05}).best == best
    assert dataclasses.replace(tuned, measured={**measured, "needed": 0.05, "one_class": True}).best == start
    assert dataclasses.replace(tuned, measured={**measured, "coefficients": []}).best == best


def test_a_run_is_read_whole(made: Path, tiny_task: Task) -> None:
    run = summary.read(made)
    assert (run.task.name, run.task.score, run.task.baseline) == ("tiny", "accuracy", "cross-entropy")
    assert run.task.examples == {"train": 200, "validation": 100, "test": 100}
    assert (run.task.steps, run.task.fingerprint) == (tiny_task.steps, tiny_task.fingerprint)
    assert list(run.phases) == ["search", "tune", "random search"]
    assert run.phases["search"].funnel == {"drawn": 27, "valid": 15, "trained": 9, "finished": 6}
    assert [(session.phase, session.outcome) for session in run.sessions] == [
        (name, "finished") for name in ("search", "tune", "random search", "comparison")
    ]
    assert run.state == "finished"
    assert run.steps == run.phases["search"].steps + run.phases["tune"].steps


def test_the_found_loss_is_that_of_a_tuning_that_finished(made: Path) -> None:
    run = summary.read(made)
    assert run.found is not None
    assert run.found.loss == losses.load(made / "loss.json")
    unfinished = {**run.phases, "tune": dataclasses.replace(run.phases["tune"], is_finished=False)}
    earlier = dataclasses.replace(run, phases=unfinished).found
    assert earlier is not None
    assert (str(earlier.loss.tree), earlier.loss.tuned, earlier.phase.name) == ("(x - 1) * log(y + x)", False, "search")


def test_compared_losses_have_their_own_and_their_best_rate(made: Path) -> None:
    run = summary.read(made)
    assert [loss.name for loss in run.compared] == ["cross-entropy", "found", "found, tuned", "random search"]
    assert {(loss.own.rate, loss.best.rate) for loss in run.compared} == {(1.0, 30.0)}
    assert run.found_in_comparison == run.compared[2]
    rows = [row for row in run.comparison["rows"] if not row["name"].endswith("best rate")]
    alone = dataclasses.replace(run, comparison={**run.comparison, "rows": rows})
    assert all(loss.own is loss.best for loss in alone.compared)


def test_random_search_that_found_the_same_loss_is_not_taken_for_it(made: Path) -> None:
    run = summary.read(made)
    asked = run.comparison["asked"]["losses"]
    same = {**asked, "random search": asked["found, tuned"]}
    changed = dataclasses.replace(run, comparison={**run.comparison, "asked": {"losses": same}})
    assert changed.found_in_comparison is not None
    assert changed.found_in_comparison.name == "found, tuned"


def test_scores_of_an_error_become_the_error(made: Path) -> None:
    run = summary.read(made)
    np.testing.assert_array_equal(run.as_metric(np.array([0.5, 0.25])), [0.5, 0.25])
    of_error = dataclasses.replace(run, task=run.task._replace(score="1 / (1 + rmse)", metric="rmse"))
    np.testing.assert_allclose(of_error.as_metric(np.array([0.5, 0.25, 0.0])), [1.0, 3.0, np.inf])


def test_the_state_follows_the_log_and_the_lock(copy: Path, tiny_task: Task) -> None:
    lines = (copy / "events.jsonl").read_text().splitlines(keepends=True)
    (copy / "events.jsonl").write_text("".join(lines[:-1]))
    assert summary.read(copy).state == "stopped"
    with Run(copy, "comparison", tiny_task, {}, resume=True):
        assert summary.read(copy).state == "running"
    assert summary.read(copy).state == "finished"
    (copy / "events.jsonl").unlink()
    assert summary.read(copy).state == "unknown"


def test_full_trainings_are_not_a_search(tiny_task: Task, tmp_path: Path) -> None:
    write_settings(tmp_path, "train", tiny_task, {}, False)
    with pytest.raises(ValueError, match="holds only full trainings"):
        summary.read(tmp_path)


# FOLDERS AND SETTINGS


def test_runs_are_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    for name, time in (("b", "2026-01-02"), ("c", "2026-01-01"), ("d", ""), ("a", "")):
        (tmp_path / name).mkdir()
        if time:
            event = f'{{"time": "{time}", "event": "begun", "phase": "search"}}\n'
            (tmp_path / name / "events.jsonl").write_text(event)
    (tmp_path / "file").touch()
    assert [path.name for path in runs_in(tmp_path)] == ["a", "d", "c", "b"]


def test_settings_that_differ_are_named_in_their_order() -> None:
    assert differing([{"seed": 0, "seeds": 2}, {"seed": 1, "seeds": 2, "elites": 3}]) == ["seed", "elites"]
    assert differing([{"seed": 0}, {"seed": 0}]) == []
