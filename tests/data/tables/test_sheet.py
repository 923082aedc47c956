"""Files as they are found: dialects, encodings, compression and Parquet give one frame; headers are checked."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glojax.data.tables.sheet import Reading, read_sheet

FRAME = pd.DataFrame(
    {
        "id": np.arange(30) * 7 % 31,
        "café": ["é", "ü", None] * 10,
        "size": [None if i % 7 == 3 else i / 8 for i in range(30)],
    }
)


def check(path: Path, reading: Reading | None = None) -> None:
    frame = read_sheet(path, reading or Reading()).frame
    assert list(frame) == list(FRAME)
    np.testing.assert_array_equal(frame["id"], FRAME["id"])
    np.testing.assert_array_equal(frame["size"], FRAME["size"])
    assert [None if pd.isna(cell) else cell for cell in frame["café"]] == ["é", "ü", None] * 10


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_dialect_gives_the_frame_that_was_written(
    tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False, sep=delimiter, encoding=encoding, lineterminator=end, na_rep="?")
    check(tmp_path / "t.csv")


@pytest.mark.parametrize("mark", ["", "?", "NA", "N/A", "-", "None", "#N/A", "NaN", "nothing"])
def test_marks_are_gaps(tmp_path: Path, mark: str) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False, na_rep=mark)
    check(tmp_path / "t.csv", Reading(missing=("nothing",)))


def test_gzip_parquet_and_the_hint_of_excel_are_read(tmp_path: Path) -> None:
    text = FRAME.to_csv(index=False, sep=":")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    check(tmp_path / "t.csv.gz", Reading(delimiter=":"))
    (tmp_path / "t.csv").write_text("sep=:\n" + text)
    check(tmp_path / "t.csv")
    pytest.importorskip("pyarrow")
    FRAME.to_parquet(tmp_path / "t.parquet")
    check(tmp_path / "t.parquet")


@pytest.mark.parametrize("header", ["39,a,77516", "5.1,3.5,0", "7,x,y"])
def test_a_first_line_that_looks_like_data_is_refused_with_the_way_out(tmp_path: Path, header: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join([header, *(f"{i},b,{i * i}" for i in range(20))]))
    with pytest.raises(ValueError, match=r"line 1: .*the first line must name the columns.*--no-header"):
        read_sheet(path, Reading())
    sheet = read_sheet(path, Reading(header=False))
    assert (list(sheet.frame), len(sheet.frame)) == (["1", "2", "3"], 21)


def test_letters_that_are_in_every_column_are_data_and_years_are_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["p,x,s", *("e,x,y" if i % 2 else "p,b,s" for i in range(20))]))
    with pytest.raises(ValueError, match=r"cells that look like data \(p, x, s\)"):
        read_sheet(path, Reading())
    path.write_text("\n".join(["land,2001,2002", *(f"l{i},{i},{i}" for i in range(20))]))
    assert list(read_sheet(path, Reading()).frame) == ["land", "2001", "2002"]


def test_truth_is_text_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["a,b", *(f"{('TRUE', 'FALSE')[i % 2]},{i}" for i in range(20))]))
    assert set(read_sheet(path, Reading()).frame["a"]) == {"TRUE", "FALSE"}
