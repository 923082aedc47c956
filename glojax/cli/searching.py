"""The command ``glojax search``: the library's ``discover``, and what is shown of it."""

import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from glojax.cli.comparison_tables import say_comparison, say_conclusions
from glojax.cli.help_panels import DISCOVER
from glojax.cli.joint_searching import search_jointly
from glojax.cli.json_results import of_discovery, with_json
from glojax.cli.multiprocess import in_several_processes
from glojax.cli.options import (
    MakeTask,
    Resume,
    RunDir,
    TaskNames,
    check_resume,
    command,
    console_of,
    plain,
    say_device,
    stop_cleanly,
)
from glojax.cli.progress import ProgressDisplay, funnel_line
from glojax.cli.search_settings import with_search_settings
from glojax.cli.signatures import renamed_option
from glojax.cli.table_options import with_task_or_table
from glojax.cli.trackers import Tensorboard, Track, scalars_of
from glojax.cli.training import with_training

if TYPE_CHECKING:
    from glojax.discovery.exhaustive import ExhaustiveResult
    from glojax.discovery.results import Result
    from glojax.discovery.tuning import TuningResult
    from glojax.tasks.task import Task
    from glojax.workflow import Discovery, DiscoveryConfig


ProposalCommand = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help="A program that is given the best losses as JSON before each generation and answers with expressions.",
    ),
]
ProposalSeconds = Annotated[float, typer.Option(help="After which that program is stopped.")]


@command(
    rich_help_panel=DISCOVER, epilog="Example: `glojax search digits --generations 30 --run-dir runs/digits --seed 1`"
)
@in_several_processes
@with_training
@renamed_option("control", "random_search")
@with_task_or_table
@functools.partial(with_search_settings, before="tensorboard")
@with_json
def search(
    context: typer.Context,
    task: TaskNames = None,
    tensorboard: Tensorboard = False,
    track: Track = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    proposals: ProposalCommand = None,
    proposal_seconds: ProposalSeconds = 300.0,
    *,
    config: "DiscoveryConfig",
    make_task: MakeTask,
    trains: dict[str, Any],
) -> dict[str, Any]:
    """Discover a loss: a search, coefficient tuning, and a comparison with cross-entropy and the best known loss.

    Of several tasks, one loss is searched for all of them, and compared on each.
    """
    import glojax
    from glojax.discovery.proposals import Command

    console = console_of()
    check_resume(resume, run_dir)
    asked = None if proposals is None else Command(proposals, proposal_seconds)
    run_dir = Path("runs") / time.strftime("%Y%m%d-%H%M%S") if run_dir is None else run_dir
    stop_cleanly(context, run_dir)
    scalars = scalars_of(track, tensorboard, run_dir)
    jobs = [make_task(name, keep_in=run_dir) for name in task or [None]]
    if len(jobs) > 1:
        return search_jointly(console, jobs, config, run_dir, resume, scalars, asked, trains)
    job = jobs[0]
    say_device(console, job, trains)
    console.print("Compiling, and training the baseline ...")
    shown = _Shown(console, job, config, ProgressDisplay(console, _titles(job), scalars))
    with shown.progress:
        found = glojax.discover(
            job,
            config,
            run_dir,
            resume=resume,
            on_phase=shown.phase,
            on_event=shown.progress.show,
            on_result=shown.result,
            proposals=asked,
            **trains,
        )
    say_comparison(console, job, found)
    if scalars is not None:
        scalars.finish()
    said = say_conclusions(console, run_dir)
    _say_end(console, found, run_dir)
    return of_discovery(job, found, said)


# WHAT IS SHOWN


def _titles(job: "Task") -> dict[str, str]:
    return {
        "search": f"search on {job.name}",
        "exhaustive": f"exhaustive search on {job.name}, batch",
        "taylor": f"Taylor polynomials on {job.name}",
        "tune": "tuning",
        "random search": "random search of the same budget, draw",
    }


