"""The report of a run: one HTML page that needs nothing else, and its figures as images beside it."""

import itertools
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from glojax import files, statistics
from glojax.records import summary
from glojax.records.comparisons import BEST_KNOWN
from glojax.records.summary import RunSummary
from glojax.reporting import conclusions, figures, formula, style
from glojax.reporting.blocks import Block, Picture
from glojax.reporting.conclusions import LossDifference
from glojax.reporting.loss_section import curves_of
from glojax.reporting.numbers import number, p_in_words, signed
from glojax.reporting.sections import sections_of


def write_report(run_dir: str | os.PathLike[str], output: str | os.PathLike[str] | None = None) -> Path:
    """Write the report of a run, which may be going on, and its figures into a folder beside it.

    Args:
      run_dir: the run directory.
      output: the page; the folder of figures gets its name without the ending. Defaults to ``report.html`` in the run
        directory.

    Returns:
      The path of the page.

    Raises:
      ValueError: not a run, or a damaged one; the message names the file.
      OSError: a file cannot be read or written.
    """
    run = summary.read(run_dir)
    path = Path(run_dir) / "report.html" if output is None else Path(output)
    if path.suffix == "":
        raise ValueError(f"{path} needs an ending such as .html: the folder of its figures has the name without it.")
    try:
        sections, formula = sections_of(run), _formula(run)
    except ValueError as error:
        raise ValueError(f"{run.directory} cannot be shown, its record may be damaged: {error}.") from None
    pictures = [block for section in sections for block in section.blocks if isinstance(block, Picture)]
    images = {picture.name: picture.figure for picture in [*pictures, *([formula] if formula else [])]}
    for name, figure in (images | {"overview": overview(run)}).items():
        style.save(figure, path.with_suffix("") / f"{name}.png")
    files.write_atomically(path, _template().render(run=run, sections=sections, formula=formula, tiles=_tiles(run)))
    return path


@lru_cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("glojax.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["groups"] = _groups
    return environment.get_template("report.html")


def _groups(blocks: Sequence[Block]) -> list[list[Block]]:
    """Blocks in their order, with consecutive pictures in one group."""
    return [list(group) for _, group in itertools.groupby(blocks, key=lambda block: block.kind == "picture")]


def _formula(run: RunSummary) -> Picture | None:
    if run.found is None:
        return None
    return Picture("formula", formula.formula(run.found.loss), "", f"f(x, y) = {run.found.loss}", text_as_paths=True)


def _tiles(run: RunSummary) -> list[tuple[str, str, str]]:
    """The numbers that matter most: name, value, remark."""
    if run.found is None:
        return []
    ours = run.found_in_comparison
    found = conclusions.differences(run)
    if ours is None or (difference := found.get(run.compared[0].name)) is None:
        has_finals = run.found.phase.is_finished and run.found.phase.finals
        remark = "mean over fresh seeds" if has_finals else "as measured by the search"
        return [(f"Validation {run.ranking_of(run.found.phase)}", number(run.found.fitness), remark)]
    label, seed_count = f"{conclusions.judged_split(run).capitalize()} {run.task.metric}", len(ours.best.validation)
    is_told = seed_count >= statistics.FEWEST_SEEDS
    tiles = [
        (label, number(difference.other.mean), f"± {number(difference.other.std)} over {seed_count} fresh seeds"),
        _beside(run.task.baseline.capitalize(), difference, is_told),
    ]
    if BEST_KNOWN in found and run.best_known not in ("", run.task.baseline):
        tiles.append(_beside(f"Best known: {run.best_known}", found[BEST_KNOWN], is_told))
    return tiles


def _beside(name: str, found: LossDifference, is_told: bool) -> tuple[str, str, str]:
    """A tile of another loss at its best rate."""
    judged = p_in_words(found.p) if is_told else "too few seeds to say more"
    return name, number(found.base.mean), f"this loss minus it: {signed(found.difference.mean)}, {judged}"


def overview(run: RunSummary) -> Figure:
    """The figure that shows the whole run: fitness by generation, tuning, screening, and the found loss."""
    searched = run.searched
    tuned = run.phases.get("tune")
    shown = searched or tuned
    return figures.search_figure(
        searched.generations if searched else [],
        searched.funnel if searched and any(searched.funnel.values()) else {},
        tuned.generations if tuned else [],
        curves_of(run),
        score=run.task.score if shown is None else run.ranking_of(shown),
    )
