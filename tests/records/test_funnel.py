"""How many trees passed each stage."""

from glojax.records.funnel import FUNNEL, total


def test_the_total_is_the_sum_of_each_stage_in_their_order() -> None:
    funnels = [{"trained": 1, "drawn": 5}, {"drawn": 7, "valid": 3, "trained": 2}, {}]
    assert list(total(funnels).items()) == [("drawn", 12), ("valid", 3), ("trained", 3)]


def test_stages_that_nobody_counted_are_missing() -> None:
    assert total([]) == {}
    assert total([{"drawn": 0, "elsewhere": 4}]) == {"drawn": 0}


def test_the_total_leaves_its_parts_as_they_are() -> None:
    funnel = dict.fromkeys(FUNNEL, 1)
    assert total([funnel, funnel]) == dict.fromkeys(FUNNEL, 2)
    assert set(funnel.values()) == {1}
