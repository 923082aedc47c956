"""Expected scaling: a generation's time on 1 to 1,000 devices, simulated from costs that were measured on one.

Makes: the speed-up of generations trained by SPMD and by Ray, and of asynchronous (steady-state) evolution, beside the
bound that a generation's size sets; a table, and with --output a figure.
Command: python experiments/scaling.py [--network cnn] [--population 80] [--costs FILE] [--output FOLDER]
Time: half a minute, most of it to measure; nothing is measured that --costs holds.

Assumptions, each of them an option or a field of ``Costs``: devices are all like the one that was measured; a step of
a group takes the same time whatever its trees; every batch, or chunk of steps, takes that time but for a log-normal
factor, drawn anew; SPMD waits for the slowest device at every chunk of 100 steps and exchanges scores in time that
grows with the logarithm of the devices; Ray's calls go out one after another, and a lost batch is begun anew; SPMD
begins a generation anew, after a restart. The host breeds while nothing trains. Asynchronous evolution breeds a
candidate as soon as a device is free, and its trainings are as long as those of a generation on the average, which is
what asynchronous halving aims at. What evolution loses by breeding from fewer results is not simulated: at best it
gains what the table says.
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

GROUP = 8  # trainings on a CPU device at once
CHUNK = 100  # steps between two exchanges


@dataclass(frozen=True)
class Costs:
    """What things take, in seconds."""

    group_step: float  # one optimizer step of a group
    call: float = 0.003  # of Ray, for a batch, on the host
    exchange: float = 0.001  # of two processes; of n it is log2(n) times that
    host: float = 0.1  # breeding and screening of a generation
    spread: float = 0.1  # standard deviation of the logarithm of a batch's time
    losses: float = 0.01  # of a device, an hour
    restart: float = 60.0  # of an SPMD run, with what it takes to notice


@dataclass(frozen=True)
class Generation:
    """What is trained in one."""

    candidates: int = 80
    rates: int = 3
    seeds: int = 2
    steps: int = 500
    halving: int = 3

    @property
    def rungs(self) -> list[tuple[int, int]]:
        """Trainings of one seed, and steps, from one rung to the next; all of the second wait for all of the first."""
        stops = sorted({max(1, self.steps // self.halving**power) for power in (2, 1, 0)})
        trainings, found = self.candidates * self.rates, []
        for first, last in zip((0, *stops), stops, strict=False):
            found.append((trainings, last - first))
            trainings = -(-trainings // self.halving)
        return found

    @property
    def groups(self) -> int:
        """How many there are at the first rung."""
        return self.seeds * -(-self.rungs[0][0] // GROUP)

    @property
    def group_steps(self) -> int:
        """Steps of all groups."""
        return sum(self.seeds * -(-trainings // GROUP) * steps for trainings, steps in self.rungs)


def spmd(devices: int, size: Generation, costs: Costs, draw: np.random.Generator) -> float:
    """Seconds that a generation takes where all devices take every chunk of steps together."""
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
    """Seconds that a generation takes where free workers take batches, two of them each; rungs are barriers."""
    total = costs.host
    batches = min(size.groups, 2 * devices)
    parts = [len(part) for part in np.array_split(np.arange(size.groups), batches)]
    for trainings, steps in size.rungs:
        kept = trainings / size.rungs[0][0]
        lengths = [math.ceil(groups * kept) * steps * costs.group_step for groups in parts]
        total += _served(lengths, devices, costs, draw)
    return total


def asynchronous(devices: int, size: Generation, costs: Costs, draw: np.random.Generator, generations: int) -> float:
    """Seconds that as many trainings take as a generation has, where each group of them follows the one before."""
    count = size.groups * generations
    length = size.group_steps / size.groups * costs.group_step
    breeding = costs.host / size.groups  # of a group's candidates, by the host, between two calls
    return _served([length] * count, devices, costs, draw, breeding) / generations


def _served(lengths: list[float], devices: int, costs: Costs, draw: np.random.Generator, beside: float = 0.0) -> float:
    """When the last batch is done: a free device takes the next one, and the host serves one device at a time."""
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
    """A row for each number of devices: the mean speed-up over one device without any overhead."""
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
    """Costs of this machine on one device: of digits with that network, where they are not known yet."""
    import jax

    from glojax import SearchConfig, keep_programs, losses, search, tasks
    from glojax.discovery import evolution
    from glojax.executors import local
    from glojax.expressions import programs

    jax.config.update("jax_num_cpu_devices", 1)
    keep_programs()
    evaluator = local.of(tasks.digits(network=network), instructions=programs.room(31))
    group = evaluator.candidates([losses.baikal.tree] * GROUP, [0] * GROUP)
    taken, host = [], [time.process_time()]
    for _ in range(4):
        started = time.perf_counter()
        evaluator.train(group, [evaluator.task.steps])
        taken.append((time.perf_counter() - started) / evaluator.task.steps)

    def take(_: evolution.Generation) -> None:
        host.append(time.process_time())

    # Trainings of one step: what is left is breeding and screening, in time on a core, as other work delays it.
    config = SearchConfig(population=candidates, generations=6, elites=0, seeds=1, fair_rates=False, finalists=1)
    search(tasks.digits(steps=1), config, on_generation=take)
    return Costs(**{"group_step": min(taken[1:]), "host": float(np.median(np.diff(host)[1:]))} | known)


def main() -> None:
    """Measure what is not given, simulate, print the table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--costs", type=Path, help="JSON object with fields of Costs; others in it are passed over")
    parser.add_argument("--population", type=int, default=80)
    parser.add_argument("--network", choices=("mlp", "cnn"), default="mlp", help="of digits, whose steps are measured")
    parser.add_argument("--output", type=Path, help="folder of scaling.json and scaling.png")
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
