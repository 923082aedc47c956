"""The hall of fame: the best loss of every size, from the finals or, before them, from the search."""

import numpy as np

from glojax.expressions.canonical import canonical
from glojax.expressions.parsing import parse
from glojax.losses.loss import Loss
from glojax.records.candidates import Record
from glojax.records.hall_of_fame import best_of_every_size, hall_of_fame, loss_parts, simplified


def made(expression: str, fitness: float, fate: str = "trained", count: int = 2) -> Record:
    form = str(canonical(parse(expression)))
    return Record(expression, form, (), fitness, (fitness,) * count, 1.0, fate, (), 0, 60, 0.1)


def test_each_size_has_its_fittest_and_the_first_of_equals() -> None:
    small, large = made("x * y", 0.5), made("x * log(y)", 0.7)
    equal, worse = made("y + x", 0.5), made("y - x", 0.1)
    found = best_of_every_size([large, worse, small, equal], lambda record: parse(record.expression).size)
    assert found == [small, large]


def test_before_finals_it_is_the_latest_fitness_of_what_was_trained_to_the_end() -> None:
    generations = [
        [made("x * y", 0.5), made("x + y", 0.9, "dropped"), made("x * log(y)", 0.4)],
        [made("x * y", 0.6, "elite", 3), made("x * log(y)", 0.4, "cached", 0), made("x * y * y", 0.55)],
    ]
    found = hall_of_fame(generations)
    assert [(one.size, one.expression, one.record.fitness, one.trainings) for one in found] == [
        (3, "x * y", 0.6, 5),
        (4, "x * log(y)", 0.4, 2),
        (5, "x * y * y", 0.55, 2),
    ]
    assert [one.is_leading for one in found] == [True, False, False]


def test_an_elite_that_halving_had_stopped_counts_with_its_full_trainings() -> None:
    generations = [[made("x * y", 0.2, "dropped")], [made("x * y", 0.5, "elite", 4)]]
    (found,) = hall_of_fame(generations)
    assert (found.record.fitness, found.trainings) == (0.5, 4)


def test_finals_alone_decide_where_there_are_some() -> None:
    generations = [[made("x * y", 0.9), made("x + y", 0.8), made("x * log(y)", 0.95)]]
    finals = [made("x + y", 0.7, count=8), made("x * y", 0.6), made("x * log(y)", 0.75, count=4)]
    found = hall_of_fame(generations, finals)
    assert [(one.expression, one.trainings, one.is_leading) for one in found] == [
        ("x + y", 8, True),
        ("x * log(y)", 4, True),
    ]


def test_nothing_trained_is_no_fame() -> None:
    assert hall_of_fame([]) == []
    assert hall_of_fame([[made("x * y", 0.0), made("x", 0.0, "invalid", 0)]]) == []


# THE SIMPLEST AS GOOD


def test_the_simplest_is_the_smallest_within_one_standard_error_of_the_winner() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.01, 8)  # of the seeds, which all share

    def final(expression: str, mean: float) -> Record:
        scores = mean + noise + random.normal(0, 0.002, 8)
        return made(expression, float(scores.mean()))._replace(scores=tuple(scores.tolist()))

    winner, near = final("x * log(y) + sqrt(y) * x", 0.900), final("x * log(y)", 0.8998)
    worse, as_small = final("x * y", 0.85), final("x * sqrt(y)", 0.89)
    assert simplified([winner, worse, near, as_small]) == near
    assert simplified([winner, worse, as_small]) == winner
    # A node costs: the difference of one node is then worth 0.1.
    assert simplified([winner, worse, near, as_small], parsimony=0.1) == worse
    assert simplified([]) is None


def test_after_one_training_each_only_the_winner_is_as_good() -> None:
    alone = [made("x * log(y)", 0.7, count=1), made("x * y", 0.7 - 1e-9, count=1)]
    assert simplified(alone) == alone[0]


def test_coefficients_of_a_record_are_in_its_text() -> None:
    record = made("log(y) - x / y", 0.7)._replace(coefficients=(2.0, 0.5))
    tree, factors = loss_parts(record)
    assert (tree, factors) == (parse("log(y) - x / y"), (2.0, 0.5, 1.0, 1.0, 1.0, 1.0))
    (famous,) = hall_of_fame([[record]])
    assert Loss(famous.expression) == Loss(tree, factors)  # type: ignore[arg-type]
    assert loss_parts(made("x * y", 0.5)) == (parse("x * y"), ())
