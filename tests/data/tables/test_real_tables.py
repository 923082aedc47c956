"""Real tables, written as people write them, beside what they hold.

What a table holds comes from scikit-learn's arrays or, for files beside the repository, from Python's csv module.
"""

import csv
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from glojax.data import tables
from glojax.data.tables import TableData

FOLDER = Path(os.environ.get("GLOJAX_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data") / "tables"


class Style(NamedTuple):
    """How a file is written."""

    delimiter: str = ","
    encoding: str = "utf-8"
    comma: bool = False  # decimal commas, and Unicode's minus
    quoted: bool = False
    hint: bool = False  # Excel's first line
    packed: bool = False
    gap: str = ""
    header: bool = True
    space: str = ""  # after the delimiter


def write(path: Path, frame: pd.DataFrame, style: Style) -> Path:
    """Write a frame cell by cell."""

    def cell(value: Any) -> str:
        if value is None or value != value:
            return style.gap
        text = f"{value:g}" if isinstance(value, float) and value == int(value) else str(value)
        if style.comma and isinstance(value, float):
            text = text.replace(".", ",").replace("-", "−")
        needs = style.quoted or style.delimiter in text
        return f'"{text}"' if needs else text

    rows = [[cell(name) for name in frame]] if style.header else []
    rows += [[cell(value) for value in row] for row in frame.itertuples(index=False)]
    lines = [f"sep={style.delimiter}"] * style.hint + [(style.delimiter + style.space).join(row) for row in rows]
    content = ("\r\n".join(lines) + "\r\n").encode(style.encoding)
    path.write_bytes(gzip.compress(content, 1) if style.packed else content)
    return path


def frame_of(load: Callable[..., Any], target: str) -> pd.DataFrame:
    """A data set of scikit-learn, with names of classes as its target."""
    found = load()
    frame = pd.DataFrame(np.asarray(found.data, float), columns=[str(name) for name in found.feature_names])
    named = getattr(found, "target_names", None) is not None and np.asarray(found.target).dtype.kind == "i"
    frame[target] = [str(found.target_names[one]) for one in found.target] if named else found.target.astype(float)
    return frame


def with_gaps(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frame with one cell in nine of a column empty."""
    return frame.assign(**{column: frame[column].where(np.arange(len(frame)) % 9 > 0)})


def linnerud() -> pd.DataFrame:
    found = sklearn.datasets.load_linnerud()
    return pd.DataFrame(np.c_[found.data, found.target[:, 0]], columns=[*found.feature_names, "Weight"])


IRIS = frame_of(sklearn.datasets.load_iris, "species")
WINE = frame_of(sklearn.datasets.load_wine, "cultivar")
CANCER = frame_of(sklearn.datasets.load_breast_cancer, "tumour")
DIABETES = frame_of(sklearn.datasets.load_diabetes, "progression")
DIGITS = frame_of(sklearn.datasets.load_digits, "digit")
DIGITS["digit"] = sklearn.datasets.load_digits().target

CASES: dict[str, tuple[pd.DataFrame, str, str, Style, dict[str, Any]]] = {
    "iris": (IRIS, "species", "classification", Style(";", comma=True), {}),
    "iris with gaps": (with_gaps(IRIS, "sepal width (cm)"), "species", "classification", Style("|", gap="#N/A"), {}),
    "wine": (WINE, "cultivar", "classification", Style(packed=True), {}),
    "wine with gaps": (with_gaps(WINE, "alcohol"), "cultivar", "classification",
                       Style("\t", "utf-16", packed=True, gap="-"), {}),
    "breast cancer": (CANCER, "tumour", "binary", Style("\t", "utf-16"), {}),
    "breast cancer with gaps": (with_gaps(CANCER, "mean area"), "tumour", "binary", Style(quoted=True, gap="?"), {}),
    "digits": (DIGITS, "digit", "classification", Style("|", space=" "), {}),
    "diabetes": (DIABETES, "progression", "regression", Style(";", "utf-8-sig", hint=True, quoted=True), {}),
    "diabetes in decimal commas": (DIABETES, "progression", "regression", Style("\t", comma=True), {}),
    "linnerud": (linnerud(), "Weight", "regression", Style(space="  "), {"kind": "regression"}),
    "linnerud without names": (linnerud(), "4", "regression", Style(";", header=False),
                               {"kind": "regression", "header": False}),
}  # fmt: skip

SHARED: dict[str, tuple[str, str, str, str, Style, dict[str, Any]]] = {  # file, its delimiter, target, kind
    "adult": ("adult-2000.data", ",", "15", "binary", Style(space=" ", header=False, gap="?"), {"header": False}),
    "cars": ("auto-mpg.csv", ",", "mpg", "regression", Style(";", comma=True, gap="N/A"), {"drop": ["name"]}),
    "bank": ("bank-additional.csv", ";", "y", "binary", Style("\t", "utf-16", quoted=True), {"drop": ["duration"]}),
    "red wine": ("winequality-red.csv", ";", "quality", "classification", Style(packed=True), {}),
}


def read_by_hand(path: Path, delimiter: str, header: bool) -> pd.DataFrame:
    """A file of text and numbers; ``?`` and nothing are gaps."""
    with path.open(newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file, delimiter=delimiter) if any(row)]
    names = rows.pop(0) if header else [str(place + 1) for place in range(len(rows[0]))]
    columns: dict[str, list[Any]] = {}
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        known: list[Any] = [None if cell in ("?", "") else cell for cell in cells]
        try:
            columns[name] = [np.nan if cell is None else float(cell) for cell in known]
        except ValueError:
            columns[name] = known
    return pd.DataFrame(columns)


def check(table: TableData, frame: pd.DataFrame, target: str, kind: str, drop: list[str]) -> None:
    """Compare a table with a frame, whatever the order of its rows."""
    assert table.kind == kind
    x, labels = (np.concatenate(part) for part in zip(*table.splits, strict=True))
    assert len(x) == len(frame)
    for part, share in zip(table.splits, (0.6, 0.2, 0.2), strict=True):
        assert len(part.labels) / len(frame) == pytest.approx(share, abs=0.12)
    if kind == "regression":
        np.testing.assert_allclose(np.sort(table.transform.numbers(labels)), np.sort(frame[target]), rtol=1e-4)
    else:
        counts = {
            f"{one:g}" if isinstance(one, float) else str(one): n for one, n in frame[target].value_counts().items()
        }
        assert dict(zip(table.classes, np.bincount(labels).tolist(), strict=True)) == counts
    inputs = frame.drop(columns=[target, *drop])
    kept = [name for name in inputs if inputs[name].nunique() > 1]
    numbers = [name for name in kept if inputs[name].dtype.kind == "f"]
    assert [one.name for one in table.transform.encodings] == numbers + [name for name in kept if name not in numbers]
    for place, encoding in enumerate(table.transform.encodings[: len(numbers)]):
        found = np.sort(x[:, place] * encoding.std + encoding.mean)
        expected = np.sort(inputs[encoding.name].fillna(encoding.median))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * encoding.std)
    place = len(numbers)
    for encoding in table.transform.encodings[len(numbers) :]:
        cells = inputs[encoding.name].fillna("missing")
        for category in encoding.categories:
            assert x[:, place].sum() == (cells == category).sum()
            place += 1
    assert place == x.shape[1]


@pytest.mark.parametrize("name", CASES)
def test_a_real_table_is_read_for_what_it_holds(name: str, tmp_path: Path) -> None:
    frame, target, kind, style, reading = CASES[name]
    path = write(tmp_path / "t.csv", frame, style)
    if not style.header:
        frame = frame.set_axis([str(place + 1) for place in range(frame.shape[1])], axis=1)
    table = tables.read(path, target, **reading)
    check(table, frame, target, kind, [])
    np.testing.assert_array_equal(np.sort(table.transform(path), axis=0), np.sort(_inputs(table), axis=0))


@pytest.mark.parametrize("name", SHARED)
def test_a_table_of_others_is_read_for_what_it_holds(name: str, tmp_path: Path) -> None:
    file, delimiter, target, kind, style, reading = SHARED[name]
    if not (FOLDER / file).exists():
        pytest.skip(f"{FOLDER / file} is not there")
    frame = read_by_hand(FOLDER / file, delimiter, style.header)
    for path in (FOLDER / file, write(tmp_path / "t.csv", frame, style)):
        check(tables.read(path, target, **reading), frame, target, kind, reading.get("drop", []))


def _inputs(table: TableData) -> np.ndarray:
    return np.concatenate([part.x for part in table.splits])
