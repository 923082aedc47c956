"""Expected scaling: a generation's time on 1 to 1,000 devices, simulated from costs measured on one.

Makes: the speed-up of generations trained by SPMD and by Ray, and of asynchronous (steady-state) evolution, with the
bound that a generation's size sets: a table, and with --output a figure.
Command: python experiments/scaling.py [--network cnn] [--population 80] [--costs FILE] [--output FOLDER]
Time: half a minute, most of it to measure the costs that --costs does not give.

Assumptions, each an option or a field of ``Costs``: all devices are like the one that was measured. A step of a group
takes the same time whatever its trees; every batch, or chunk of steps, takes that time multiplied by a log-normal
factor. SPMD waits for the slowest device after every chunk of 100 steps and exchanges scores in a time that grows with
the logarithm of the number of devices; after a loss it restarts and repeats the generation. Ray's calls go out one
after another, and a lost batch is repeated. The host breeds while nothing trains. Asynchronous evolution breeds a
candidate as soon as a device is free, and its trainings are on average as long as those of a generation, which is what
asynchronous halving aims at. What evolution loses by breeding from fewer results is not simulated: the table is the
most that it can gain.
"""

import argparse
import heapq
import json
import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

GROUP = 8  # candidates that a CPU device trains together
CHUNK = 100  # steps between two exchanges


@dataclass(frozen=True)
class Costs:
    """Costs in seconds, unless said otherwise."""

    group_step: float  # one optimizer step of a group
    call: float = 0.003  # one of Ray's calls, on the host
    exchange: float = 0.001  # between two processes; between n it is log2(n) times that
    host: float = 0.1  # breeding and screening of a generation
    spread: float = 0.1  # standard deviation of the logarithm of a batch's time
    losses: float = 0.01  # losses of a device per hour, a number
    restart: float = 60.0  # restart of an SPMD run, from the loss on


