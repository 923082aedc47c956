"""Genealogy: where a loss comes from."""

import pytest

from glojax.records.candidates import Record
from glojax.records.genealogy import genealogy, main_line


def record(name: str, *parents: int) -> Record:
    return Record(name, name, (), 0.5, (0.5,), 1.0, "trained", parents, 0, 1, 0.0)


# d was carried over from the second generation, and b drawn again in it; f is nobody's parent.
GENERATIONS = [
    [record("a"), record("b"), record("f")],
    [record("a", 0), record("d", 0, 1), record("b", 2)],
    [record("d", 1), record("e", 1, 2), record("a", 0)],
    [record("g", 1, 0), record("d", 0)],
]


def test_ancestors_count_once_where_they_came_first() -> None:
    family = genealogy(GENERATIONS, "g")
    assert [(one.record.expression, one.generation) for one in family] == [
        ("g", 3), ("e", 2), ("d", 1), ("a", 0), ("b", 0),
    ]  # fmt: skip
    named = {one.record.expression: [family[place].record.expression for place in one.parents] for one in family}
    assert named == {"g": ["e", "d"], "e": ["d", "b"], "d": ["a", "b"], "a": [], "b": []}
    assert [one.origin for one in family] == ["crossover"] * 3 + ["drawn"] * 2


def test_the_main_line_follows_what_was_changed() -> None:
    family = genealogy(GENERATIONS, "g")
    assert [family[place].record.expression for place in main_line(family)] == ["g", "e", "d", "a"]


def test_a_loss_that_was_drawn_is_its_whole_family() -> None:
    (alone,) = genealogy(GENERATIONS, "f")
    assert (alone.generation, alone.origin, main_line([alone])) == (0, "drawn", [0])


def test_what_has_no_parents_says_where_it_came_from() -> None:
    given = record("a")._replace(origin="start")
    bred = record("b", 0)._replace(origin="bred")
    assert [one.origin for one in genealogy([[given], [bred]], "b")] == ["mutation", "start"]


def test_thousands_of_generations_are_no_recursion() -> None:
    generations = [[record(str(number), *[0] * (number > 0))] for number in range(5000)]
    family = genealogy(generations, "4999")
    assert [one.generation for one in family] == list(range(4999, -1, -1))
    assert len(main_line(family)) == 5000


def test_what_no_search_can_have_written_is_refused() -> None:
    with pytest.raises(ValueError, match="z is not a candidate of this search"):
        genealogy(GENERATIONS, "z")
    for wrong in (7, -1):
        with pytest.raises(ValueError, match=rf"h has parents \({wrong},\) of 3 candidates"):
            genealogy([GENERATIONS[0], [record("h", wrong)]], "h")
