"""The evolution of trees against what arXiv 1905.11528, section III-A, says of it."""

import dataclasses
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from budgets import cases
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from glojax.discovery import genetics
from glojax.discovery.genetics import (
    Offspring,
    Variation,
    crossover,
    initial_population,
    mutate,
    next_generation,
    swap,
    with_both_variables,
)
from glojax.discovery.selection import SELECTIONS
from glojax.expressions import grammar
from glojax.expressions.grammar import Vocabulary
from glojax.expressions.parsing import parse
from glojax.expressions.trees import MAX_NODES, Tree, grow

NOTHING = Variation(crossover=0, integer_shift=0, replace=0, collapse=0, extend=0)
SIGNIFICANCE = 1e-3  # the seeds are fixed: a test that passes goes on passing

operators = {
    arity: st.sampled_from([node.symbol for node in grammar.OPERATORS if node.arity == arity]) for arity in (1, 2)
}
some_trees = st.recursive(
    st.sampled_from(["x", "y", -3, -1, 0, 1, 2]).map(Tree),
    lambda below: (
        st.builds(lambda symbol, a: Tree(symbol, (a,)), operators[1], below)
        | st.builds(lambda symbol, a, b: Tree(symbol, (a, b)), operators[2], below, below)
    ),
    max_leaves=12,
)
seeds = st.integers(0, 2**32 - 1)


def weights(*arities):
    rows = [node for node in grammar.NODES if node.arity in (arities or (0, 1, 2))]
    total = sum(row.weight for row in rows)
    return {row.symbol: row.weight / total for row in rows}


def symbols(tree):
    return Counter(node.symbol for node in tree.nodes())


def assert_frequencies(outcomes, expected):
    """Chi-square of how often each outcome was seen against its expected probability."""
    counts = Counter(outcomes)
    assert set(counts) <= set(expected)
    observed = [counts[outcome] for outcome in expected]
    probabilities = np.array(list(expected.values()))
    assert probabilities.sum() == pytest.approx(1)
    assert stats.chisquare(observed, probabilities * len(outcomes)).pvalue > SIGNIFICANCE


# CROSSOVER


@cases()
@given(some_trees, some_trees, st.data())
def test_a_swap_moves_exactly_the_two_chosen_subtrees(first, second, data):
    i = data.draw(st.integers(0, first.size - 1))
    j = data.draw(st.integers(0, second.size - 1))
    given_away, received = list(first.nodes())[i], list(second.nodes())[j]
    one, other = swap(first, i, second, j)
    assert list(one.nodes())[i] == received
    assert list(other.nodes())[j] == given_away
    assert swap(one, i, other, j) == (first, second)


@cases()
@given(some_trees, some_trees, seeds)
def test_crossover_loses_and_invents_no_node_and_leaves_its_parents_untouched(first, second, seed):
    before = str(first), str(second)
    one, other = crossover(np.random.default_rng(seed), first, second)
    assert one.size + other.size == first.size + second.size
    assert symbols(one) + symbols(other) == symbols(first) + symbols(second)
    assert (str(first), str(second)) == before


def test_crossover_chooses_every_pair_of_nodes_equally_often():
    random = np.random.default_rng(1)
    first, second = parse("log(x) - 5"), parse("sqrt(y)")
    pairs = {swap(first, i, second, j): (i, j) for i in range(4) for j in range(2)}
    assert len(pairs) == 8
    chosen = [pairs[crossover(random, first, second)] for _ in range(8000)]
    assert_frequencies(chosen, dict.fromkeys(pairs.values(), 1 / 8))


def test_a_swap_refuses_a_place_beyond_the_tree():
    with pytest.raises(IndexError, match="place 1 is beyond a tree of 1 nodes"):
        swap(Tree("x"), 0, Tree("y"), 1)
    with pytest.raises(IndexError, match="place -1"):
        swap(Tree("x"), -1, Tree("y"), 0)


# MUTATION


def test_the_default_rates_are_the_papers():
    assert dataclasses.astuple(Variation()) == (0.8, 0.05, 0.05, 0.025, 0.025)


@cases()
@given(some_trees, seeds)
def test_a_tree_is_left_alone_where_all_rates_are_zero(tree, seed):
    assert mutate(np.random.default_rng(seed), tree, NOTHING) == tree


