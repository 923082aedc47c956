"""What columns are taken for: indices, identifiers, codes, and wishes."""

from pathlib import Path

import pytest

from glojax.data import tables
from glojax.data.tables.columns import Wishes, read_columns
from glojax.data.tables.sheet import Reading, read_sheet


def write(path: Path, header: str, rows: list[str]) -> Path:
    (path / "t.csv").write_text("\n".join([header, *rows]) + "\n")
    return path / "t.csv"


def test_an_index_is_dropped_and_identifiers_and_codes_are_warned_of(tmp_path: Path) -> None:
    rows = [f"{i},{i * 7 % 40},{i % 9:05},{i * i % 23},{i % 2}" for i in range(40)]
    sheet = read_sheet(write(tmp_path, ",user_id,zip,x,y", rows), Reading())
    index, user, code, x = read_columns(sheet, "y", Wishes())
    assert (index.kind, "index=False" in index.why) == ("dropped", True)
    assert "looks like an identifier: --drop user_id" in user.warning
    assert "zip looks like codes" in code.warning
    assert (x.kind, x.warning) == ("number", "")


def test_decimal_commas_of_one_column_are_those_of_others(tmp_path: Path) -> None:
    rows = [f"{i},5;{i},{100 + i};{i % 2}" for i in range(10, 40)]
    sheet = read_sheet(write(tmp_path, "a;b;y", rows), Reading())
    a, b = read_columns(sheet, "y", Wishes())
    assert (a.values[0], b.values[0]) == (10.5, 10.11)
    assert "10,110 is read as" in b.warning


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(drop=["z"]), "drop has 'z'; columns allowed are a, b"),
        (Wishes(drop=["a"], numeric=["a"]), "'a' is in numeric and in drop"),
        (Wishes(drop=["a", "b"]), "the only column that is left"),
        (Wishes(ordinal={"b": ("u",)}), "ordinal column 'b' holds 'v', which its order"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(tmp_path: Path, wishes: Wishes, message: str) -> None:
    sheet = read_sheet(write(tmp_path, "a,b,y", [f"{i},{'uv'[i % 2]},{i}" for i in range(20)]), Reading())
    with pytest.raises(ValueError, match=message):
        read_columns(sheet, "y", wishes)


@pytest.mark.parametrize(("first", "is_ambiguous"), [("03/04/2024", True), ("03/25/2024", False), ("05/05/2024", True)])
def test_dates_whose_day_could_be_the_month_are_warned_of(tmp_path: Path, first: str, is_ambiguous: bool) -> None:
    rows = "\n".join(f"{first if i % 2 else '02/01/2024'},{i % 5}" for i in range(40))
    (tmp_path / "t.csv").write_text(f"day,y\n{rows}\n")
    said = " ".join(tables.read(tmp_path / "t.csv", "y").about.split())
    assert ("day: 02/01/2024 is read with the month first; the day could be first" in said) == is_ambiguous
