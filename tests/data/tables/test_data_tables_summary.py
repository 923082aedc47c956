"""What a table was taken for, in words of at most 80 columns."""

from pathlib import Path

import pytest

from glojax.data import tables
from glojax.data.tables.summary import printed

SHARED = Path(__file__).parents[4] / "shared" / "data" / "tables"


def test_lines_are_wrapped_below_their_title() -> None:
    text = printed([("Numbers", "word " * 40), ("", "more")])
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0].startswith("Numbers    word word")
    assert text.splitlines()[-1] == "           more"


@pytest.mark.skipif(not SHARED.exists(), reason="needs the tables beside the checkout")
@pytest.mark.parametrize(
    ("name", "target", "header", "said"),
    [
        (
            "adult-2000.data",
            "15",
            False,
            ["2 classes (2 distinct texts): <=50K (1,501), >50K (499)", "2 123, 7 123, 14 39"],
        ),
        ("auto-mpg.csv", "mpg", True, ["regression, 9 to 46.6", "horsepower 6: filled", "name (305 distinct texts"]),
        ("bank-additional.csv", "y", True, ["no (3,668), yes (451)", "between semicolons", "job (12)"]),
        ("winequality-red.csv", "quality", True, ["5 (681)", "--kind regression takes them", "240 rows equal others"]),
    ],
)
def test_real_tables_are_described(name: str, target: str, header: bool, said: list[str]) -> None:
    about = tables.read(SHARED / name, target, header=header).about
    assert max(map(len, about.splitlines())) <= 80
    for text in said:
        assert text in " ".join(about.split())
