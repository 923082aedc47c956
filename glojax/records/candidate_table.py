"""Every candidate of a run as one table, in a file that other tools read."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from glojax import files
from glojax.records import directory
from glojax.records.candidates import LISTS, Record

COLUMNS = ("phase", "generation", "place", *Record._fields)
"""Columns of the table. A tree that screening rejected has the fate ``not`` and its stage, no place and no scores."""

Row = dict[str, object]  # values by column


def write_candidate_table(run_dir: str | os.PathLike[str], path: str | os.PathLike[str]) -> int:
    """Write the candidates of all phases of a run, and the trees that screening rejected; the run may be going on.

    Args:
      run_dir: the run directory.
      path: the file, which is replaced; its ending, ``.csv`` or ``.parquet``, is its format.

    Returns:
      The number of rows.

    Raises:
      ValueError: another ending, not a run, or a damaged record; the message names it.
      ImportError: the ending is ``.parquet`` and pyarrow is missing.
      OSError: a file cannot be read or written.
    """
    path = Path(path)
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise ValueError(f"{path}: its ending must be {' or '.join(writers)}.")
    if path.suffix == ".parquet":
        _pyarrow()
    with files.replaced(path) as file:
        return writers[path.suffix](candidate_rows(run_dir), file)


def candidate_rows(run_dir: str | os.PathLike[str]) -> Iterator[list[Row]]:
    """The rows of each generation in turn, then of the trees that each phase rejected.

    Raises:
      ValueError: not a run, or a damaged record.
      OSError: a file cannot be read.
    """
    _, store = directory.read(Path(run_dir))
    with contextlib.closing(store):
        for phase in store.phases():
            # One query for each generation: while a query lasts, a search that is going on cannot write.
            for number in range(store.generation_count(phase)):
                yield [
                    {"phase": phase, "generation": number, "place": place, **record._asdict()}
                    for place, record in enumerate(store.generation(phase, number))
                ]
            for number, rejected in store.rejected_by_generation(phase).items():
                yield [
                    {
                        "phase": phase,
                        "generation": number,
                        "expression": tree.expression,
                        "canonical": tree.canonical,
                        "fate": f"not {tree.stage}",
                        "origin": tree.origin,
                    }
                    for tree in rejected
                ]


def _write_csv(generations: Iterator[list[Row]], file: BinaryIO) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    count = 0
    for rows in generations:
        for row in rows:
            writer.writerow(row | {name: json.dumps(row[name]) for name in LISTS if name in row})
        count += len(rows)
    text.flush()
    text.detach()
    return count


def _write_parquet(generations: Iterator[list[Row]], file: BinaryIO) -> int:
    pyarrow, parquet = _pyarrow()
    number, whole, text = pyarrow.float64(), pyarrow.int64(), pyarrow.string()
    types = dict.fromkeys(("phase", "expression", "canonical", "fate", "origin"), text)
    types |= dict.fromkeys(("generation", "place", "seed", "steps"), whole)
    types |= dict.fromkeys(("fitness", "rate", "seconds"), number)
    types |= dict(coefficients=pyarrow.list_(number), scores=pyarrow.list_(number), parents=pyarrow.list_(whole))
    schema, count = pyarrow.schema([(name, types[name]) for name in COLUMNS]), 0
    with parquet.ParquetWriter(file, schema) as writer:
        for rows in generations:
            if rows:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError("Parquet needs pyarrow, which comes with: pip install 'glojax[parquet]'") from None
    return pyarrow, pyarrow.parquet
