"""The section on the best loss of every size."""

from pathlib import Path

from glojax.records import summary
from glojax.reporting.blocks import Picture, Table
from glojax.reporting.hall_section import hall_blocks


def test_it_has_a_figure_and_a_row_for_every_size(made: Path) -> None:
    run = summary.read(made)
    picture, table = hall_blocks(run)
    assert isinstance(picture, Picture)
    assert isinstance(table, Table)
    famous = run.phases["search"].hall_of_fame
    assert [row[:2] for row in table.rows] == [[str(one.size), one.expression] for one in famous]
    assert "fresh seeds of the finals" in picture.caption


def test_where_losses_came_from_is_counted(made: Path) -> None:
    run = summary.read(made)
    phase = run.phases["search"]
    rows = phase.generations[0]
    phase.generations[0] = [rows[0]._replace(origin="start"), rows[1]._replace(origin="grown"), rows[2]]
    *_, table = hall_blocks(run)
    assert isinstance(table, Table)
    assert [row[:2] for row in table.rows] == [["given at the start", "1"], ["grown at random", "1"]]
    assert table.rows[0][4] == rows[0].expression
