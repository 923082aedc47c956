"""The lines where rows begin, over pieces of text, quotes and blank lines; and what is refused."""

from pathlib import Path

import pytest

from glojax.data.tables import source


@pytest.mark.parametrize("piece", [7, 64, 2**20])
def test_rows_begin_where_quoted_line_ends_and_blank_lines_leave_them(
    tmp_path: Path, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_PIECE", piece)
    path = tmp_path / "t.csv"
    path.write_text('\na,b\n1,"two\n\nlines, and ""more"""\n  \n\n2,x\n3,"é\n"\n4,z')
    found = source.examined(path, ",", "utf-8")
    assert found.lines.tolist() == [2, 3, 8, 9, 11]


def test_encodings_and_delimiters_are_found(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for encoding, expected in (
        ("utf-8", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("cp1252", "cp1252"),
    ):
        path.write_text("ä;b\n" + "1;2,5\n" * 20, encoding=encoding)
        found = source.examined(path, None, None)
        assert (found.encoding, found.delimiter) == (expected, ";")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"a,b\n1,2\n\0,3\n", (None, None), "line 3: a NUL character"),
        (b'a,b\n1,"2\n', (None, None), "line 2: not well-formed CSV; a quote is not closed"),
        (b"a,b\n1,2\n", (",,", None), "delimiter is ',,'"),
        (b"a,b\n1,2\n", (None, "klingon"), "encoding is 'klingon'"),
        (b"a,b\n\xff\x81,2\n", (None, None), "not text in cp1252"),
        (b"\x1f\x8bnothing", (None, None), "damaged gzip"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, content: bytes, options: tuple[str | None, str | None], message: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        source.examined(tmp_path / "t.csv", *options)
