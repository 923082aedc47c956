"""What sections are made of."""

from matplotlib.axes import Axes

from glojax.reporting import blocks, style


def draw(axes: Axes) -> None:
    axes.plot([0, 1], [1, 0])
    axes.set_xlabel("steps")


def test_a_picture_is_the_svg_of_its_figure() -> None:
    picture = blocks.Picture("curve", style.panel(draw), "A caption.", "A falling line")
    assert picture.svg == style.to_svg(picture.figure, "curve", "A falling line")
    assert ">steps<" in picture.svg
    as_paths = blocks.Picture("curve", picture.figure, "A caption.", "A falling line", text_as_paths=True)
    assert ">steps<" not in as_paths.svg


def test_blocks_are_told_by_their_kinds() -> None:
    made = (
        blocks.Picture("name", style.panel(draw), "", ""),
        blocks.Table(["a"], [["1"]], "A table."),
        blocks.Text("A paragraph."),
        blocks.Source("x = 1"),
    )
    assert [block.kind for block in made] == ["picture", "table", "text", "source"]
    assert not made[2].is_lead


def test_code_is_text_that_says_so() -> None:
    cell = blocks.Code("x * y")
    assert cell == "x * y"
    assert cell.is_code
    assert not hasattr("x * y", "is_code")


def test_only_a_table_that_is_cut_says_so() -> None:
    assert blocks.cut_remark(range(blocks.MOST_ROWS)) == ""
    assert blocks.cut_remark(range(1500)) == " (the first 300 of 1,500; the record has all)"