def test_an_integer_moves_by_one_either_way_at_its_rate():
    random = np.random.default_rng(2)
    variation = dataclasses.replace(NOTHING, integer_shift=0.05)
    mutants = [mutate(random, Tree(5), variation).symbol for _ in range(20_000)]
    assert_frequencies(mutants, {5: 0.95, 4: 0.025, 6: 0.025})
    always = dataclasses.replace(NOTHING, integer_shift=1)
    assert mutate(random, parse("log(y) - x / y"), always) == parse("log(y) - x / y")


@pytest.mark.parametrize("text", ["y", "log(y)", "x / y"])
def test_a_node_is_replaced_at_its_rate_by_a_weighted_one_of_as_many_children(text):
    random = np.random.default_rng(3)
    variation = dataclasses.replace(NOTHING, replace=0.05)
    tree = parse(text)
    mutants = [mutate(random, tree, variation).symbol for _ in range(20_000)]
    expected = {symbol: 0.05 * weight for symbol, weight in weights(len(tree.children)).items()}
    expected[tree.symbol] += 0.95
    assert_frequencies(mutants, expected)


@cases()
@given(some_trees, seeds)
def test_replacing_keeps_the_shape_of_a_tree(tree, seed):
    mutant = mutate(np.random.default_rng(seed), tree, dataclasses.replace(NOTHING, replace=1))
    assert [len(node.children) for node in mutant.nodes()] == [len(node.children) for node in tree.nodes()]


def test_a_node_and_its_children_collapse_at_their_rate_to_a_weighted_leaf():
    random = np.random.default_rng(4)
    variation = dataclasses.replace(NOTHING, collapse=0.025)
    mutants = [mutate(random, parse("5 - 6"), variation) for _ in range(20_000)]
    expected = {Tree(symbol): 0.025 * weight for symbol, weight in weights(0).items()}
    assert_frequencies(mutants, expected | {parse("5 - 6"): 0.975})


def test_a_leaf_does_not_collapse():
    always = dataclasses.replace(NOTHING, collapse=1)
    assert mutate(np.random.default_rng(5), Tree(7), always) == Tree(7)


def test_a_leaf_is_extended_at_its_rate_by_a_weighted_node_over_weighted_leaves():
    random = np.random.default_rng(6)
    variation = dataclasses.replace(NOTHING, extend=0.025)
    mutants = [mutate(random, Tree(7), variation) for _ in range(40_000)]
    expected = {symbol: 0.025 * weight for symbol, weight in weights().items()}
    assert_frequencies([mutant.symbol for mutant in mutants], expected | {7: 0.975})
    assert_frequencies([child.symbol for mutant in mutants for child in mutant.children], weights(0))


def test_mutation_goes_bottom_up_and_visits_every_node_once():
    random = np.random.default_rng(7)
    assert mutate(random, parse("log(x * (y + 1)) - x"), dataclasses.replace(NOTHING, collapse=1)).size == 1
    for _ in range(100):
        # Each leaf is extended once: its new leaves are not, and neither is what was no leaf.
        grown = mutate(random, parse("7 - 8"), dataclasses.replace(NOTHING, extend=1))
        assert grown.symbol == "-"
        assert grown.depth <= 2
        assert not {7, 8} & set(symbols(grown))


def test_each_node_has_its_own_chance():
    random = np.random.default_rng(8)
    variation = dataclasses.replace(NOTHING, integer_shift=0.05)
    tree = parse("10 + 20 + 30 + 40")
    shifted = [
        sum(a.symbol != b.symbol for a, b in zip(mutate(random, tree, variation).nodes(), tree.nodes(), strict=True))
        for _ in range(20_000)
    ]
    binomial = stats.binom(4, 0.05)
    assert_frequencies(
        [min(count, 2) for count in shifted], {0: binomial.pmf(0), 1: binomial.pmf(1), 2: binomial.sf(1)}
    )


