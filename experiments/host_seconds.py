"""What a search spends outside of training: seconds of every generation, by what they are spent on.

Makes: a table of seconds of the main thread for the drawn generation and for those that are bred from it.
Command: python experiments/host_seconds.py [--task digits] [--pool 2000] [--rounds 3] [--json FILE]
Time: half a minute on 2 CPU cores.

Trees of other seeds are searched once before, so that everything is compiled. Times are those of the thread that runs
the search, so what else the machine does changes them little; training is left out, and so is what XLA computes in
threads of its own; what a thread of the search's own does while devices train is the last line, and no part of the
sum. A phase does not include the phases that it calls. The run is recorded, as that of the command is.
"""

import argparse
import json
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import glojax
from glojax import files, tasks
from glojax.discovery import behaviour, drawing, fitness, generations, genetics, pools, screening, sieve
from glojax.discovery.evolution import search
from glojax.discovery.results import Event
from glojax.distributed import processes
from glojax.expressions import programs
from glojax.records import run

PHASES: dict[str, tuple[tuple[Any, str], ...]] = {
    "drawn by function": ((drawing, "draw_by_function"),),
    "grown": ((genetics, "draw_trees"), (genetics, "initial_population")),
    "bred": ((genetics, "breed_trees"),),
    "canonical forms": ((sieve, "canonical"), (generations, "canonical")),
    "encoding": ((programs, "encode"),),
    "screening": ((screening, "examine"), (sieve.Screener, "looks"), (sieve, "_sifted")),
    "descent": ((screening, "descend"), (sieve, "settle")),
    "behaviours": ((behaviour, "behaviours"), (sieve.Screener, "behaviours")),
    "order of promise": ((pools, "_guess"), (processes, "first")),
    "record": ((run.Run, "save_generation"), (generations, "rejected_by")),
    "training": ((fitness.Fitness, "train"), (fitness.Fitness, "train_again"), (fitness.Fitness, "find_baseline")),
}

BESIDE = "beside training"


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Seconds of the main thread by phase, and of nothing else as ``"other"``, while this context is open."""
    spent, stack, last = defaultdict[str, float](float), ["other"], [time.thread_time()]
    searching = threading.current_thread()

    def switch() -> None:
        now = time.thread_time()
        spent[stack[-1]] += now - last[0]
        last[0] = now

    def wrapped(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is not searching:
                started = time.thread_time()
                found = function(*arguments, **options)
                if phase == "record":  # it calls the others
                    spent[BESIDE] += time.thread_time() - started
                return found
            switch()
            stack.append(phase)
            try:
                return function(*arguments, **options)
            finally:
                switch()
                stack.pop()

        return call

    before = [(owner, name, getattr(owner, name)) for places in PHASES.values() for owner, name in places]
    for phase, places in PHASES.items():
        for owner, name in places:
            setattr(owner, name, wrapped(phase, getattr(owner, name)))
    try:
        yield spent
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def measure(task: glojax.Task, config: glojax.SearchConfig) -> list[dict[str, float]]:
    """Seconds of every generation by phase."""
    found: list[dict[str, float]] = []
    with timed() as spent:

        def on_event(event: Event) -> None:
            found.append({"trees": event.funnel["drawn"], **spent})
            spent.clear()

        with tempfile.TemporaryDirectory() as folder:
            search(task, config, f"{folder}/run", on_event=on_event)
    return found


def main() -> None:
    """Measure searches with and without pools, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="digits")
    parser.add_argument("--population", type=int, default=80)
    parser.add_argument("--pool", type=int, default=2000, help="trees that are made for a generation")
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="of every training")
    parser.add_argument("--rounds", type=int, default=3, help="searches, of different seeds")
    parser.add_argument("--json", metavar="FILE", help="file for the result")
    options = parser.parse_args()
    task = tasks.task_by_name(options.task, steps=options.steps)
    sizes = {"population": options.population, "generations": options.generations, "finalists": 1, "seeds": 1}
    rows: dict[str, dict[str, float]] = {}
    for name, pool in (("pool", options.pool), ("no pool", 0)):
        search(task, glojax.SearchConfig(**sizes, pool=pool, seed=100))
        rounds = [measure(task, glojax.SearchConfig(**sizes, pool=pool, seed=seed)) for seed in range(options.rounds)]
        parts = {"first": [one[0] for one in rounds], "later": [row for one in rounds for row in one[1:]]}
        for part, measured in parts.items():
            keys = ("trees", *PHASES, "other", BESIDE)
            median = {key: float(np.median([row.get(key, 0.0) for row in measured])) for key in keys}
            host = sum(seconds for key, seconds in median.items() if key not in ("trees", "training", BESIDE))
            rows[f"{name}, {part}"] = {**median, "host": host}
    print(f"{'seconds':20}" + "".join(f"{name:>16}" for name in rows))
    for key in ("trees", *PHASES, "other", "host", BESIDE):
        print(
            f"{key:20}"
            + "".join(f"{row[key]:16.3f}" if key != "trees" else f"{row[key]:16.0f}" for row in rows.values())
        )
    if options.json:
        files.write_atomically(options.json, json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
