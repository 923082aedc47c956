"""A long search on a tiny task: what the process holds on to from generation to generation.

Makes: for a search and for a tuning of 200 generations each, the memory in use (KiB), compiled programs and open files
that a generation adds, once the search is under way.
Command: python experiments/soak.py [--generations 200] [--json FILE]
"""

import argparse
import ctypes
import gc
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from scipy import stats

from glojax import SearchConfig, Task, TuneConfig, data, losses, models, search, tune
from glojax.discovery import sieve
from glojax.expressions import canonical, trees

compiled: list[str] = []
libc = ctypes.CDLL(None)


class Mallinfo(ctypes.Structure):
    """What ``mallinfo2`` returns."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
    )]  # fmt: skip


def main() -> None:
    """Search, tune, and print what each generation adds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=15, help="the most nodes of a tree")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    if not hasattr(libc, "mallinfo2"):
        parser.error("memory in use is told by mallinfo2, which glibc has from 2.33 on")
    if os.environ.get("PYTHONMALLOC") != "malloc":  # Python's own allocator would hide its part
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONMALLOC": "malloc"})
    sieve._MOST_REMEMBERED = 256  # so that it is full at once
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
    """Bytes in use, compiled programs and open files.

    Bytes that were freed do not count, though the allocator may keep them. Nor do the forms of trees that are
    remembered, which are bounded.
    """
    for remembered in (canonical.canonical, canonical._sum_of, trees._text):
        remembered.cache_clear()
    gc.collect()
    libc.mallinfo2.restype = Mallinfo
    memory = libc.mallinfo2()
    return memory.uordblks + memory.hblkhd, len(compiled), len(os.listdir("/proc/self/fd"))


def slopes(seen: np.ndarray) -> dict[str, float]:
    """What a generation adds, from the later half of ``seen [generations, 3]``: all is compiled by then.

    It is the median slope over all pairs of generations (Theil and Sen's): what is remembered of trees comes and goes.
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
