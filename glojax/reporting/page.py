"""The report of a run: one HTML page that needs nothing else, and its figures as images beside it."""

import itertools
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from glojax import files
from glojax.records import summary
from glojax.records.summary import Overview
from glojax.reporting import conclusions, figures, formula, sections, style
from glojax.reporting.blocks import Block, Picture
from glojax.reporting.numbers import effect, number, p_value, signed


def write(run_dir: str | os.PathLike[str], output: str | os.PathLike[str] | None = None) -> Path:
    """Write the report of a run, which may be going on, and its figures into a folder of the page's name beside it.

    Args:
      run_dir: of the run.
      output: the page, ``report.html`` in the run's directory if left out.

    Returns:
      Where the page is.

    Raises:
      ValueError: no run, or a damaged one; the message names the file.
      OSError: a file that cannot be read or written.
    """
    run = summary.read(run_dir)
    path = Path(run_dir) / "report.html" if output is None else Path(output)
    if path.suffix == "":
        raise ValueError(f"{path} is to be the page; give it an ending such as .html, as its figures go into a folder.")
    try:
        parts, formula = sections.sections_of(run), _formula(run)
    except ValueError as error:
        raise ValueError(f"{run.directory} cannot be shown, its record may be damaged: {error}.") from None
    pictures = [block for part in parts for block in part.blocks if isinstance(block, Picture)]
    figures = {picture.name: picture.figure for picture in [*pictures, *([formula] if formula else [])]}
    for name, figure in (figures | {"overview": _overview(run)}).items():
        style.save(figure, path.with_suffix("") / f"{name}.png")
    files.write_atomically(path, _template().render(run=run, sections=parts, formula=formula, tiles=_tiles(run)))
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
    """Blocks in their order, pictures that follow one another together."""
    return [list(group) for _, group in itertools.groupby(blocks, key=lambda block: block.kind == "picture")]


def _formula(run: Overview) -> Picture | None:
    if run.found is None:
        return None
    return Picture("formula", formula.formula(run.found.loss), "", f"f(x, y) = {run.found.loss}", text_as_paths=True)


def _tiles(run: Overview) -> list[tuple[str, str, str]]:
    """The numbers that matter: name, value, remark."""
    if run.found is None:
        return []
    found = None if run.entry is None else conclusions.against(run, run.entries[0].best, run.entry.best)
    if run.entry is None or found is None:
        has_finals = run.found.phase.is_ended and run.found.phase.finals
        remark = "mean over fresh seeds" if has_finals else "as the search saw it"
        return [(f"Validation {run.about.score}", number(run.found.fitness), remark)]
    label, seeds = f"{conclusions.split(run).capitalize()} {run.about.metric}", len(run.entry.best.validation)
    low, high = signed(found.difference.low), signed(found.difference.high)
    return [
        (label, number(found.other.mean), f"± {number(found.other.std)} over {seeds} fresh seeds"),
        (run.about.baseline.capitalize(), number(found.base.mean), f"± {number(found.base.std)}, at its best rate"),
        ("Difference", signed(found.difference.mean), f"{low} to {high} at 95%"),
        ("Welch's p", p_value(found.p), f"Hedges' g {effect(found.effect)}"),
    ]


def _overview(run: Overview) -> Figure:
    searched = next((run.phases[name] for name in summary.SEARCHES if name in run.phases), None)
    tuned = run.phases.get("tune")
    funnel = searched.funnel if searched and any(searched.funnel.values()) else {}
    return figures.search_figure(
        searched.generations if searched else [], funnel, tuned.generations if tuned else [], sections.curves_of(run),
        score=run.about.score,
    )  # fmt: skip
