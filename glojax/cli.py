"""The ``glojax`` command: thin; everything it does is a call of the library."""

import sys
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from glojax.progress import Progress

app = typer.Typer(
    name="glojax",
    help="Discover loss functions by genetic programming and CMA-ES, and compare them honestly.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

TaskName = Annotated[
    str, typer.Argument(help="digits, mnist, cifar10, or path/to/file.py:function that returns a Task.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where TensorFlow Datasets keeps mnist and cifar10; its own default if left out."),
]
LossNames = Annotated[list[str], typer.Argument(help="A known loss, an expression, or a saved .json.")]
Seed = Annotated[int, typer.Option(help="All randomness derives from it.")]
Steps = Annotated[int | None, typer.Option(help="Optimizer steps of a training; the task's own if left out.")]
RunDir = Annotated[Path | None, typer.Option(help="Where the record is kept.")]
Devices = Annotated[
    int | None,
    typer.Option(help="CPU devices; one a core if left out, unless XLA_FLAGS or JAX_NUM_CPU_DEVICES say otherwise."),
]
Group = Annotated[
    int | None,
    typer.Option(help="Candidates trained together on a device, at most; as many as fit its memory if left out."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what the run directory holds.")]


class Preset(StrEnum):
    """Settings to start from."""

    default = "default"
    paper = "paper"


class Format(StrEnum):
    """What a loss is exported to."""

    python = "python"
    latex = "latex"
    sympy = "sympy"
    json = "json"


def main() -> None:
    """Run the command; an error of the user's is one line and exit status 2, an interruption 130."""
    try:
        app()
    except (ValueError, ImportError, OSError) as error:
        Console(stderr=True, highlight=False).print(f"[bold red]glojax:[/] {_plain(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        print("glojax: stopped; a run with --run-dir goes on with --resume.", file=sys.stderr)
        sys.exit(130)


@app.command(epilog="Example: `glojax search digits --generations 30 --run-dir runs/digits --seed 1`")
def search(
    task: TaskName = "digits",
    preset: Annotated[Preset, typer.Option(help="Settings to start from.")] = Preset.default,
    generations: Annotated[
        int | None, typer.Option(help="Generations of the search; the preset's if left out.")
    ] = None,
    population: Annotated[int | None, typer.Option(help="Candidates a generation; the preset's if left out.")] = None,
    halving: Annotated[
        int | None,
        typer.Option(help="One candidate in so many goes on at each rung of a training; 1 trains all to the end."),
    ] = None,
    tune_generations: Annotated[int, typer.Option(help="Generations of CMA-ES after the search; 0 for none.")] = 20,
    seeds: Annotated[int, typer.Option(help="Trainings of each loss in the final comparison.")] = 8,
    steps: Steps = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    seed: Seed = 0,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
) -> None:
    """Discover a loss: genetic search, coefficient tuning, and a comparison with cross-entropy."""
    import glojax
    from glojax import controls, losses, report

    console = _console()
    changes = {"generations": generations, "population": population, "halving": halving, "seed": seed}
    given = {field: value for field, value in changes.items() if value is not None}
    make = glojax.SearchConfig.paper if preset is Preset.paper else glojax.SearchConfig
    config = make(**given)  # type: ignore[arg-type]
    tune_config = glojax.TuneConfig(generations=max(tune_generations, 1), seeds=config.seeds, seed=seed)
    if resume and run_dir is None:
        raise ValueError("--resume needs the --run-dir that it goes on with.")
    run_dir = Path("runs") / time.strftime("%Y%m%d-%H%M%S") if run_dir is None else run_dir
    job = _task(task, steps, devices, group, data_dir)
    _say_device(console, job)

    with Progress(console, config.generations, f"search on {job.name}") as progress:
        found = glojax.search(job, config, run_dir, resume=resume, on_generation=progress.generation)
    if found.fitness == 0:
        raise ValueError(f"no candidate could be trained in {config.generations} generations; search longer.")
    console.print(f"Search found [bold]{_plain(str(found.best))}[/], validation accuracy {found.fitness:.4f}.")
    loss, history = losses.Loss(found.best, protected=config.protected), []
    if tune_generations:
        with Progress(console, tune_generations + 1, "tuning") as progress:
            # A search that was complete may be followed by a tuning that was not begun.
            tuned = glojax.tune(job, found.best, tune_config, run_dir, resume=resume, on_generation=progress.tuning)
        loss, history = tuned.loss, tuned.history
        console.print(
            f"Tuned {len(tuned.coefficients)} of {loss.tree.size} coefficients: validation accuracy "
            f"{tuned.start_fitness:.4f} to {tuned.fitness:.4f}."
        )
    loss.save(run_dir / "loss.json")
    report.search_figure(run_dir / "search.png", found.generations, history, loss)

    console.print(f"Comparing with cross-entropy over {seeds} fresh seeds ...")
    named = {"found": losses.Loss(found.best, protected=config.protected)} | (
        {"found, tuned": loss} if loss.tuned else {}
    )
    rows = controls.compare(job, named, seeds, seed)
    _print_comparison(console, rows)
    console.print(f"Found loss   f(x, y) = [bold]{_plain(str(loss))}[/]")
    console.print(f"Saved        {run_dir / 'loss.json'}   (glojax.load)", soft_wrap=True)
    console.print(f"Figure       {run_dir / 'search.png'}", soft_wrap=True)


@app.command(epilog="Example: `glojax tune digits 'log(y) - x / y' --generations 30`")
def tune(
    task: TaskName,
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, or a saved .json; its tree is tuned.")],
    generations: Annotated[int, typer.Option(help="Generations of CMA-ES.")] = 20,
    population: Annotated[int | None, typer.Option(help="Vectors a generation; 4 + floor(3 ln n) if left out.")] = None,
    sigma: Annotated[float, typer.Option(help="Initial step size.")] = 1.5,
    steps: Steps = None,
    run_dir: RunDir = None,
    resume: Resume = False,
    seed: Seed = 0,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
) -> None:
    """Tune the coefficients of a loss by CMA-ES."""
    import glojax

    console = _console()
    if resume and run_dir is None:
        raise ValueError("--resume needs the --run-dir that it goes on with.")
    tree = _tree_loss(loss).tree
    config = glojax.TuneConfig(generations=generations, population=population, sigma=sigma, seed=seed)
    job = _task(task, steps, devices, group, data_dir)
    _say_device(console, job)
    with Progress(console, generations + 1, "tuning") as progress:
        tuned = glojax.tune(job, tree, config, run_dir, resume=resume, on_generation=progress.tuning)
    console.print(f"Validation accuracy {tuned.start_fitness:.4f} to {tuned.fitness:.4f}.")
    console.print(f"f(x, y) = [bold]{_plain(str(tuned.loss))}[/]")
    if run_dir is not None:
        tuned.loss.save(run_dir / "loss.json")
        console.print(f"Saved {run_dir / 'loss.json'}", soft_wrap=True)


@app.command(epilog="Example: `glojax evaluate digits cross_entropy baikal baikal_cma --seeds 16`")
def evaluate(
    task: TaskName,
    loss: LossNames,
    seeds: Annotated[int, typer.Option(help="Trainings of each loss.")] = 8,
    rate: Annotated[float, typer.Option(help="Scale of the task's learning rate.")] = 1.0,
    steps: Steps = None,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
) -> None:
    """Train losses over several seeds; print mean, standard deviation and 95% confidence interval."""
    import glojax
    from glojax import controls, losses

    console = _console()
    made = [losses.named(name) for name in loss]
    job = _task(task, steps, devices, group, data_dir)
    _say_device(console, job)
    scores = glojax.evaluate(job, made, seeds, rates=[rate] * len(made))
    table = Table("loss", "validation", "std", "95% interval", "p against the first")
    for place, (name, row) in enumerate(zip(loss, scores, strict=True)):
        summary = controls.summarize(row)
        p = "" if place == 0 or seeds < 2 else f"{controls.welch(scores[0], row):.2g}"
        table.add_row(_plain(name), f"{summary.mean:.4f}", f"{summary.std:.4f}", _interval(summary), p)
    console.print(table)


@app.command(epilog="Example: `glojax train digits baikal --seeds 4 --points 10`")
def train(
    task: TaskName,
    loss: LossNames,
    seeds: Annotated[int, typer.Option(help="Trainings of each loss.")] = 4,
    points: Annotated[int, typer.Option(help="The accuracy is taken so many times in the course of training.")] = 10,
    rate: Annotated[float, typer.Option(help="Scale of the task's learning rate.")] = 1.0,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps; ten times the task's own if left out.")] = None,
    devices: Devices = None,
    group: Group = None,
    data_dir: DataDir = None,
) -> None:
    """Train in full, ten times the shortened training: validation accuracy by steps, and the test accuracy."""
    from glojax import controls, evaluation, losses

    console = _console()
    made = [losses.named(name) for name in loss]
    job = _task(task, None, devices, group, data_dir)
    _say_device(console, job)
    length = 10 * job.steps if steps is None else steps
    splits = tuple(split for split in ("validation", "test") if split in job.splits)
    curves = evaluation.learning_curves(
        job, made, range(seeds), [rate] * len(made), splits=splits, steps=length, points=points
    )
    table = Table("steps", *map(_plain, loss), title="validation accuracy, mean over seeds")
    for point in range(points):
        table.add_row(str((point + 1) * (length // points)), *(f"{curve[:, point, 0].mean():.4f}" for curve in curves))
    console.print(table)
    if "test" in splits:
        for name, curve in zip(loss, curves, strict=True):
            summary = controls.summarize(curve[:, -1, 1])
            console.print(f"test accuracy, {_plain(name)}: {summary.mean:.4f} ± {summary.std:.4f} {_interval(summary)}")


@app.command(epilog="Example: `glojax bench mlp cnn --population 20 --population 80 --json speed.json`")
def bench(
    network: Annotated[
        list[str] | None,
        typer.Argument(help="mlp, cnn, paper, cifar, allcnn, resnet, or path/to/file.py:function. mlp if left out."),
    ] = None,
    population: Annotated[
        list[int] | None, typer.Option(help="Candidates; may be given again. 80, of the last four 4, if left out.")
    ] = None,
    nodes: Annotated[int, typer.Option(help="Of every candidate's own loss, 5 to 64.")] = 16,
    steps: Annotated[
        int | None, typer.Option(help="Of a candidate in a round; 2 to 500, by network, if left out.")
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
    is told as a share of what a large matrix product reaches on this machine in the same run.
    """
    import json

    from glojax import benchmark, files

    console = _console()
    _prepare(devices)
    planned = [
        benchmark.planned(name, size, nodes=nodes, steps=steps, rounds=rounds, group=group)
        for name in network or ["mlp"]
        for size in population or [None]
    ]
    machine = benchmark.machine()
    console.print(", ".join(f"{name} {_plain(str(value))}" for name, value in machine.items()))
    table = Table(
        Column("network", overflow="fold"),
        "candi-\ndates", "in a\ngroup", "candidate-\nsteps/s", "lowest to\nhighest", "candi-\ndates/s",
        "share of\nGEMM", "pro-\ngrams", "com-\npiling", "memory",
        title=f"losses of {nodes} nodes, median of {rounds}",
    )  # fmt: skip
    found = []
    for plan in planned:
        speed = benchmark.measure(plan)
        found.append(speed)
        rate = speed.candidate_steps_per_second
        table.add_row(
            _plain(speed.network), str(speed.population), str(speed.group), _rate(rate.median),
            f"{_rate(rate.lowest)} to {_rate(rate.highest)}", f"{speed.candidates_per_second:.3g}",
            f"{speed.gemm_share.median:.0%}", str(speed.compilations), f"{speed.compile_seconds:.2f} s",
            f"{speed.memory_bytes / 2**30:.2f} GiB",
        )  # fmt: skip
        if json_file is not None:
            files.write_atomically(json_file, json.dumps(benchmark.as_json(machine, found), indent=2) + "\n")
    console.print(table)
    if json_file is not None:
        console.print(f"Saved {json_file}", soft_wrap=True)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


@app.command(epilog="Example: `glojax show 'log(y) - x / y' --figure baikal.png`")
def show(
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, or a saved .json.")],
    figure: Annotated[Path, typer.Option(help="Where the figure of its curve goes.")] = Path("loss.png"),
) -> None:
    """Show a loss: formula, LaTeX, canonical form, coefficients that matter, and its curve as a figure."""
    from glojax import canonical, report

    console = _console()
    shown = _tree_loss(loss)
    nodes = canonical.identifiable_coefficients(shown.tree)
    console.print(f"f(x, y)      [bold]{_plain(str(shown))}[/]", soft_wrap=True)
    console.print(f"LaTeX        {_plain(shown.latex())}", soft_wrap=True)
    console.print(f"canonical    {_plain(str(canonical.canonical(shown.tree)))}", soft_wrap=True)
    console.print(f"coefficients {len(nodes)} of {shown.tree.size} change training in independent ways")
    report.loss_figure(figure, shown)
    console.print(f"figure       {figure}", soft_wrap=True)


@app.command(epilog="Example: `glojax export runs/digits/loss.json --to python --output my_loss.py`")
def export(
    loss: Annotated[str, typer.Argument(help="A known loss, an expression, or a saved .json.")],
    to: Annotated[Format, typer.Option(help="The form.")] = Format.python,
    output: Annotated[Path | None, typer.Option(help="The file; printed if left out.")] = None,
) -> None:
    """Write a loss as self-contained Python source, LaTeX, a sympy expression, or glojax's JSON."""
    from glojax import files

    made = _tree_loss(loss)
    forms: dict[Format, Callable[[], str]] = {
        Format.python: made.to_python,
        Format.latex: made.latex,
        Format.sympy: lambda: str(made.sympy()),
        Format.json: made.to_json,
    }
    text = forms[to]().rstrip("\n") + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        files.write_atomically(output, text)


# WHAT THE COMMANDS SHARE


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a log has no width; tables need this much
    return console


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _prepare(devices: int | None) -> None:
    """Tell JAX how to use this machine, before anything starts it."""
    from glojax.devices import keep_programs, use_cores

    if devices is not None:
        use_cores(devices)
    keep_programs()


def _task(name: str, steps: int | None, devices: int | None, group: int | None, data_dir: Path | None) -> Any:
    import dataclasses

    from glojax import tasks

    _prepare(devices)
    task = tasks.named(name, **({} if data_dir is None else {"data_dir": data_dir}))
    given = {field: value for field, value in (("steps", steps), ("group", group)) if value is not None}
    return dataclasses.replace(task, **given) if given else task


def _tree_loss(name: str) -> Any:
    from glojax import losses

    loss = losses.named(name)
    if not isinstance(loss, losses.Loss):
        raise ValueError(
            f"{name} is not an expression tree: it can be evaluated and trained, but not shown, tuned or exported."
        )
    return loss


def _say_device(console: Console, task: Any) -> None:
    from glojax.devices import all_devices

    devices = all_devices()
    console.print(
        f"{task.name}: {task.steps} steps in batches of {task.batch_size}, on {len(devices)} "
        f"{devices[0].platform.upper()} device{'s' * (len(devices) > 1)} ({devices[0].device_kind})."
    )


def _interval(summary: Any) -> str:
    return "" if summary.low != summary.low else f"{summary.low:.4f} to {summary.high:.4f}"


def _print_comparison(console: Console, rows: Sequence[Any]) -> None:
    from glojax import controls

    table = Table("loss", "learning rate", "validation", "test", "test, 95% interval")
    for row in rows:
        validation, test = (controls.summarize(part) if len(part) else None for part in (row.validation, row.test))
        table.add_row(
            _plain(row.name), f"x{row.rate:g}",
            f"{validation.mean:.4f} ± {validation.std:.4f}" if validation else "",
            f"{test.mean:.4f} ± {test.std:.4f}" if test else "none", _interval(test) if test else "",
        )  # fmt: skip
    console.print(table)