def test_mutating_an_integer_beyond_the_grammars_bound_is_refused():
    always = dataclasses.replace(NOTHING, integer_shift=1)
    random = np.random.default_rng(9)
    tree = parse(" + ".join([str(grammar.MAX_INTEGER)] * 20))  # each integer goes up or down: one of them goes up
    with pytest.raises(ValueError, match="integer 16777217 is beyond"):
        mutate(random, tree, always)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Variation)])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), True, "0.5", None])
def test_a_rate_outside_zero_to_one_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"Variation\.{field} is {value!r}; a number from 0 to 1 is allowed\."):
        Variation(**{field: value})


# THE INITIAL POPULATION


def test_the_initial_population_keeps_its_bounds():
    random = np.random.default_rng(13)
    population = initial_population(random, 200, max_depth=3, max_nodes=9)
    assert len(population) == 200
    assert max(tree.depth for tree in population) == 3
    assert max(tree.size for tree in population) <= 9
    assert not all(tree.has_x_and_y for tree in population)
    assert all(tree.has_x_and_y for tree in initial_population(random, 200, max_nodes=9, both_variables=True))


def test_a_tree_gets_the_variables_it_lacks_and_keeps_all_else():
    random = np.random.default_rng(31)
    for tree in [grow(random, int(random.integers(4))) for _ in range(2000)]:
        completed = with_both_variables(random, tree)
        assert completed.has_x_and_y
        if tree.has_x_and_y:
            assert completed == tree
            continue
        before, after = (list(one.nodes()) for one in (tree, completed))
        if sum(not node.children for node in before) > 1:
            changed = [(a.symbol, b.symbol) for a, b in zip(before, after, strict=True) if a.symbol != b.symbol]
            assert len(changed) <= 2
            assert all(new in ("x", "y") and old != new for old, new in changed)
        else:
            assert len(after) == len(before) + 2
            assert {node.symbol for node in after[-2:]} == {"x", "y"}
            assert [node.symbol for node in after[: len(before) - 1]] == [node.symbol for node in before[:-1]]


def test_every_leaf_that_may_change_does():
    random = np.random.default_rng(32)
    found = {str(with_both_variables(random, parse("x + 1 * (x - 2)"))) for _ in range(200)}
    assert found == {"y + 1 * (x - 2)", "x + y * (x - 2)", "x + 1 * (y - 2)", "x + 1 * (x - y)"}
    assert {str(with_both_variables(random, parse("log(y)"))) for _ in range(300)} == {
        f"log({first} {operator} {second})" for operator in "+-*/" for first, second in ("xy", "yx")
    }


def test_only_what_is_chosen_enters_a_population_and_its_trees_are_built_upon():
    def simple(trees, wanted):
        seen.extend(trees)
        return [place for place, tree in enumerate(trees) if tree.symbol == "/"][:wanted]

    seen: list[Tree] = []
    population = initial_population(
        np.random.default_rng(33), 30, max_depth=2, max_nodes=32, both_variables=True, choose=simple
    )
    assert len(population) == 30
    assert population == [tree for tree in seen if tree.symbol == "/"][:30]
    with pytest.raises(ValueError, match="none of 25600 trees drawn may be trained"):
        initial_population(np.random.default_rng(0), 3, max_depth=1, max_nodes=9, choose=lambda trees, wanted: [])

    def first_only(trees, wanted):
        known.append(trees[0])
        return [0] if len(known) == 1 else []

    known: list[Tree] = []
    repeated = initial_population(
        np.random.default_rng(0), 4, max_depth=1, max_nodes=9, both_variables=True, choose=first_only
    )
    assert repeated == known[:1] * 4
    assert max(tree.depth for tree in known[: genetics._GROWN_ROUNDS]) == 1
    assert max(tree.depth for tree in known[genetics._GROWN_ROUNDS :]) == 2

    offspring = next_generation(
        np.random.default_rng(34), population, np.ones(30), elites=2, variation=Variation(), max_nodes=20,
        both_variables=True, choose=simple,
    )  # fmt: skip
    assert len(offspring) == 30
    assert {child.tree.symbol for child in offspring} == {"/"}