class _Shown:
    """Prints what each phase of a discovery found, when it ends."""

    def __init__(self, console: Console, job: "Task", config: "DiscoveryConfig", progress: ProgressDisplay):
        self._console, self._job, self._config, self.progress = console, job, config, progress
        self._score = config.search.ranked(job).score_name

    def phase(self, name: str) -> None:
        """A phase begins."""
        self.progress.begin(name)
        baseline, seeds = self._job.problem.baseline_name, self._config.seeds
        said = {
            "exhaustive": "Finding the losses that train differently, which takes minutes at depth 3 ...",
            "known losses": "Trying the known losses ...",
            "comparison": f"Comparing with {baseline} and the best of these over {seeds} fresh seeds ...",
            "full training": "Training them in full ...",
        }
        if name in said:
            self._console.print(said[name])

    def result(self, result: "Result") -> None:
        """A search has ended."""
        self.progress.end()
        say = {
            "search": self._search,
            "exhaustive": self._exhaustive,
            "taylor": self._taylor,
            "tune": self._tuning,
            "random search": self._random_search,
        }
        say[result.phase](result)

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def _baseline(self, result: "Result") -> None:
        if result.baseline is not None:
            name = self._job.problem.baseline_name.capitalize()
            score = f"validation {self._score} {result.baseline.fitness:.4f}"
            self._print(f"{name}: best at x{result.baseline.rate:g} of the task's learning rate, {score}.")
            seeds, scatter = len(result.baseline.scores), result.baseline.scatter
            self._print(f"Noise: one training of it scatters by {scatter:.4f} (standard deviation of {seeds} seeds).")

    def _search(self, result: "Result") -> None:
        self._baseline(result)
        self._print(f"Trees: {funnel_line(result.funnel)}")
        if result.fitness > 0:
            self._print(
                f"Search found [bold]{plain(str(result.best))}[/] at x{result.rate:.3g}, "
                f"validation {self._score} {result.fitness:.4f}, in {result.steps:,} candidate-steps."
            )

    def _exhaustive(self, result: "ExhaustiveResult") -> None:
        import numpy as np

        from glojax import statistics

        self._baseline(result)
        depth = self._config.search.depth  # type: ignore[union-attr]
        covered, trained = result.coverage, result.funnel["trained"]
        self._print(
            f"All {result.tree_count:,} trees of depth at most {depth} are covered: {covered['functions']:,} finite "
            f"functions of x and y, {covered['gradients']:,} gradients, {covered['directions']:,} but for their size."
        )
        self._print(f"Trees and losses: {funnel_line(result.funnel)}.")
        if trained < covered["losses"]:
            self._print(
                f"The budget ended the search at {trained:,} of {covered['losses']:,} losses, the smallest first."
            )
        names = {place: name for name, place in result.places_of_known.items()}
        table = Table("rank", "loss", "learning rate", "validation", "known as")
        for place, known in enumerate(result.ranking, start=1):
            if place <= 20 or place in names:
                summary = statistics.summarize(np.array(known.scores))
                table.add_row(
                    str(place),
                    plain(str(known.tree)),
                    f"x{known.rate:.3g}",
                    f"{summary.mean:.4f} ± {summary.std:.4f}",
                    names.get(place, ""),
                )
        self._console.print(table)

    def _taylor(self, result: "Result") -> None:
        self._print(f"Validation {self._score} {result.fitness:.4f}, in {result.steps:,} candidate-steps.")

    def _tuning(self, result: "TuningResult") -> None:
        from glojax.reporting.numbers import gain_in_words

        self._print(
            f"Tuned {len(result.vector)} of {result.loss.tree.size} coefficients: validation {self._score} "
            f"{result.start_fitness:.4f} to {result.fitness:.4f}."
        )
        if result.gain is not None:
            self._print(gain_in_words(result.gain))

    def _random_search(self, result: "Result") -> None:
        found = f"validation {self._score} {result.fitness:.4f}"
        self._print(f"Random search found {plain(str(result.best))}, {found}.")


def _say_end(console: Console, found: "Discovery", run_dir: Path) -> None:
    from glojax.losses.recognition import recognized

    found_at = f"at x{found.rate:.3g} of the task's rate"
    console.print(f"Found loss   f(x, y) = [bold]{plain(str(found.loss))}[/], {found_at}", soft_wrap=True)
    if known := recognized(found.loss):
        console.print(f"Known as     {known}, up to a factor and terms without y", soft_wrap=True)
    if callable(found.loss.output):
        console.print("Not saved    a file cannot hold its output, a function; task.loss makes it of the formula")
    else:
        console.print(f"Saved        {run_dir / 'loss.json'}   (glojax.load)", soft_wrap=True)
    console.print(f"Report       {run_dir / 'report.html'}", soft_wrap=True)
