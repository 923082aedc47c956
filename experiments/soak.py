"""A long search on a tiny task: what the process holds on to from generation to generation.

Makes: for a search and for a tuning of 200 generations each, the memory (KiB), compiled programs and open files that a
generation adds, once the search is under way.
Command: python experiments/soak.py [--generations 200] [--json FILE]
"""

import argparse
import gc
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from scipy import stats

from glojax import SearchConfig, Task, TuneConfig, data, losses, models, search, tune

compiled: list[str] = []


def main() -> None:
    """Search, tune, and print what each generation adds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=15, help="the most nodes of a tree")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    if not Path("/proc/self/statm").exists():
        parser.error("memory and open files are read from /proc, which this system lacks")
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    parts = [(split.x[:200], split.labels[:200]) for split in data.digits()]
    task = Task(models.MLP((16, 10)), *parts, optimizer=optax.sgd(0.05), batch_size=20, steps=9)
    figures: dict[str, dict[str, float]] = {}

    def watch(phase: str) -> Any:
        seen: list[tuple[int, int, int]] = []

        def look(*_: object) -> None:
            seen.append(holding())
            figures[phase] = slopes(np.array(seen))

        return look

    with tempfile.TemporaryDirectory() as run_dir:
        config = SearchConfig(
            population=10, generations=options.generations, elites=2, seeds=1, finalists=1, max_nodes=options.nodes
        )
        search(task, config, run_dir, on_event=watch("search"))
        tuning = TuneConfig(generations=options.generations, seeds=1, finalists=1)
        tune(task, losses.baikal.tree, tuning, run_dir, on_event=watch("tune"))
    for phase, found in figures.items():
        print(f"{phase}: {', '.join(f'{value:.4g} {name}' for name, value in found.items())}")
    if options.json:
        options.json.write_text(json.dumps(figures))


def holding() -> tuple[int, int, int]:
    """Bytes of memory, compiled programs and open files."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(compiled), len(os.listdir("/proc/self/fd"))


def slopes(seen: np.ndarray) -> dict[str, float]:
    """What a generation adds, from the later half of ``seen [generations, 3]``: caches are full by then.

    It is the median slope over all pairs of generations (Theil and Sen's), because an allocator takes and returns
    memory in large steps, which are no trend.
    """
    later = seen[len(seen) // 2 :]
    if len(later) < 2:
        return {}
    memory, programs, files = (float(np.asarray(stats.theilslopes(column))[0]) for column in later.T)
    return {
        "KiB a generation": memory / 1024,
        "programs a generation": programs,
        "open files a generation": files,
        "MiB at the end": seen[-1, 0] / 2**20,
    }


if __name__ == "__main__":
    main()
