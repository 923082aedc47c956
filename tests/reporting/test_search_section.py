"""The sections on how the search and the tuning went."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glojax import losses
from glojax.expressions.canonical import canonical
from glojax.expressions.parsing import parse
from glojax.losses.spaces import taylor_space
from glojax.records import summary
from glojax.records.candidates import Record
from glojax.records.run import FINALS, Run
from glojax.reporting import page, search_section
from glojax.reporting.blocks import Block, Picture, Table, Text
from glojax.tasks.task import Task


def pictures(blocks: list[Block]) -> dict[str, Picture]:
    return {block.name: block for block in blocks if isinstance(block, Picture)}


def texts(blocks: list[Block]) -> list[str]:
    return [block.text for block in blocks if isinstance(block, Text)]


def test_a_search_shows_fitness_stages_random_search_and_the_baseline(made: Path) -> None:
    run = summary.read(made)
    blocks = list(search_section.search_blocks(run))
    assert list(pictures(blocks)) == ["fitness", "funnel", "random"]
    phase, best = (
        run.phases["search"],
        [max(one.fitness for one in records) for records in run.phases["search"].generations],
    )
    assert pictures(blocks)["fitness"].description == (
        f"Best fitness by generation, from {best[0]:.4f} to {best[-1]:.4f}, and the mean"
    )
    assert pictures(blocks)["funnel"].description == "Trees by stage: 27 drawn, 15 valid, 9 trained, 6 finished"
    assert phase.baseline is not None
    assert texts(blocks) == [
        f"Cross-entropy is best at 3 times the task's learning rate: validation margins {phase.baseline.fitness:.4f}. "
        "The learning rate of every candidate is derived from it."
    ]


def test_a_phase_that_has_not_finished_says_how_far_it_is(made: Path) -> None:
    run = summary.read(made)
    for name, blocks, count in (("search", search_section.search_blocks, 3), ("tune", search_section.tuning_blocks, 3)):
        phases = {**run.phases, name: dataclasses.replace(run.phases[name], is_finished=False)}
        first = next(blocks(dataclasses.replace(run, phases=phases)))
        assert isinstance(first, Text)
        assert first.text == f"Not finished yet: {count} of 3 generations are recorded."


def test_the_tuning_shows_the_best_coefficients(made: Path) -> None:
    run = summary.read(made)
    picture, text, table = search_section.tuning_blocks(run)
    assert isinstance(picture, Picture)
    assert isinstance(text, Text)
    assert isinstance(table, Table)
    best = run.phases["tune"].best
    assert best is not None
    assert [float(row[1]) for row in table.rows] == [float(f"{value:.6g}") for value in best.coefficients]
    assert text.text.startswith("CMA-ES tunes 3 of 8 coefficients")
    assert "With all of them at 1 the loss has" in text.text
    assert f"with the best ones {best.fitness:.4f}, over fresh seeds." in text.text


def test_an_ascent_from_the_coefficients_of_a_search_is_called_so(made: Path) -> None:
    run = summary.read(made)
    phase = run.phases["tune"]
    finals = [phase.finals[0]._replace(coefficients=(2.0, 1.0, 1.0)), *phase.finals[1:]]
    run.phases["tune"] = dataclasses.replace(phase, config={**phase.config, "method": "gradient"}, finals=finals)
    text = " ".join(texts(list(search_section.tuning_blocks(run))))
    assert "An ascent along derivatives tunes 3 of 8 coefficients" in text
    assert "With those of the search the loss has" in text


@pytest.mark.slow
@pytest.mark.parametrize(("losses_found", "end"), [(46, ", the smallest first"), (3, "")])
def test_an_exhaustive_search_is_a_ranking(
    losses_found: int, end: str, tiny_task: Task, tmp_path: Path, no_images: None, parsed_page: Any
) -> None:
    scores = {"x * log(y)": (0.7, 0.8), "log(y) * (x - y)": (0.9, 0.8), "x - y": (0.5, 0.4)}
    records = [
        Record(text, str(canonical(parse(text))), (), float(np.mean(two)), two, 3.0, "trained", (), 0, 60, 0.1)
        for text, two in scores.items()
    ]
    with Run(tmp_path, "exhaustive", tiny_task, {"depth": 2}, False) as run:
        run.save_generation(0, records)
        run.save("funnel", {"drawn": 25844, "trained": 3})
        run.save(FINALS, records[:2])
    ranking, funnel, *_, text = search_section.search_blocks(summary.read(tmp_path))
    assert isinstance(ranking, Picture)
    assert ranking.description.endswith("log(y) * (x - y), x * log(y) (cross_entropy), x - y")
    assert isinstance(funnel, Picture)
    assert isinstance(text, Text)
    assert text.text == "Of 25,844 trees of depth at most 2, 25,844 were drawn."  # a record of before
    with Run(tmp_path, "exhaustive", tiny_task, {"depth": 2}, True) as run:
        coverage = {"functions": 528, "gradients": 178, "directions": 147, "losses": losses_found}
        run.save("losses", {"trees": ["x * y"], "coverage": coverage, "funnel": {}})
        run.save("funnel", {"drawn": 25844, "distinct": 128, "trainable": losses_found, "trained": 3})
    assert texts(list(search_section.search_blocks(summary.read(tmp_path)))) == [
        "All 25,844 trees of depth at most 2 were covered: they compute 528 finite functions of x and y, which have "
        "178 different gradients that labels change, 147 but for their size. 128 of these differ by more than a "
        "thousandth. "
        f"{losses_found} losses passed the screening, and 3 of them were trained{end}."
    ]
    assert len(parsed_page(page.write_report(tmp_path)).titles) == 11


def test_a_taylor_polynomial_has_its_coefficients(
    tiny_task: Task, tmp_path: Path, no_images: None, parsed_page: Any
) -> None:
    space, vector = taylor_space(), (1.0, 0.5, 0.25, -1.0, 2.0, 3.0, -2.0, 0.125)
    tree = str(space.tree)
    record = Record(tree, str(canonical(space.tree)), vector, 0.6, (0.6, 0.6), 1.0, "trained", (), 0, 60, 0.1)
    with Run(tmp_path, "taylor", tiny_task, {"generations": 2}, False) as run:
        run.save_generation(0, [record])
    found = summary.read(tmp_path).found
    assert found is not None
    assert found.loss == losses.taylor((1.0, 0.5), vector[2:])
    assert "the search itself is CMA-ES" in parsed_page(page.write_report(tmp_path)).text