def test_deep_trees_that_outgrow_every_bound_are_redrawn():
    population = initial_population(np.random.default_rng(14), 500, max_depth=40, max_nodes=MAX_NODES)
    assert len(population) == 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "size is 0; it must be at least 1"),
        ({"max_depth": -1}, "max_depth is -1; it must be at least 0"),
        ({"max_depth": 0, "both_variables": True}, "max_depth is 0; it must be at least 1 for a tree with x and y"),
        ({"max_nodes": 0}, "max_nodes is 0; 1 to 128 is allowed"),
        ({"max_nodes": 2, "both_variables": True}, "max_nodes is 2; 3 to 128 is allowed for trees with x and y"),
        ({"max_nodes": 129}, "max_nodes is 129"),
    ],
)
def test_an_initial_population_that_cannot_be_drawn_is_refused(changes, message):
    arguments = {"size": 3, "max_nodes": 9} | changes
    with pytest.raises(ValueError, match=message):
        initial_population(np.random.default_rng(0), **arguments)


# GENERATIONS


def a_population(size=40, max_nodes=12, seed=15):
    random = np.random.default_rng(seed)
    population = initial_population(random, size, max_depth=3, max_nodes=max_nodes, both_variables=True)
    return population, random.random(size)


@cases(25)
@given(
    seed=seeds,
    size=st.integers(1, 12),
    elites=st.integers(0, 11),
    max_nodes=st.integers(3, 20),
    both_variables=st.booleans(),
    selection=st.sampled_from(sorted(SELECTIONS)),
)
def test_a_generation_is_full_and_within_its_bounds(seed, size, elites, max_nodes, both_variables, selection):
    random = np.random.default_rng(seed)
    population = initial_population(random, size, max_nodes=max_nodes, both_variables=both_variables)
    before = list(population)
    wild = Variation(crossover=0.8, integer_shift=0.3, replace=0.3, collapse=0.1, extend=0.3)
    offspring = next_generation(
        random, population, random.random(size), elites=min(elites, size - 1), variation=wild, selection=selection,
        max_nodes=max_nodes, both_variables=both_variables,
    )  # fmt: skip
    assert population == before
    assert len(offspring) == size
    assert all(child.tree.size <= max_nodes for child in offspring)
    assert not both_variables or all(child.tree.has_x_and_y for child in offspring)
    assert all(0 <= place < size for child in offspring for place in child.parents)


def test_elites_come_first_unchanged_best_first_and_the_earlier_of_equals_first():
    population = [parse(text) for text in ("x * y", "x + y", "x - y", "x / y", "y / x")]
    fitness = np.array([0.2, 0.9, 0.5, 0.9, 0.1])
    offspring = next_generation(
        np.random.default_rng(16), population, fitness, elites=3, variation=Variation(), max_nodes=9
    )
    assert offspring[:3] == [Offspring(population[place], (place,), "kept") for place in (1, 3, 2)]


def test_the_same_seed_gives_the_same_generation():
    population, fitness = a_population()
    generations = [
        next_generation(np.random.default_rng(seed), population, fitness, elites=6, variation=Variation(), max_nodes=12)
        for seed in (17, 17, 18)
    ]
    assert generations[0] == generations[1]
    assert generations[0] != generations[2]


def test_offspring_name_the_parents_they_come_from():
    population, fitness = a_population(max_nodes=8)
    only_crossover = dataclasses.replace(NOTHING, crossover=1)
    offspring = next_generation(
        np.random.default_rng(19), population, fitness, elites=0, variation=only_crossover, max_nodes=MAX_NODES
    )
    for child in offspring:
        cut, giver = (population[place] for place in child.parents)
        assert any(child.tree == cut.replaced(i, given) for i in range(cut.size) for given in giver.nodes())
    # Nothing is redrawn here, so both children of each pair are there, side by side.
    assert all(a.parents == b.parents[::-1] for a, b in zip(offspring[::2], offspring[1::2], strict=True))

    copies = next_generation(np.random.default_rng(20), population, fitness, elites=2, variation=NOTHING, max_nodes=8)
    assert all(child.tree == population[child.parents[0]] and len(child.parents) == 1 for child in copies)


def test_crossover_happens_at_its_rate():
    population = [parse("log(y) - x / y")] * 4000
    offspring = next_generation(
        np.random.default_rng(21), population, np.ones(4000), elites=0, variation=Variation(), max_nodes=MAX_NODES
    )
    crossed = sum(len(child.parents) == 2 for child in offspring[::2])
    assert stats.binomtest(crossed, 2000, 0.8).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("selection", SELECTIONS)
