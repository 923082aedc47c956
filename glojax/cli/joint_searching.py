"""What ``glojax search`` does of several tasks, and what is shown of it."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from glojax.cli.comparison_tables import say_comparison, say_conclusions
from glojax.cli.json_results import of_discovery, of_loss
from glojax.cli.options import plain, say_device
from glojax.cli.progress import ProgressDisplay, funnel_line

if TYPE_CHECKING:
    from glojax.discovery.evolution import JointResult
    from glojax.discovery.proposals import Proposals
    from glojax.reporting.scalars import Scalars
    from glojax.tasks.task import Task
    from glojax.workflow import DiscoveryConfig, JointDiscovery


def search_jointly(
    console: Console,
    jobs: "Sequence[Task]",
    config: "DiscoveryConfig",
    run_dir: Path,
    resume: bool,
    scalars: "Scalars | None",
    proposals: "Proposals | None",
    trains: dict[str, Any],
) -> dict[str, Any]:
    """Discover one loss for several tasks, and print what was found."""
    import glojax
    from glojax.discovery import joint

    joint.check(jobs)
    for job in jobs:
        say_device(console, job, trains)
    console.print("Compiling, and training the baselines ...")
    titles = {"search": f"search on {len(jobs)} tasks", "random search": "random search of the same budget, draw"}
    progress = ProgressDisplay(console, titles, scalars)
    with progress:
        found = glojax.discover(
            jobs,
            config,
            run_dir,
            resume=resume,
            on_phase=functools.partial(_say_phase, console, progress, config),
            on_event=progress.show,
            on_result=functools.partial(_say_result, console, progress),
            proposals=proposals,
            **trains,
        )
    if scalars is not None:
        scalars.finish()
    of_tasks = {}
    for (name, own), job in zip(found.of.items(), jobs, strict=True):
        console.print(f"\n[bold]{plain(name)}[/]")
        say_comparison(console, job, own)
        said = [] if own.report is None else say_conclusions(console, own.report.parent)
        of_tasks[name] = of_discovery(job, own, said)
    _say_end(console, found, run_dir)
    return {"loss": of_loss(found.loss), "rates": found.rates, "tasks": of_tasks}


def _say_phase(console: Console, progress: ProgressDisplay, config: "DiscoveryConfig", name: str) -> None:
    """A phase begins."""
    progress.begin(name)
    if name.startswith("task "):
        console.print(
            f"Comparing on {plain(name.removeprefix('task '))} with its baseline and best known loss over "
            f"{config.seeds} fresh seeds ..."
        )


def _say_result(console: Console, progress: ProgressDisplay, result: "JointResult") -> None:
    """A search has ended."""
    progress.end()
    if result.phase == "random search":
        console.print(
            f"Random search found {plain(str(result.best))}, joint fitness {result.fitness:.4f}.", soft_wrap=True
        )
        return
    for name, own in result.results.items():
        if own.baseline is not None:
            console.print(
                f"{plain(name)}: baseline at x{own.baseline.rate:g} of the task's learning rate, "
                f"{own.baseline.fitness:.4f}; one training scatters by {own.baseline.scatter:.4f}.",
                soft_wrap=True,
            )
    console.print(f"Trees: {funnel_line(next(iter(result.results.values())).funnel)}", soft_wrap=True)
    console.print(
        f"Search found [bold]{plain(str(result.best))}[/], joint fitness {result.fitness:.4f}, in {result.steps:,} "
        "candidate-steps.",
        soft_wrap=True,
    )
    for name, own in result.results.items():
        console.print(f"  on {plain(name)}: {own.fitness:.4f} at x{own.rate:.3g}", soft_wrap=True)


def _say_end(console: Console, found: "JointDiscovery", run_dir: Path) -> None:
    console.print(f"\nFound loss   f(x, y) = [bold]{plain(str(found.loss))}[/]", soft_wrap=True)
    for name, rate in found.rates.items():
        console.print(f"             at x{rate:.3g} of the rate of {plain(name)}", soft_wrap=True)
    if not callable(found.loss.output):
        console.print(f"Saved        {run_dir / 'loss.json'}   (glojax.load)", soft_wrap=True)
    for own in found.of.values():
        console.print(f"Report       {own.report}", soft_wrap=True)
