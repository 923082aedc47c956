"""How rows of a table become inputs of a network: learned from the training part by scikit-learn, kept as JSON."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glojax import files
from glojax.data.tables import columns, limits
from glojax.data.tables.columns import Column
from glojax.data.tables.forms import Form
from glojax.data.tables.scaling import TargetScale, scale_from
from glojax.data.tables.sheet import Reading, Sheet, read_sheet, tidied
from glojax.errors import listed, quoted, short

SCHEMA = 1
"""Version of the file."""

_MISSING = "missing"  # the category of gaps


@dataclass(frozen=True)
class Encoding:
    """How one column becomes inputs."""

    name: str
    kind: str  # "number", "ordinal" or "category"
    form: Form
    order: tuple[str, ...] = ()
    median: float = 0.0  # what gaps are filled with
    mean: float = 0.0
    std: float = 1.0
    categories: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs that the column becomes."""
        return tuple(f"{self.name}={category}" for category in self.categories) or (self.name,)


@dataclass(frozen=True)
class Transform:
    """Turns rows of a table into inputs ``[rows, features]`` as those of the training part were.

        transform = glojax.tables.load_transform("runs/wine/table.json")
        x = transform("new.csv")  # float32[rows, features]

    Attributes:
      target, kind, classes, target_form, target_mean, target_std: of the target; mean and deviation are those of a
        regression's training part, in its own units.
      encodings: the columns, in the order of the inputs.
      missing: cells that hold no value, beside the usual ones.
      about: what the columns were taken for, lines of a title and a text.
      target_scale: how a regression's targets become labels, and outputs numbers in the target's own units.
      delimiter, encoding: of a CSV file, where they were given; new files are read with them, too.
    """

    target: str
    kind: str
    classes: tuple[str, ...]
    target_form: Form | None
    target_mean: float
    target_std: float
    encodings: tuple[Encoding, ...]
    missing: tuple[str, ...] = ()
    has_header: bool = True
    about: tuple[tuple[str, str], ...] = ()
    target_scale: TargetScale = field(default_factory=TargetScale)
    delimiter: str | None = None
    encoding: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs; ``column=category`` for one-hot columns."""
        return tuple(feature for encoding in self.encodings for feature in encoding.features)

    def __call__(self, table: str | os.PathLike[str] | pd.DataFrame) -> np.ndarray:
        """Inputs of new rows, float32 ``[rows, features]``, of a file or a frame with these columns in any order.

        Raises:
          ValueError: a column is missing, or a cell is no number where one is expected.
          OSError: the file cannot be read.
        """
        return self.inputs(self.sheet(table))

    def sheet(self, table: str | os.PathLike[str] | pd.DataFrame) -> Sheet:
        """The cells of a file or a frame that has the same columns."""
        text = {self.target, *(encoding.name for encoding in self.encodings if encoding.kind != "number")}
        if isinstance(table, pd.DataFrame):
            reading = Reading(missing=self.missing)
            frame = table.reset_index(drop=True).rename(columns=str)
            frame = frame.astype({name: object for name in text if name in frame})
            sheet = Sheet(Path("frame"), tidied(frame, reading.gaps), np.arange(1, len(frame) + 1), "", place="row")
        else:
            reading = Reading(self.delimiter, self.encoding, self.missing, self.has_header)
            sheet = read_sheet(Path(table), reading, text)
        if lacking := [encoding.name for encoding in self.encodings if encoding.name not in sheet.frame]:
            names = list(sheet.frame)
            raise ValueError(f"{short(sheet.path)}: no column {quoted(lacking[0])}; it has {listed(names)}.")
        return sheet

    def numbers(self, outputs: np.ndarray) -> np.ndarray:
        """Predictions of a regression in the target's own units, of a network's outputs or of labels."""
        return self.target_scale.numbers(np.asarray(outputs, float))

    def inputs(self, sheet: Sheet) -> np.ndarray:
        """Inputs of the rows of a file, float32 ``[rows, features]``."""
        values: dict[str, np.ndarray] = {}
        for encoding in self.encodings:
            name = encoding.name
            if encoding.kind == "number":
                values[name], _, fits = columns.read_numbers(sheet, name, encoding.form)
                columns.refuse_text(sheet, name, fits)
                columns.check_finite(sheet, name, values[name])
            elif encoding.kind == "ordinal":
                values[name] = columns.ordinal_values(sheet.column(name), encoding.order)
            else:
                values[name] = sheet.column(name).to_numpy(object)
        return encoded(self.encodings, values, sheet, np.arange(len(sheet.lines)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON."""
        content = {"glojax_table": SCHEMA, **dataclasses.asdict(self)}
        files.write_atomically(path, json.dumps(content, indent=1) + "\n")


