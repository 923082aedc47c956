"""What a batch costs through Ray: 80 digits candidates x 500 steps by one of its workers, and by this process.

Makes: median seconds of both, on one core each, and their ratio; what an empty call and the start of a worker take.
Command: python experiments/ray_overhead.py [--rounds 15]
Time: about 2 minutes on 2 CPU cores.

The sides take turns, so that other work on the machine slows both alike; the ratio is that of the medians.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from glojax import evaluators, files, keep_programs, losses, tasks
from glojax.evaluators import Evaluator


def main() -> None:
    """Measure, print, and write what ``scaling.py --json`` takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--candidates", type=int, default=80)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"  # as the workers have it
    jax.config.update("jax_num_cpu_devices", 1)
    keep_programs()
    task = tasks.digits(steps=options.steps)
    from glojax.ray_executor import RayExecutor

    started = time.perf_counter()
    with RayExecutor(workers=1) as executor:
        executor.pool.wait()
        start = time.perf_counter() - started
        sides = {"in process": evaluators.of(task), "ray": evaluators.of(replace(task, executor=executor))}
        runs = {name: _training(side, options.candidates) for name, side in sides.items()}
        scores = [run() for run in runs.values()]  # compiled now
        if not np.array_equal(*scores):
            raise SystemExit("the sides give other scores")
        seconds = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                seconds[name].append(_seconds(run))
        call = float(np.median([_seconds(executor.pool.ask) for _ in range(200)]))
    medians = {name: float(np.median(found)) for name, found in seconds.items()}
    overhead = medians["ray"] / medians["in process"] - 1
    print(f"{options.candidates} candidates x {options.steps} steps, {options.rounds} rounds in turns, one core each:")
    print(*(f"  {name}: {median:.3f} s" for name, median in medians.items()), sep="\n")
    print(f"  overhead: {overhead:+.1%}; an empty call {1000 * call:.1f} ms; Ray and a worker started in {start:.1f} s")
    if options.json is not None:
        rate = medians["in process"] / (-(-options.candidates // 8) * options.steps)
        figures = {"group_step": rate, "call": call, "start": start, "overhead": overhead, "seconds": seconds}
        files.write_atomically(options.json, json.dumps(figures, indent=1) + "\n")


def _training(evaluator: Evaluator, count: int) -> Callable[[], np.ndarray]:
    candidates = evaluator.candidates([losses.baikal.tree] * count, [0] * count)
    return lambda: evaluator.train(candidates, [evaluator.task.steps]).scores


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
