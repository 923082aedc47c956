"""The command ``glojax bench``: how fast this machine trains populations."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from glojax.cli.help_panels import COMPARE
from glojax.cli.json_results import STDOUT, JsonFile, result_goes_to, write
from glojax.cli.options import Devices, check_table, command, console_of, plain, prepare
from glojax.cli.table_options import with_table
from glojax.cli.training import Group

if TYPE_CHECKING:
    from glojax.benchmark import BenchmarkPlan, Speed
    from glojax.tasks.task import Task


@command(
    rich_help_panel=COMPARE, epilog="Example: `glojax bench mlp cnn --population 20 --population 80 --json speed.json`"
)
@with_table
def bench(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NETWORK]...",
            help="mlp, cnn, paper, cifar, allcnn, resnet, or path/to/file.py:function. Defaults to mlp.",
        ),
    ] = None,
    population: Annotated[
        list[int] | None,
        typer.Option(help="Candidates; may be repeated. Defaults to 80, or 4 for the last four networks."),
    ] = None,
    nodes: Annotated[int, typer.Option(help="Nodes of each candidate's loss, 5 to 64.")] = 16,
    steps: Annotated[
        int | None,
        typer.Option(help="Steps of each candidate in a round. Defaults to 2 to 500, by network."),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Trainings of the population; the median is shown.")] = 5,
    json_file: JsonFile = None,
    compile_for: Annotated[
        str | None,
        typer.Option(
            help="Compile a training step for a device that is not here, h100, v5e, v6e or v5p, and count its kernels."
        ),
    ] = None,
    devices: Devices = None,
    group: Group = None,
    *,
    csv: Path | None,
    table: dict[str, Any],
) -> None:
    """Measure how fast populations train here.

    mlp and cnn are the networks of the digits task. paper and cifar (those of arXiv 1905.11528), allcnn (All-CNN-C)
    and resnet (ResNet-20) train on random images. Every candidate has a different loss. A candidate-step is one
    optimizer step of one candidate; candidates per second count whole shortened trainings. Arithmetic is given as a
    share of what a large matrix product reaches on this machine in the same run.
    """
    from glojax import benchmark

    with result_goes_to(json_file):
        console = console_of()
        if compile_for is not None:
            _compute_on_cpu()
        prepare(devices)
        given = _tables(csv, table)
        plans = [
            benchmark.planned(name, size, nodes=nodes, steps=steps, rounds=rounds, group=group, task=given.get(name))
            for name in [*given, *(networks or ([] if given else ["mlp"]))]
            for size in population or [None]
        ]
        compiled = compile_for and _compile(console, plans, compile_for)
        result = compiled or _measure(console, plans, json_file, f"losses of {nodes} nodes, median of {rounds}")
    if json_file is not None:
        write(json_file, result)
    if json_file not in (None, STDOUT):
        console.print(f"Saved {json_file}", soft_wrap=True)


def _tables(csv: Path | None, table: dict[str, Any]) -> dict[str, "Task"]:
    """The task of a table, by its name; none without a file."""
    from glojax import tasks

    check_table(csv, table)
    if csv is None:
        return {}
    made = tasks.table(csv, **table)
    return {made.name: made}


def _measure(console: Console, plans: "Sequence[BenchmarkPlan]", json_file: Path | None, title: str) -> dict[str, Any]:
    """Measure and print how fast each of these trains; a file has what was measured after each."""
    from glojax import benchmark

    machine = benchmark.machine()
    console.print(", ".join(f"{name} {plain(str(value))}" for name, value in machine.items()))
    speeds, result = [], {}
    for plan in plans:
        speeds.append(benchmark.measure(plan))
        result = benchmark.as_json(machine, speeds)
        if json_file is not None and json_file != STDOUT:
            write(json_file, result)
    console.print(_table(speeds, title))
    return result


def _compute_on_cpu() -> None:
    """Let the compiler of another platform not look for a device of it."""
    import jax

    jax.config.update("jax_platforms", "cpu")


def _compile(console: Console, plans: "Sequence[BenchmarkPlan]", target: str) -> dict[str, Any]:
    """Compile a training step of each of these for another device, and print what it is."""
    from glojax import compiled_step
    from glojax.expressions import programs

    table = Table(
        Column("network", overflow="fold"),
        "candi-\ndates",
        "kernels\na step",
        "loops",
        "copies",
        "temporary\nmemory",
        title=f"one training step, compiled for {target}",
    )
    steps = []
    for plan in plans:
        step = compiled_step.compile_step(
            plan.task(), target, plan.population, instructions=programs.room(plan.nodes - 1)
        )
        memory = f"{step.temporary_bytes / 2**20:,.1f} MiB"
        counts = {
            "candidates": plan.population,
            "kernels": step.kernels,
            "loops": step.loops,
            "copies": step.copies,
        }
        table.add_row(plain(plan.network), *map(str, counts.values()), memory)
        steps.append({"network": plan.network, **counts, "temporary_bytes": step.temporary_bytes})
    console.print(table)
    return {"target": target, "steps": steps}


def _table(speeds: Sequence["Speed"], title: str) -> Table:
    """A row for each network and population size."""
    table = Table(
        Column("network", overflow="fold"),
        "candi-\ndates",
        "in a\ngroup",
        "candidate-\nsteps/s",
        "lowest to\nhighest",
        "candi-\ndates/s",
        "share of\nGEMM",
        "pro-\ngrams",
        "com-\npiling",
        "memory",
        title=title,
    )
    for speed in speeds:
        rate = speed.candidate_steps_per_second
        table.add_row(
            plain(speed.network),
            str(speed.population),
            str(speed.group),
            _rate(rate.median),
            f"{_rate(rate.lowest)} to {_rate(rate.highest)}",
            f"{speed.candidates_per_second:.3g}",
            f"{speed.gemm_share.median:.0%}",
            str(speed.compilations),
            f"{speed.compile_seconds:.2f} s",
            f"{speed.memory_bytes / 2**30:.2f} GiB",
        )
    return table


def _rate(value: float) -> str:
    """A rate in whole numbers, or two digits below 10."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
