"""The target: gaps, numbers in wild forms, and classes that are too rare."""

from pathlib import Path

import numpy as np
import pytest

from glojax.data.tables.sheet import Reading, read_sheet
from glojax.data.tables.targets import Target, read_target


def target(path: Path, cells: list[str], kind: str | None = None) -> Target:
    (path / "t.csv").write_text("\n".join(["x;y", *(f"{i};{cell}" for i, cell in enumerate(cells))]))
    return read_target(read_sheet(path / "t.csv", Reading(), {"y"}), "y", kind)


def test_rows_without_a_target_are_left_out(tmp_path: Path) -> None:
    found = target(tmp_path, [("?" if i % 4 == 0 else f"{i},5") for i in range(80)])
    assert (found.kind, found.classes) == ("regression", ())
    np.testing.assert_array_equal(found.rows, [i for i in range(80) if i % 4])
    np.testing.assert_array_equal(found.labels, found.rows + 0.5)


def test_classes_are_named_as_they_are_written(tmp_path: Path) -> None:
    found = target(tmp_path, ["10", "9", "9.0"] * 5)
    assert (found.kind, found.classes) == ("binary", ("9", "10"))
    assert found.labels.tolist() == [1, 0, 0] * 5
    assert "--kind regression" in found.why


def test_rare_classes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"class 'odd' \(line 4\) in 1 of its rows \(1 more such classes\)"):
        target(tmp_path, ["rare", "rare", "odd", *["usual"] * 20])
