"""Numbers as people write them: each form, worked out by hand, and dates against Python's own."""

from datetime import date

import numpy as np
import pytest

from glojax.data.tables import forms


@pytest.mark.parametrize(
    ("cells", "name", "unit", "values"),
    [
        (["1", "-2.5", "1e3"], forms.PLAIN, "", [1, -2.5, 1000]),
        (["1,234", "1,234,567.5", "12"], forms.THOUSANDS, "", [1234, 1234567.5, 12]),
        (["1,5", "-0,25", "7"], forms.COMMA, "", [1.5, -0.25, 7]),
        (["1.234,5", "12.345.678", "0,5"], forms.COMMA, "", [1234.5, 12345678, 0.5]),
        (["1\u202f234,5", "7,25"], forms.COMMA, "", [1234.5, 7.25]),
        (["12%", "7.5 %", "-3%"], forms.PLAIN, "%", [12, 7.5, -3]),
        (["$1,200.50", "$3", "-$4"], forms.THOUSANDS, "$", [1200.5, 3, -4]),
        (["1.200,50 €", "3\u00a0€"], forms.COMMA, "€", [1200.5, 3]),
        (["\u22125", "6"], forms.PLAIN, "", [-5, 6]),
        (["(12.50)", "3", "(4)"], forms.PLAIN, "", [-12.5, 3, -4]),
        (["($1,200)", "$3"], forms.THOUSANDS, "$", [-1200, 3]),
    ],
)
def test_a_column_of_one_form_is_numbers(cells: list[str], name: str, unit: str, values: list[float]) -> None:
    form, fits = forms.form_of(cells)
    assert form == (name, unit)
    assert fits.all()
    np.testing.assert_allclose(forms.numbers(cells, form), values)


@pytest.mark.parametrize(
    "cells", [["1.5", "1,25"], ["12%", "3"], ["$1", "€2"], ["1_000", "5"], ["0x1", "7"], ["٣", "4"]]
)
def test_a_column_of_several_forms_is_not(cells: list[str]) -> None:
    assert not forms.form_of(cells)[1].all()


def test_commas_before_three_digits_mean_what_the_file_suggests() -> None:
    assert forms.is_ambiguous(["1,234", "5"])
    assert not forms.is_ambiguous(["1,23"])
    for prefers_comma, value in ((False, 1234), (True, 1.234)):
        form, _ = forms.form_of(["1,234"], prefers_comma=prefers_comma)
        assert form is not None
        assert forms.numbers(["1,234"], form) == value


@pytest.mark.parametrize(
    ("written", "name"),
    [("%Y-%m-%d", "%Y-%m-%d"), ("%d.%m.%Y", "%d.%m.%Y"), ("%m/%d/%Y", "%m/%d/%Y"), ("%d/%m/%Y", "%d/%m/%Y")],
)
def test_dates_are_days_since_1970(written: str, name: str) -> None:
    days = [date(2024, 2, 29), date(1969, 12, 31), date(2023, 5, 17)]
    form, fits = forms.form_of([day.strftime(written) for day in days])
    assert form is not None
    assert (form.name, fits.all()) == (name, True)
    cells = [day.strftime(written) for day in days]
    np.testing.assert_array_equal(forms.numbers(cells, form), [(day - date(1970, 1, 1)).days for day in days])


def test_a_time_is_a_part_of_a_day() -> None:
    cells = ["1970-01-02 12:00", "1970-01-03T06:00:00Z"]
    form, _ = forms.form_of(cells)
    assert form is not None
    np.testing.assert_allclose(forms.numbers(cells, form), [1.5, 2.25])
