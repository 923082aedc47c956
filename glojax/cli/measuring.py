"""The command ``glojax bench``: how fast this machine trains populations."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from glojax.cli.options import Devices, app, console_of, plain, prepare
from glojax.cli.training import Group


@app.command(epilog="Example: `glojax bench mlp cnn --population 20 --population 80 --json speed.json`")
def bench(
    network: Annotated[
        list[str] | None,
        typer.Argument(help="mlp, cnn, paper, cifar, allcnn, resnet, or path/to/file.py:function. Defaults to mlp."),
    ] = None,
    population: Annotated[
        list[int] | None,
        typer.Option(help="Candidates; may be repeated. Defaults to 80, and to 4 for the last four networks."),
    ] = None,
    nodes: Annotated[int, typer.Option(help="Nodes of every candidate's own loss, 5 to 64.")] = 16,
    steps: Annotated[
        int | None, typer.Option(help="Steps of a candidate in a round. Defaults to 2 to 500, by network.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Trainings of the population; the median is shown.")] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where the figures go too.")] = None,
    devices: Devices = None,
    group: Group = None,
) -> None:
    """Measure how fast populations train here.

    mlp and cnn are the networks of the digits task; paper and cifar, those of arXiv 1905.11528, and allcnn and
    resnet, All-CNN-C and ResNet-20, see random images. Every candidate has a different loss. A candidate-step is one
    optimizer step of one candidate; candidates a second are those of the task's whole shortened training. Arithmetic
    is given as a share of what a large matrix product reaches on this machine in the same run.
    """
    import json

    from glojax import benchmark, files

    console = console_of()
    prepare(devices)
    planned = [
        benchmark.planned(name, size, nodes=nodes, steps=steps, rounds=rounds, group=group)
        for name in network or ["mlp"]
        for size in population or [None]
    ]
    machine = benchmark.machine()
    console.print(", ".join(f"{name} {plain(str(value))}" for name, value in machine.items()))
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
        title=f"losses of {nodes} nodes, median of {rounds}",
    )
    found = []
    for plan in planned:
        speed = benchmark.measure(plan)
        found.append(speed)
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
        if json_file is not None:
            files.write_atomically(json_file, json.dumps(benchmark.as_json(machine, found), indent=2) + "\n")
    console.print(table)
    if json_file is not None:
        console.print(f"Saved {json_file}", soft_wrap=True)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