@dataclass(frozen=True)
class Generation:
    """The trainings of one generation."""

    candidates: int = 80
    rates: int = 3
    seeds: int = 2
    steps: int = 500
    halving: int = 3

    @property
    def rungs(self) -> list[tuple[int, int]]:
        """Trainings of one seed and their steps, for each rung; a rung waits for the whole rung before it."""
        stops = sorted({max(1, self.steps // self.halving**power) for power in (2, 1, 0)})
        trainings, found = self.candidates * self.rates, []
        for first, last in zip((0, *stops), stops, strict=False):
            found.append((trainings, last - first))
            trainings = -(-trainings // self.halving)
        return found

    @property
    def groups(self) -> int:
        """Number of groups in the first rung."""
        return self.seeds * -(-self.rungs[0][0] // GROUP)

    @property
    def group_steps(self) -> int:
        """Steps of all groups together."""
        return sum(self.seeds * -(-trainings // GROUP) * steps for trainings, steps in self.rungs)


def spmd(devices: int, size: Generation, costs: Costs, draw: np.random.Generator) -> float:
    """Seconds of a generation where all devices take every chunk of steps together."""
    total = costs.host
    for trainings, steps in size.rungs:
        groups = size.seeds * -(-trainings // GROUP)
        most = -(-groups // devices)
        for first in range(0, steps, CHUNK):
            slowest = draw.lognormal(0, costs.spread, min(devices, groups)).max()
            total += most * min(CHUNK, steps - first) * costs.group_step * slowest
            total += costs.exchange * math.log2(devices)
    again = draw.poisson(costs.losses / 3600 * total * devices)
    return total + again * (costs.restart + total / 2)


def ray(devices: int, size: Generation, costs: Costs, draw: np.random.Generator) -> float:
    """Seconds of a generation where free workers take batches, two for each worker; rungs are barriers."""
    total = costs.host
    batches = min(size.groups, 2 * devices)
    parts = [len(part) for part in np.array_split(np.arange(size.groups), batches)]
    for trainings, steps in size.rungs:
        kept = trainings / size.rungs[0][0]
        lengths = [math.ceil(groups * kept) * steps * costs.group_step for groups in parts]
        total += _served(lengths, devices, costs, draw)
    return total


def asynchronous(devices: int, size: Generation, costs: Costs, draw: np.random.Generator, generations: int) -> float:
    """Seconds for as many trainings as a generation has, where every group follows the previous one at once."""
    count = size.groups * generations
    length = size.group_steps / size.groups * costs.group_step
    breeding = costs.host / size.groups  # of a group's candidates, by the host, between two calls
    return _served([length] * count, devices, costs, draw, breeding) / generations


def _served(lengths: list[float], devices: int, costs: Costs, draw: np.random.Generator, beside: float = 0.0) -> float:
    """The time at which the last batch is done: free devices take the next, and the host serves one at a time."""
    free = [0.0] * devices
    host, last, waiting = 0.0, 0.0, lengths[::-1]
    while waiting:
        length = waiting.pop()
        begun = max(heapq.heappop(free), host)
        host = begun + costs.call + beside
        took = length * draw.lognormal(0, costs.spread)
        if draw.random() < -math.expm1(-costs.losses / 3600 * took):
            took *= draw.random()
            waiting.append(length)
        else:
            last = max(last, host + took)
        heapq.heappush(free, host + took)
    return last


def table(counts: list[int], size: Generation, costs: Costs, generations: int = 20, seed: int = 0) -> list[dict]:
    """Compute a row for each number of devices: the mean speed-up over one device without overhead."""
    alone = size.group_steps * costs.group_step + costs.host
    rows = []
    for devices in counts:
        draw = np.random.default_rng([seed, devices])
        means = {
            "SPMD": statistics.fmean(spmd(devices, size, costs, draw) for _ in range(generations)),
            "Ray": statistics.fmean(ray(devices, size, costs, draw) for _ in range(generations)),
            "asynchronous": asynchronous(devices, size, costs, draw, generations),
        }
        most = sum(-(-size.seeds * -(-kept // GROUP) // devices) * steps for kept, steps in size.rungs)
        bound = alone / (most * costs.group_step + costs.host)
        rows.append({"devices": devices, "bound": bound} | {name: alone / mean for name, mean in means.items()})
    return rows


def measured(network: str, candidates: int, known: dict[str, float]) -> Costs:
    """Measure the costs that are not known, on one device of this machine: digits with that network."""
    import jax

    from glojax import SearchConfig, keep_programs, losses, search, tasks
    from glojax.discovery.results import Event
    from glojax.expressions import programs
    from glojax.training.trainer import Trainer

    jax.config.update("jax_num_cpu_devices", 1)
    keep_programs()
    trainer = Trainer(tasks.digits(network=network), instructions=programs.room(31))
    group = trainer.candidates([losses.baikal.tree] * GROUP, [0] * GROUP)
    taken, host = [], [time.process_time()]
    for _ in range(4):
        started = time.perf_counter()
        trainer.train(group, [trainer.task.steps])
        taken.append((time.perf_counter() - started) / trainer.task.steps)

    def take(_: Event) -> None:
        host.append(time.process_time())

    # With trainings of one step, breeding and screening remain. Time on a core, because other work delays the rest.
    config = SearchConfig(population=candidates, generations=6, elites=0, seeds=1, fair_rates=False, finalists=1)
    search(tasks.digits(steps=1), config, on_event=take)
    return Costs(**{"group_step": min(taken[1:]), "host": float(np.median(np.diff(host)[1:]))} | known)


def main() -> None:
    """Measure the costs that are not given, simulate, print the table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--costs", type=Path, help="JSON object with fields of Costs; other fields are ignored")
    parser.add_argument("--population", type=int, default=80)
    parser.add_argument("--network", choices=("mlp", "cnn"), default="mlp", help="digits network that is measured")
    parser.add_argument("--output", type=Path, help="folder for scaling.json and scaling.png")
    options = parser.parse_args()
    given = json.loads(options.costs.read_text()) if options.costs else {}
    known = {name: given[name] for name in Costs.__dataclass_fields__ if name in given}
    size = Generation(options.population)
    costs = (
        Costs(**known)
        if {"group_step", "host"} <= known.keys()
        else measured(options.network, options.population, known)
    )
    counts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 1000]
    rows = table(counts, size, costs)
    print(f"{size}: {size.groups} groups\n{costs}\n")
    print("| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0]), sep="\n")
    for row in rows:
        print(
            "| " + " | ".join(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row.values()) + " |"
        )
    if options.output is not None:
        _save(options.output, rows, size, costs)


def _save(folder: Path, rows: list[dict], size: Generation, costs: Costs) -> None:
    from dataclasses import asdict

    from matplotlib.figure import Figure

    from glojax import files

    content = {"generation": asdict(size), "costs": asdict(costs), "rows": rows}
    files.write_atomically(folder / "scaling.json", json.dumps(content, indent=1) + "\n")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in list(rows[0])[1:]:
        axes.plot([row["devices"] for row in rows], [row[name] for row in rows], marker="o", label=name)
    axes.axvline(size.groups, color="gray", linestyle=":", label="groups of a generation")
    axes.set(xscale="log", yscale="log", xlabel="devices", ylabel="speed-up")
    axes.legend()
    figure.savefig(folder / "scaling.png", dpi=150)


if __name__ == "__main__":
    main()
