"""The cost of a batch through Ray: 80 digits candidates x 500 steps by one of its workers, and by this process.

Makes: seconds of both on one core each, as median and minimum of the rounds; Ray's overhead by either, and by the time
that the processes had a core; the seconds of an empty call and of the start of a worker.
Command: python experiments/ray_overhead.py [--rounds 31]
Time: about 1 minute on 2 CPU cores.

The sides take turns, but other work on the machine slows Ray more, because a batch waits for several processes to get a
core. The minimum of the rounds, and the time on a core of the search and the worker, show what Ray itself takes.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from glojax import files, keep_programs, losses, tasks
from glojax.executors import local
from glojax.executors.protocol import Evaluator
from glojax.expressions import programs


def main() -> None:
    """Measure, print, and write the file that ``scaling.py`` reads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--candidates", type=int, default=80)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"  # as in the workers
    jax.config.update("jax_num_cpu_devices", 1)
    keep_programs()
    task = tasks.digits(steps=options.steps)
    from glojax.executors.ray_executor import RayExecutor

    started = time.perf_counter()
    with RayExecutor(workers=1) as executor:
        executor.pool.wait()
        start = time.perf_counter() - started
        room = programs.room(31)  # as in a search
        sides = {
            "in process": local.local_executor(task, instructions=room),
            "ray": executor(task, instructions=room),
        }
        runs = {name: _training(side, options.candidates) for name, side in sides.items()}
        ours, theirs = (run() for run in runs.values())  # compiled now
        if not np.array_equal(ours, theirs):
            raise SystemExit("the sides give other scores")
        seconds, on_core = {name: [] for name in runs}, dict.fromkeys(runs, 0.0)
        for _ in range(options.rounds):
            for name, run in runs.items():
                before = _on_core(executor.pool.processes)
                seconds[name].append(_seconds(run))
                on_core[name] += _on_core(executor.pool.processes) - before
        call = float(np.median([_seconds(executor.pool.ask) for _ in range(200)]))
    found = {kind.__name__: {name: float(kind(side)) for name, side in seconds.items()} for kind in (np.median, np.min)}
    overhead = {kind: side["ray"] / side["in process"] - 1 for kind, side in found.items()}
    print(f"{options.candidates} candidates x {options.steps} steps, {options.rounds} rounds in turns, one core each:")
    for kind, side in found.items():
        taken = ", ".join(f"{name} {taken:.3f} s" for name, taken in side.items())
        print(f"  {kind}: {taken}; overhead {overhead[kind]:+.1%}")
    overhead["core"] = on_core["ray"] / on_core["in process"] - 1
    print(f"  time on a core: overhead {overhead['core']:+.1%}")
    print(f"  an empty call: {1000 * call:.1f} ms; Ray and a worker started in {start:.1f} s")
    if options.json is not None:
        rate = found["median"]["in process"] / (-(-options.candidates // 8) * options.steps)
        figures = {"group_step": rate, "call": call, "start": start, "overhead": overhead, "seconds": seconds}
        files.write_atomically(options.json, json.dumps(figures, indent=1) + "\n")


def _training(evaluator: Evaluator, count: int) -> Callable[[], np.ndarray]:
    candidates = evaluator.candidates([losses.baikal.tree] * count, [0] * count)
    return lambda: evaluator.train(candidates, [evaluator.task.steps]).scores


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _on_core(workers: list[int]) -> float:
    """Seconds for which this process and the workers had a core; Linux counts others' in hundredths."""
    fields = (Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split() for worker in workers)
    return time.process_time() + sum(int(user) + int(system) for *_, user, system in (f[:13] for f in fields)) / 100


if __name__ == "__main__":
    main()
