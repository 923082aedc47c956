"""What an accelerator computes and how fast, within some minutes: first that its values are right, then times.

Makes: DIR/accelerator.jsonl, a line of JSON after every measurement.
Command: python experiments/accelerator.py --minutes 9 --output DIR [--tiny]; accelerator.md says how to carry it to a
machine without a network, and what the lines hold.
Time: the minutes that are given, at most; 20 seconds with --tiny on 2 CPU cores.

Started again with the same DIR, it goes on with what has no line yet or failed; the longest measurement is the last.
Status: 0 if all was measured and every value is right, 1 if not, 3 if the time was up before.
"""

import argparse
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

FILE = "accelerator.jsonl"
TIME_IS_UP = 3


class Sizes(NamedTuple):
    """How much is measured."""

    trees: int  # whose values are compared
    layers: tuple[str, ...]  # of accelerator_values.LAYERS
    networks: int  # whose convolutions are compared
    batch: int  # of these convolutions
    populations: tuple[int, ...]  # of digits networks
    steps: int  # of each of them
    rounds: int
    nodes: tuple[int, ...]  # of the losses that are timed alone
    repeats: int  # of each in a loop
    product: int | None  # rows and columns of the matrix product
    timed_networks: int  # whose convolutions are timed
    timed_batch: int | None  # of these; that of the network where it is None
    search: dict[str, Any]  # settings of a search
    large: str  # key of benchmark.NETWORKS: what takes most time
    large_population: int
    large_steps: tuple[int, int]  # a short training and a whole one


FULL = Sizes(
    400, ("digits, second", "paper, first", "paper, second"), 3, 8, (80, 512, 4096), 500, 3, (8, 16, 32), 2000,
    None, 80, None, {"population": 80, "generations": 4}, "paper", 80, (100, 2000),
)  # fmt: skip
TINY = Sizes(
    12, ("digits, second",), 2, 2, (4,), 10, 1, (16,), 3, 128, 2, 2,
    {"population": 4, "generations": 2, "seeds": 1, "finalists": 1, "fair_rates": False, "screening": ()},
    "mlp", 4, (2, 4),
)  # fmt: skip


# LINES


def read_lines(path: Path) -> dict[str, dict[str, Any]]:
    """The measurements on record, by their names; a last line that was cut off is removed from the file."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(path, len(whole))
    return {line["measurement"]: line for line in map(json.loads, whole.splitlines())}


def write_line(path: Path, line: dict[str, Any]) -> None:
    """Append a line in one write, and wait until it is on the disk."""
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(line).encode() + b"\n")
        os.fsync(file.fileno())
    print(json.dumps(line)[:400], flush=True)


# MEASUREMENTS


def measurements(sizes: Sizes) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Name and function of every measurement, in their order."""
    import accelerator_times as times
    import accelerator_values as values

    import glojax

    config = glojax.SearchConfig(seed=7, **sizes.search)
    small = {**sizes.search, "population": min(12, config.population), "generations": 2}
    yield "values of the interpreter", lambda: values.interpreter(sizes.trees)
    yield "values of convolutions", lambda: values.convolution_forms(sizes.layers, sizes.networks, sizes.batch)
    yield "values of a search", lambda: values.search(glojax.SearchConfig(seed=7, **small), 4 * sizes.steps // 5)
    yield "matrix product", lambda: times.matrix_product(sizes.product)
    for size in sizes.populations:
        yield f"digits, {size} candidates", lambda size=size: times.population("mlp", size, sizes.steps, sizes.rounds)
    for size in sizes.populations:
        yield f"losses alone, {size} candidates", lambda size=size: times.interpreter(size, sizes.nodes, sizes.repeats)
    yield "host share", lambda: times.host_share(config, sizes.steps)
    network, population, (few, all_steps) = sizes.large, sizes.large_population, sizes.large_steps
    timed = sizes.timed_networks, sizes.timed_batch
    yield "convolutions", lambda: times.convolution_forms(sizes.layers, *timed)
    yield f"{population} of {network}, {few} steps", lambda: times.population(network, population, few, 1)
    beside = sizes.populations[0], sizes.steps, sizes.rounds
    yield "beside PyTorch", lambda: times.beside_pytorch("mlp", *beside)
    yield f"{population} of {network}, {all_steps} steps", lambda: times.population(network, population, all_steps, 1)


def measure(sizes: Sizes, path: Path) -> bool:
    """Measure what is not on record; whether everything is and every value is right."""
    from glojax import benchmark

    known = read_lines(path)
    machine = {"measurement": "machine", **benchmark.machine(), "tiny": sizes is TINY}
    if machine != known.setdefault("machine", machine):
        raise SystemExit(f"{path} is of another machine, {known['machine']}; here is {machine}. Take another --output.")
    if not path.exists():
        write_line(path, machine)
    for name, run in measurements(sizes):
        if name in known and "error" not in known[name]:
            continue
        started = time.perf_counter()
        try:
            found = run()
        except Exception as error:  # the next measurement may do
            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {error}"[:2000]}
        known[name] = {"measurement": name, "took": round(time.perf_counter() - started, 2), **found}
        write_line(path, known[name])
    return all(line.get("passed", "error" not in line) for line in known.values())


def stop_after(seconds: float) -> None:
    """End this process after some time, whatever it is at: every line that was written is whole."""

    def stop() -> None:
        print("the time is up; the same command goes on with what is not measured", flush=True)
        os._exit(TIME_IS_UP)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="after which it ends; default 9")
    parser.add_argument("--output", type=Path, required=True, help="folder of the lines and of compiled programs")
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU takes seconds for")
    options = parser.parse_args()
    if not options.minutes > 0:
        parser.error(f"--minutes is {options.minutes:g}; it must be above 0.")
    stop_after(60 * options.minutes)
    options.output.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("GLOJAX_CACHE_DIR", str(options.output / "cache"))

    import glojax

    glojax.keep_programs()
    complete = measure(TINY if options.tiny else FULL, options.output / FILE)
    sys.stdout.flush()
    os._exit(0 if complete else 1)  # what a cut-off compilation left behind is not waited for


if __name__ == "__main__":
    main()
