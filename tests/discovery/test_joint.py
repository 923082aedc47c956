"""One loss for several tasks: each has what a search of its own would give a tree, and their mean decides."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from glojax import SearchConfig, evaluate, models, search, tasks
from glojax.discovery import aggregates
from glojax.discovery.evolution import JointResult
from glojax.discovery.finals import seeds_of_finals
from glojax.discovery.fitness import Fitness
from glojax.discovery.results import Event, Known
from glojax.expressions.canonical import canonical
from glojax.expressions.parsing import parse
from glojax.records import summary
from glojax.seeds import named_seed
from glojax.tasks.task import Task

CONFIG = SearchConfig(population=6, generations=2, elites=2, seeds=1, finalists=3, final_seeds=2, seed=3)
FOLDERS = ("tiny", "tiny-40-label-noise")


@pytest.fixture(scope="module")
def both(tiny_task: Task) -> list[Task]:
    return [tiny_task, tasks.harder(tiny_task, label_noise=0.4)]


@pytest.fixture(scope="module")
def begun(both: list[Task], tmp_path_factory: pytest.TempPathFactory) -> tuple[JointResult, Path, list[Event]]:
    events: list[Event] = []
    path = tmp_path_factory.mktemp("joint") / "run"
    return search(both, CONFIG, path, on_event=events.append), path, events


def test_the_winner_has_the_scores_of_its_own_rate_on_every_task(
    both: list[Task], begun: tuple[JointResult, Path, list[Event]]
) -> None:
    found = begun[0]
    assert list(found.results) == [task.name for task in both]
    worths = []
    for task, result in zip(both, found.results.values(), strict=True):
        assert result.loss == found.loss
        assert result.baseline is not None
        seeds = seeds_of_finals(3, len(result.scores))
        scores = evaluate(tasks.ranked(task), [found.best], seeds, rates=[result.rate])[0]
        np.testing.assert_allclose(result.scores, scores, atol=1e-6)
        gain = (result.scores - result.baseline.fitness) / (10 * result.baseline.scatter)
        worths.append(expit(gain))
    np.testing.assert_allclose(found.scores, np.mean(worths, axis=0), rtol=1e-9)
    assert found.steps == sum(result.steps for result in found.results.values())


def test_fitness_is_the_mean_worth_of_what_each_tasks_record_says(
    begun: tuple[JointResult, Path, list[Event]],
) -> None:
    found, _, events = begun
    results = list(found.results.values())
    for number, generation in enumerate(found.generations):
        rows = [result.record[number] for result in results]
        worths = [
            aggregates.gains(result.baseline)(np.array([record.fitness for record in row]))  # type: ignore[arg-type]
            for result, row in zip(results, rows, strict=True)
        ]
        np.testing.assert_allclose(generation.fitness, aggregates.together(worths), rtol=1e-9)
        assert [record.expression for record in rows[0]] == [record.expression for record in rows[1]]
        assert [record.fitness for record in events[number].records] == generation.fitness.tolist()
    assert all(record.seed == named_seed(3, "search", 0) for record in results[0].record[0])


def test_every_tasks_folder_is_a_run_that_found_the_joint_winner(
    begun: tuple[JointResult, Path, list[Event]],
) -> None:
    found, path, _ = begun
    for folder, result in zip(FOLDERS, found.results.values(), strict=True):
        run = summary.read(path / folder)
        assert run.found is not None
        assert (run.found.loss, run.found.rate) == (found.loss, result.rate)
        assert run.found.fitness == pytest.approx(result.fitness)


@pytest.mark.slow
def test_a_resumed_search_ends_like_one_never_interrupted(
    both: list[Task], begun: tuple[JointResult, Path, list[Event]], trained: list[int], tmp_path: Path
) -> None:
    found, path, _ = begun
    copy = shutil.copytree(path, tmp_path / "run")
    again = search(both, CONFIG, copy, resume=True)
    assert trained == []
    assert (again.loss, again.rates, again.steps) == (found.loss, found.rates, found.steps)
    np.testing.assert_array_equal(again.scores, found.scores)
    longer = dataclasses.replace(CONFIG, generations=3)
    whole = search(both, longer)
    went_on = search(both, longer, copy, resume=True)
    assert (went_on.loss, went_on.rates, went_on.steps) == (whole.loss, whole.rates, whole.steps)


def test_a_loss_that_answers_one_class_on_any_task_does_not_win(
    both: list[Task],
    begun: tuple[JointResult, Path, list[Event]],
    trained: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, path, _ = begun
    asked: list[str] = []

    def answers(self: Fitness, known: Known) -> bool:
        asked.append(self.task.name)
        return self.task.name == both[1].name and canonical(known.tree) == canonical(found.best)

    def again(folder: str) -> JointResult:
        copy = shutil.copytree(path, tmp_path / folder)
        for one in FOLDERS:  # as if the search had been stopped before it asked
            lines = (copy / one / "events.jsonl").read_text().splitlines(keepends=True)
            (copy / one / "events.jsonl").write_text("".join(line for line in lines if "joint one class" not in line))
            (copy / one / "record.sqlite").unlink()
        return search(both, CONFIG, copy, resume=True)

    monkeypatch.setattr(Fitness, "answers_one_class", answers)
    other = again("run")
    assert trained == []
    assert other.best != found.best
    assert found.scores.mean() >= other.scores.mean()
    assert asked == [both[0].name, both[1].name] * 2
    assert (other.best, asked) == (again("resumed").best, [both[0].name, both[1].name] * 4)
    assert search(both, CONFIG, tmp_path / "run", resume=True).best == other.best
    assert len(asked) == 8  # it is on record
    monkeypatch.setattr(Fitness, "answers_one_class", lambda self, known: True)
    assert again("all").best == found.best


def test_a_record_of_several_tasks_is_resumed_by_these_alone(
    both: list[Task], begun: tuple[JointResult, Path, list[Event]], tmp_path: Path
) -> None:
    path = shutil.copytree(begun[1], tmp_path / "run")
    with pytest.raises(ValueError, match=r"was run with search setting together = .*now it is None"):
        search(both[0], CONFIG, path / "tiny", resume=True)
    with pytest.raises(ValueError, match=r"was begun with the tasks tiny, tiny, 40% label noise; these are"):
        search(both[::-1], CONFIG, path, resume=True)
    with pytest.raises(ValueError, match=r"tiny holds the run of one task; choose another run directory"):
        search(both, CONFIG, path / "tiny")


def test_what_cannot_share_a_loss_is_refused_by_name(tiny_task: Task) -> None:
    def refused(given: list[Any], message: str, **changes: Any) -> None:
        with pytest.raises(ValueError, match=message):
            search(given, dataclasses.replace(CONFIG, **changes))

    numbers = tasks.diabetes(steps=5)
    refused([tiny_task, numbers], "tasks 'tiny' and 'diabetes' cannot share a loss.*theirs are softmax and identity")
    same = dataclasses.replace(tiny_task, name="again")
    refused([tiny_task, same], "tasks 'tiny' and 'again' are the same; give each task once")
    refused([tiny_task], "tasks holds 1; give at least 2, or one task by itself")
    refused([tiny_task, "digits"], "task is 'digits'; a glojax.Task is expected")
    other = dataclasses.replace(tiny_task, model=models.MLP((8, 10)))
    refused([tiny_task, other], "aggregate is 'gains'.*fair_rates=False.*'ranks' is allowed", fair_rates=False)
    with pytest.raises(ValueError, match=r"SearchConfig\.aggregate is 'mean'; allowed are gains, ranks\."):
        SearchConfig(aggregate="mean")


def test_the_hall_of_fame_has_the_best_of_every_size_by_joint_scores_over_the_seeds_of_the_finals(
    begun: tuple[JointResult, Path, list[Event]],
) -> None:
    found, path, events = begun
    sound = {
        record.canonical: parse(record.expression).size
        for event in events
        for record in event.records
        if record.fate in ("trained", "elite") and record.fitness > 0
    }
    assert [famous.size for famous in found.hall_of_fame] == sorted({*sound.values()})
    kept = []
    for folder, result in zip(FOLDERS, found.results.values(), strict=True):
        lines = map(json.loads, (path / folder / "events.jsonl").read_text().splitlines())
        (finals,) = [line["content"] for line in lines if line.get("name") == "joint finals"]
        trees = [expression for expression, _ in finals["asked"]]
        gains = aggregates.gains(result.baseline)  # type: ignore[arg-type]
        kept.append({tree: gains(np.array(row)) for tree, row in zip(trees, finals["scores"], strict=True)})
    for famous in found.hall_of_fame:
        expected = aggregates.together([of_task[famous.record.expression] for of_task in kept])
        np.testing.assert_allclose(famous.record.scores, expected)
        assert famous.trainings == len(expected) >= 2
    assert found.simplified is not None
    assert found.simplified.tree.size <= found.best.size


def test_proposals_are_shown_joint_fitness_and_asked_for_once(both: list[Task], tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = []

    def ideas(outlook: Any) -> list[str]:
        shown.append(json.loads(json.dumps(outlook)))
        return ["log(y) - x / y", "log("]

    config = dataclasses.replace(CONFIG, finalists=1)
    found = search(both, config, tmp_path, proposals=ideas)
    assert [outlook["generation"] for outlook in shown] == [0, 1]
    assert shown[0]["task"] == "tiny and tiny, 40% label noise"
    assert shown[0]["score"] == "joint fitness by gains"
    results = list(found.results.values())
    worths = [
        aggregates.gains(result.baseline)(np.array(result.baseline.scores))  # type: ignore[arg-type, union-attr]
        for result in results
    ]
    assert shown[0]["baseline"]["fitness"] == pytest.approx(np.mean(worths))
    assert shown[0]["baseline"]["rate"] == 1
    assert shown[1]["best"][0]["fitness"] == found.generations[0].fitness.max()
    for result in results:
        assert [one.expression for one in result.record[0] if one.origin == "proposed"] == ["log(y) - x / y"]
    again = search(both, config, tmp_path, resume=True, proposals=ideas)
    assert len(shown) == 2
    assert (again.loss, again.rates) == (found.loss, found.rates)
    assert again.hall_of_fame == []


def test_ranks_need_no_baseline(both: list[Task]) -> None:
    found = search(both, dataclasses.replace(CONFIG, generations=1, aggregate="ranks", fair_rates=False))
    (generation,) = found.generations
    fitness = [np.array([record.fitness for record in result.record[0]]) for result in found.results.values()]
    shares = [(row[:, None] >= row[None]).mean(axis=1) for row in fitness]
    trains = np.min(fitness, axis=0) > 0
    np.testing.assert_allclose(generation.fitness, np.where(trains, np.mean(shares, axis=0), 0))
