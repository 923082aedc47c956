"""How long a table takes to be read and split, in a process of its own, and how much memory.

Command: python experiments/table_reading.py [--rows 10000 1000000] [--repeats 3]

The tables have 20 columns: 14 of numbers, some with gaps, 3 of text, a date, an amount with a currency, and a target.
``seconds`` is the whole process, the start of Python and all imports included, ``processor`` what of it was computing,
which other work on the machine changes less; ``reading`` is ``glojax.tables.read``, scikit-learn's import included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

_READ = """
import json, resource, sys, time
started = time.perf_counter()
import glojax
glojax.tables
imported = time.perf_counter()
table = glojax.tables.read(sys.argv[1], "target")
done = time.perf_counter()
print(json.dumps({
    "importing": imported - started, "reading": done - imported, "features": len(table.features),
    "processor": time.process_time(), "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def write(path: Path, rows: int) -> None:
    """Write a table of so many rows."""
    random = np.random.default_rng(0)
    columns: dict[str, np.ndarray] = {}
    for place in range(14):
        values = random.normal(10 * place, 3, rows).round(3)
        columns[f"number {place}"] = np.where(random.random(rows) < 0.02 * (place % 3), np.nan, values)
    for place in range(3):
        columns[f"text {place}"] = random.choice([f"kind {kind}" for kind in range(4 + 3 * place)], rows)
    columns["date"] = np.datetime_as_string(np.datetime64("2020-01-01") + random.integers(0, 1500, rows))
    columns["amount"] = np.char.add("$", np.char.mod("%.2f", random.gamma(2, 900, rows)))
    columns["target"] = np.where(random.random(rows) < 0.3, "yes", "no")
    pd.DataFrame(columns).to_csv(path, index=False)


def measured(path: Path) -> dict[str, float]:
    """One process that reads a file."""
    started = time.perf_counter()
    ran = subprocess.run([sys.executable, "-c", _READ, str(path)], check=True, capture_output=True, text=True)
    return {"seconds": time.perf_counter() - started, **json.loads(ran.stdout)}


def main() -> None:
    """Measure tables of each size, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            path = Path(folder) / f"{rows}.csv"
            write(path, rows)
            found = [measured(path) for _ in range(options.repeats)]
            size = path.stat().st_size / 2**20
            middle = {name: median(one[name] for one in found) for name in found[0]}
            print(
                f"{rows:,} rows of 20 columns, {size:,.1f} MiB: {middle['seconds']:.2f} s in all, "
                f"{middle['processor']:.2f} s of it computing, "
                f"{middle['importing']:.2f} s importing, {middle['reading']:.2f} s reading; "
                f"{middle['mebibytes']:,.0f} MiB of memory"
            )


if __name__ == "__main__":
    main()