def load_transform(path: str | os.PathLike[str]) -> Transform:
    """Read what ``Transform.save`` wrote, such as ``table.json`` in a run directory.

    Raises:
      ValueError: not such a file, or a damaged one; the message names it.
      OSError: the file cannot be read.
    """
    content = files.read_json(path, limits.MAX_BYTES)
    if not isinstance(content, dict) or content.pop("glojax_table", None) != SCHEMA:
        raise ValueError(f"{short(path)} is not a table's transform of this version of glojax.")
    try:
        made = {**content, "encodings": tuple(_encoding(entry) for entry in content["encodings"])}
        for field in ("classes", "missing"):
            made[field] = tuple(str(entry) for entry in content[field])
        made["about"] = tuple((str(title), str(text)) for title, text in content["about"])
        made["target_form"] = None if content["target_form"] is None else Form(*map(str, content["target_form"]))
        made |= {field: float(content[field]) for field in ("target_mean", "target_std")}
        # Files of before have no scale of their own.
        plain = TargetScale(mean=made["target_mean"], std=made["target_std"])
        made["target_scale"] = scale_from(content["target_scale"]) if "target_scale" in content else plain
        return Transform(**made)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{short(path)} is damaged: {short(error, 100)}.") from None


def _encoding(entry: Mapping[str, Any]) -> Encoding:
    numbers = {field: float(entry[field]) for field in ("median", "mean", "std")}
    if entry["kind"] not in ("number", "ordinal", "category") or not np.isfinite(list(numbers.values())).all():
        raise ValueError(f"encoding of {quoted(entry['name'])}")
    order, categories = (tuple(str(value) for value in entry[field]) for field in ("order", "categories"))
    form = Form(*map(str, entry["form"]))
    return Encoding(str(entry["name"]), str(entry["kind"]), form, order, categories=categories, **numbers)


def fit(sheet: Sheet, taken: Sequence[Column], rows: np.ndarray) -> tuple[Encoding, ...]:
    """Learn medians, means, deviations and categories from some rows; numbers come first.

    Raises:
      ValueError: a column is empty throughout these rows.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [column for column in taken if column.kind in ("number", "ordinal")]
    categories = [column for column in taken if column.kind == "category"]
    for column in numbers:
        if np.isnan(column.values[rows]).all():
            raise ValueError(
                f"{short(sheet.path)}: column {quoted(column.name)} is empty throughout the training part; --drop it."
            )
    filled: dict[str, Any] = dict(missing_values=None, strategy="constant", fill_value=_MISSING)
    blocks: list[Any] = [
        (
            "numbers",
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            [column.name for column in numbers],
        ),
        ("categories", make_pipeline(SimpleImputer(**filled), OneHotEncoder()), [column.name for column in categories]),
    ]
    cells = pd.DataFrame({column.name: pd.Series(column.values[rows], dtype=column.values.dtype) for column in taken})
    fitted = ColumnTransformer([block for block in blocks if block[2]]).fit(cells).named_transformers_
    found: list[Encoding] = []
    if numbers:
        imputer, scaler = fitted["numbers"][0], fitted["numbers"][1]
        for column, median, mean, std in zip(numbers, imputer.statistics_, scaler.mean_, scaler.scale_, strict=True):
            found.append(
                Encoding(column.name, column.kind, column.form, column.order, float(median), float(mean), float(std))
            )
    if categories:
        for column, names in zip(categories, fitted["categories"][1].categories_, strict=True):
            found.append(Encoding(column.name, column.kind, column.form, categories=tuple(map(str, names))))
    return tuple(found)


def encoded(
    encodings: Sequence[Encoding], values: Mapping[str, np.ndarray], sheet: Sheet, rows: np.ndarray
) -> np.ndarray:
    """Inputs of some rows, float32 ``[rows, features]``. A category that was not learned is 0 in all of its columns.

    Raises:
      ValueError: a number so far from the training part that float32 cannot hold it after scaling.
    """
    made = np.zeros((len(rows), sum(len(encoding.features) for encoding in encodings)), np.float32)
    place = 0
    for encoding in encodings:
        given = values[encoding.name][rows]
        if encoding.kind == "category":
            given = pd.Series(given, dtype=object).fillna(_MISSING)
            codes = pd.Index(encoding.categories, dtype=object).get_indexer(pd.Index(given))
            known = np.flatnonzero(codes >= 0)
            made[known, place + codes[known]] = 1
        else:
            scaled = (np.where(np.isnan(given), encoding.median, given) - encoding.mean) / encoding.std
            made[:, place] = as_float32(sheet, encoding.name, scaled, rows)
        place += len(encoding.features)
    return made


def as_float32(sheet: Sheet, name: str, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Scaled values of some rows as float32."""
    with np.errstate(over="ignore"):
        made = values.astype(np.float32)
    if (wrong := np.flatnonzero(~np.isfinite(made))).size:
        raise ValueError(
            f"{short(sheet.path)}, {sheet.place} {sheet.lines[rows[wrong[0]]]}: column {quoted(name)} is so far from "
            "the training values that float32 cannot hold it after scaling."
        )
    return made