def test_the_fit_have_more_offspring(selection):
    population, _ = a_population(size=400)
    fitness = np.repeat([0.1, 0.9], 200)
    offspring = next_generation(
        np.random.default_rng(22), population, fitness, elites=0, variation=NOTHING, selection=selection, max_nodes=12
    )
    assert sum(child.parents[0] >= 200 for child in offspring) > 300


def test_a_place_that_no_offspring_can_fill_takes_a_selected_parent_unchanged():
    population = [parse("x * y"), parse("y / x")]
    always = dataclasses.replace(NOTHING, collapse=1)
    offspring = next_generation(
        np.random.default_rng(23), population, np.ones(2), elites=0, variation=always, max_nodes=3,
        choose=lambda trees, wanted: [],
    )  # fmt: skip
    assert all(child == Offspring(population[child.parents[0]], child.parents, "kept") for child in offspring)
    assert [len(child.parents) for child in offspring] == [1, 1]


def test_a_crossover_beyond_the_largest_tree_is_redrawn():
    big = parse(" + ".join(["x", "y"] * 32))
    assert big.size == MAX_NODES - 1
    offspring = next_generation(
        np.random.default_rng(24), [big] * 20, np.ones(20), elites=0, variation=Variation(), max_nodes=MAX_NODES
    )
    assert len(offspring) == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elites": 90}, r"elites is 90, population is 80; elites must be smaller than the population\."),
        ({"elites": 80}, r"elites is 80, population is 80; elites must be smaller than the population\."),
        ({"elites": -1}, r"elites is -1, population is 80; elites must be at least 0\."),
        ({"selection": "rank"}, r"selection is 'rank'; allowed are roulette, tournament\."),
        ({"fitness": np.ones(79)}, r"fitness has 79 entries, population is 80"),
        ({"fitness": np.full(80, np.nan)}, r"fitness\[0\] is nan"),
        ({"fitness": -np.ones(80)}, r"roulette: fitness holds -1\.0"),
        ({"max_nodes": 0}, r"max_nodes is 0; 1 to 128 is allowed\."),
        ({"max_nodes": 2}, r"population\[0\] is x \* y; a tree with at most 2 nodes is expected\."),
        ({"population": [Tree("x")] * 80, "both_variables": True}, r"at most 9 nodes and both x and y is expected\."),
    ],
)
def test_a_generation_that_cannot_be_bred_is_refused(changes, message):
    arguments = {"population": [parse("x * y")] * 80, "fitness": np.ones(80), "elites": 6, "variation": Variation()}
    with pytest.raises(ValueError, match=message):
        next_generation(np.random.default_rng(0), **(arguments | {"max_nodes": 9} | changes))


# OTHER OPERATORS


def drawn_symbols(trees: Iterable[Tree]) -> set[str | int]:
    return {node.symbol for tree in trees for node in tree.nodes()}


def test_all_that_is_drawn_and_bred_is_of_the_vocabulary():
    few = Vocabulary(("-", "max", "exp"))
    random = np.random.default_rng(0)
    population = initial_population(random, 200, max_depth=3, max_nodes=20, both_variables=True, vocabulary=few)
    assert drawn_symbols(population) == {"-", "max", "exp", "x", "y", 1, -1}
    variation = Variation(replace=0.5, collapse=0.2, extend=0.5, integer_shift=0)
    bred = next_generation(
        random, population, np.ones(200), elites=0, variation=variation, max_nodes=30, both_variables=True,
        vocabulary=few,
    )  # fmt: skip
    assert drawn_symbols(child.tree for child in bred) == {"-", "max", "exp", "x", "y", 1, -1}


def test_a_node_stays_where_no_operator_has_as_many_operands():
    tree = parse("log(x) + y")
    only_sums = Vocabulary(("+",))
    variation = Variation(replace=1, collapse=0, extend=0, integer_shift=0)
    for seed in range(20):
        mutant = mutate(np.random.default_rng(seed), tree, variation, only_sums)
        assert [node.symbol for node in mutant.nodes() if node.children] == ["+", "log"]
