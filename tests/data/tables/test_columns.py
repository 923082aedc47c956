"""What columns are taken for: indices, identifiers, codes, and wishes."""

from collections.abc import Callable
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


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (lambda i: f"{i}%" if i % 5 else str(i), "a is taken for text, and looks like numbers or dates"),
        (lambda i: f"{i % 28 + 1} Jan 2021", "a is taken for text, and looks like numbers or dates"),
        (lambda i: f"'{i}'", "a is taken for text, and looks like numbers or dates"),
        (lambda i: f"visitor {i}", "a has 40 texts in 40 rows, an identifier or free text"),
        (lambda i: ["Yes", "yes ", "no"][i % 3], "a has 'Yes' and 'yes', which may be the same"),
        (lambda i: f"ward {i % 12}", ""),
        (lambda i: f"{i % 5 * 10}-{i % 5 * 10 + 9}", ""),
    ],
)
def test_text_that_is_hardly_categories_is_warned_of(tmp_path: Path, cell: Callable[[int], str], said: str) -> None:
    sheet = read_sheet(write(tmp_path, "a,b,y", [f"{cell(i)},{i * 7 % 11},{i % 2}" for i in range(40)]), Reading())
    a, _ = read_columns(sheet, "y", Wishes())
    assert a.kind == "category"
    assert said in a.warning
    assert bool(said) == bool(a.warning)


def test_classes_that_differ_in_case_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "a,y\n" + "\n".join(f"{i * 7 % 11},{['yes', 'Yes', 'no'][i % 3]}" for i in range(40))
    )
    assert "y has 'Yes' and 'yes', which may be the same" in " ".join(
        tables.read(tmp_path / "t.csv", "y").about.split()
    )
