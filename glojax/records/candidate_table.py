"""Every candidate of a run as one table, in a file that other tools read."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from glojax import files
from glojax.records import directory
from glojax.records.candidates import LISTS, Record

COLUMNS = ("phase", "generation", "place", *Record._fields)
"""Of the table. The fate of a tree that screening rejected is ``not`` and the stage; it has no place and no scores."""


def write(run_dir: str | os.PathLike[str], path: str | os.PathLike[str]) -> int:
    """Write the candidates of all phases of a run, which may be going on, and the trees that screening rejected.

    Args:
      run_dir: of the run.
      path: of the file, which is replaced; its ending, ``.csv`` or ``.parquet``, names the format.

    Returns:
      The number of rows.

    Raises:
      ValueError: another ending, no run, or a damaged record; the message names it.
      ImportError: pyarrow is missing, and the ending is ``.parquet``.
      OSError: a file that cannot be read or written.
    """
    path = Path(path)
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise ValueError(f"{path}: its ending must be {' or '.join(writers)}.")
    if path.suffix == ".parquet":
        _pyarrow()
    with files.replaced(path) as file:
        return writers[path.suffix](_rows(Path(run_dir)), file)


def _rows(run_dir: Path) -> Iterator[list[dict[str, Any]]]:
    """The rows of one generation after another, and of what each phase rejected."""
    _, store = directory.read(run_dir)
    with contextlib.closing(store):
        for phase in store.phases():
            # One query a generation: while it lasts, a search that goes on waits to write.
            for number in range(store.generation_count(phase)):
                yield [
                    {"phase": phase, "generation": number, "place": place, **record._asdict()}
                    for place, record in enumerate(store.generation(phase, number))
                ]
            yield [
                {"phase": phase, "generation": number, "expression": one.expression, "canonical": one.canonical,
                 "fate": f"not {one.stage}"}
                for number, trees in store.rejected_by_generation(phase).items() for one in trees
            ]  # fmt: skip


def _write_csv(generations: Iterator[list[dict[str, Any]]], file: BinaryIO) -> int:
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


def _write_parquet(generations: Iterator[list[dict[str, Any]]], file: BinaryIO) -> int:
    pyarrow, parquet = _pyarrow()
    number, whole, text = pyarrow.float64(), pyarrow.int64(), pyarrow.string()
    kinds = {
        "phase": text, "generation": whole, "place": whole, "expression": text, "canonical": text,
        "coefficients": pyarrow.list_(number), "fitness": number, "scores": pyarrow.list_(number), "rate": number,
        "fate": text, "parents": pyarrow.list_(whole), "seed": whole, "steps": whole, "seconds": number,
    }  # fmt: skip
    schema, count = pyarrow.schema([(name, kinds[name]) for name in COLUMNS]), 0
    with parquet.ParquetWriter(file, schema) as writer:
        for rows in generations:
            if rows:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError("Parquet needs pyarrow, which comes with: pip install 'glojax[parquet]'") from None
    return pyarrow, pyarrow.parquet
