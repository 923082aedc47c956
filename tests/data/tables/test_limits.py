"""The limits fit each other."""

from glojax.data.tables import limits


def test_a_table_of_a_million_rows_and_20_columns_is_within_the_limits() -> None:
    assert limits.MAX_LINES > 10**6
    assert limits.MAX_CELLS >= 20 * 10**6
    assert "" in limits.GAPS
