"""The interpreter against trees.evaluate and jax.grad, on random trees and every edge of the encoding."""

from collections import Counter
from collections.abc import Callable
from functools import cache, partial

import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from glojax import platforms
from glojax.expressions import grammar, interpreter_kernels, programs, trees
from glojax.expressions.grammar import PROTECTION, Vocabulary
from glojax.expressions.parsing import parse
from glojax.expressions.programs import Program, encode, instructions_of, room, value_and_slope
from glojax.expressions.trees import Tree, evaluate, grow

MAX_SIZE = 32
FIRST_REGISTER = 3
PLATFORMS = ["cpu", "gpu", "tpu"]
EXTREMES = [1e-9, 1e-6, 1 - 1e-6, 1 - 1e-9]
ROWS = {node.symbol: node for node in grammar.OPERATORS}


def random_trees(
    count: int, seed: int, max_depth: int = 6, max_size: int = MAX_SIZE, vocabulary: Vocabulary = grammar.OF_PAPER
) -> list[Tree]:
    """Random trees of all sizes up to the bound, not only the small ones that growth yields mostly."""
    random = np.random.default_rng(seed)
    found: list[Tree] = []
    while len(found) < count:
        tree = grow(random, int(random.integers(1, max_depth + 1)), vocabulary)
        if random.integers(1, max_size // 2) < tree.size <= max_size:
            found.append(tree)
    return found


def joined_trees(count: int, seed: int, size: int) -> list[Tree]:
    """Random trees of up to ``size`` nodes, most of them large: several small ones joined by operators."""
    random = np.random.default_rng(seed)
    pieces = random_trees(200, seed)
    found: list[Tree] = []
    while len(found) < count:
        tree = pieces[random.integers(len(pieces))]
        while fitting := [piece for piece in pieces if tree.size + 1 + piece.size <= size]:
            other = fitting[random.integers(len(fitting))]
            tree = Tree("+-*/"[random.integers(4)], (tree, other) if random.integers(2) else (other, tree))
        found.append(tree)
    return found


def random_coefficients(population: list[Tree], seed: int) -> list[np.ndarray | None]:
    """For every other tree a factor of each node, of either sign."""
    random = np.random.default_rng(seed)
    return [random.uniform(-2, 2, tree.size) if place % 2 else None for place, tree in enumerate(population)]


def points(seed: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.concatenate([EXTREMES, np.random.default_rng(seed).uniform(0, 1, 12)])
    return np.repeat([0.0, 1.0], y.size), np.tile(y, 2)


@cache
def interpreter(platform: str = "cpu", protected: bool = False) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """The compiled interpreter of a population: as on this platform, by Pallas' own interpreter if it is not a CPU."""
    compiled = jax.jit(jax.vmap(partial(value_and_slope, protected=protected), in_axes=(0, None, None)))

    def run(program: Program, x: np.ndarray, y: np.ndarray) -> tuple[jax.Array, jax.Array]:
        with pytest.MonkeyPatch.context() as patch:
            interpret(patch, platform)
            return compiled(program, x, y)

    return run


def interpret(patch: pytest.MonkeyPatch, platform: str) -> None:
    """Compute the form of a platform here."""
    patch.setattr(platforms, "choose", lambda *arguments, **forms: forms[platform](*arguments))
    for name in ("on_gpu", "on_tpu"):
        patch.setattr(interpreter_kernels, name, partial(getattr(interpreter_kernels, name), interpret=True))
    programs._sweep.cache_clear()


def reference(
    tree: Tree, x: np.ndarray, y: np.ndarray, coefficients: np.ndarray | None, protected: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The value by trees.evaluate and the slope by jax.grad."""

    def total(y: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = jnp.broadcast_to(evaluate(tree, jnp.asarray(x), y, jnp, protected, coefficients), y.shape)
        return jnp.sum(value), value

    slope, value = jax.grad(total, has_aux=True)(jnp.asarray(y))
    return np.asarray(value), np.asarray(slope)


def assert_agree(found: np.ndarray, expected: np.ndarray, where: np.ndarray, tree: Tree) -> None:
    error = abs(found[where] - expected[where]) / np.maximum(1, abs(expected[where]))
    assert error.max(initial=0) <= 1e-6, tree


@pytest.fixture(scope="module", params=["paper", "all"])
def references(
    request: pytest.FixtureRequest,
) -> list[tuple[Tree, np.ndarray | None, np.ndarray, np.ndarray, np.ndarray]]:
    """Of each of 500 random trees its coefficients, values, slopes, and where the slope is well-conditioned.

    A point is well-conditioned if jax.grad itself changes by less than 1e-8 of its size when y moves by one part in
    1e15, which is a few units in the last place: elsewhere rounding alone moves any answer.
    """
    x, y = points(seed=0)
    population = random_trees(500, seed=1, vocabulary=Vocabulary((request.param,)))
    found = []
    with jax.enable_x64(True):
        moved = np.concatenate([y, y * (1 + 1e-15), y * (1 - 1e-15)])
        for tree, coefficients in zip(population, random_coefficients(population, seed=2), strict=True):
            value, slope = reference(tree, np.tile(x, 3), moved, coefficients)
            value, (slope, *near) = value[: y.size], np.split(slope, 3)
            with np.errstate(all="ignore"):
                conditioned = np.all([abs(other - slope) <= 1e-8 * abs(slope) for other in near], axis=0)
            found.append((tree, coefficients, value, slope, conditioned))
    return found


# MATHEMATICS


@pytest.mark.few(1)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_value_and_slope_are_those_of_evaluate_and_grad(references, platform):
    x, y = points(seed=0)
    population, coefficients, *_ = zip(*references, strict=True)
    with jax.enable_x64(True):
        values, slopes = interpreter(platform)(encode(population, coefficients, MAX_SIZE, np.float64), x, y)
    finite_points = conditioned_points = 0
    for (tree, _, value, slope, conditioned), found_value, found_slope in zip(
        references, np.asarray(values), np.asarray(slopes), strict=True
    ):
        np.testing.assert_array_equal(np.isfinite(found_value), np.isfinite(value), err_msg=str(tree))
        assert_agree(found_value, value, np.isfinite(value), tree)
        finite = np.isfinite(value) & np.isfinite(slope)
        assert np.isfinite(found_slope[finite]).all(), tree
        assert_agree(found_slope, slope, finite & conditioned, tree)
        finite_points += finite.sum()
        conditioned_points += (finite & conditioned).sum()
    assert finite_points > 0.3 * len(references) * y.size
    assert conditioned_points >= 0.9 * finite_points


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["gpu", "tpu"])
@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_kernel_gives_what_the_cpu_gives(platform, protected, count):
    """To the last digits: a compiler may round a product and a sum once or twice.

    Where nearly equal numbers are subtracted, that is some digits more, at one point in tens of thousands.
    """
    x, y = points(seed=0)
    population = [*random_trees(count // 2, seed=13), *joined_trees(count // 2, seed=17, size=64)]
    assert max(instructions_of(tree) for tree in population) > 31
    assert max(tree.size for tree in population) == 64
    with jax.enable_x64(True):
        program = encode(population, random_coefficients(population, seed=14), 63, np.float64)
        expected, found = (
            [np.asarray(each) for each in interpreter(form, protected)(program, x, y)] for form in ("cpu", platform)
        )
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-10)
        assert np.isclose(other, one, rtol=1e-12, atol=1e-13, equal_nan=True).mean() > 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_a_kernel_takes_points_of_each_candidate_and_more_than_a_block(platform):
    population = random_trees(5, seed=15)
    random = np.random.default_rng(16)
    x = random.integers(0, 2, (5, 2100)).astype(np.float32)
    y = random.uniform(0.01, 0.99, (5, 2100)).astype(np.float32)
    program = encode(population, instructions=MAX_SIZE)
    found = []
    for form in ("cpu", platform):
        with pytest.MonkeyPatch.context() as patch:
            interpret(patch, form)
            found.append(jax.jit(jax.vmap(value_and_slope))(program, x, y))
    for expected, one in zip(*found, strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-3, atol=1e-3)


def distance_to_singularity(tree: Tree, x: np.ndarray, y: np.ndarray, coefficients: np.ndarray | None) -> np.ndarray:
    """The smallest magnitude, at each point, of an operand that a protected operator guards."""
    rows = {node.symbol: node for node in grammar.operators(protected=True)}
    factors = iter(np.ones(tree.size) if coefficients is None else coefficients)
    smallest = np.full(y.shape, np.inf)

    def visit(node: Tree) -> np.ndarray:
        nonlocal smallest
        factor = next(factors)
        operands = [visit(child) for child in node.children]
        if node.symbol in ("log", "sqrt", "/"):
            smallest = np.minimum(smallest, abs(operands[-1]))
        value = rows[node.symbol].value(np, *operands) if operands else {"x": x, "y": y}.get(node.symbol, node.symbol)
        return factor * value

    visit(tree)
    return smallest


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_protected_programs_are_finite_and_agree_away_from_singularities(platform):
    x, y = points(seed=3)
    population = random_trees(40, seed=4, max_depth=4)
    coefficients = random_coefficients(population, seed=5)
    compared = 0
    with jax.enable_x64(True):
        program = encode(population, coefficients, MAX_SIZE, np.float64)
        values, slopes = map(np.asarray, interpreter(platform, protected=True)(program, x, y))
        assert np.isfinite(values).all()
        assert np.isfinite(slopes).all()
        for tree, factors, value, slope in zip(population, coefficients, values, slopes, strict=True):
            expected_value, expected_slope = reference(tree, x, y, factors, protected=True)
            assert_agree(value, expected_value, np.isfinite(value), tree)
            regular = distance_to_singularity(tree, x, y, factors) > 1.1 * PROTECTION
            assert_agree(slope, expected_slope, regular, tree)
            compared += regular.sum()
    assert compared > 0.5 * values.size


@pytest.mark.parametrize(
    ("text", "value", "slope"),
    [
        ("log(y) - x / y", lambda x, y: np.log(y) - x / y, lambda x, y: 1 / y + x / y**2),
        ("x * log(y)", lambda x, y: x * np.log(y), lambda x, y: x / y),
        ("square(y) - sqrt(y)", lambda x, y: y**2 - np.sqrt(y), lambda x, y: 2 * y - 0.5 / np.sqrt(y)),
        ("(y - 1) / (x - y)", lambda x, y: (y - 1) / (x - y), lambda x, y: (x - 1) / (x - y) ** 2),
        ("y * y * y", lambda x, y: y**3, lambda x, y: 3 * y**2),
    ],
)
def test_slopes_are_those_of_the_calculus(text, value, slope):
    x, y = np.repeat([0.0, 1.0], 5).astype(np.float32), np.tile(np.linspace(0.1, 0.9, 5, dtype=np.float32), 2)
    found = interpreter()(encode([parse(text)]), x, y)
    np.testing.assert_allclose(found[0][0], value(x, y), rtol=2e-6)
    np.testing.assert_allclose(found[1][0], slope(x, y), rtol=4e-6)


@pytest.mark.few(5)
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("text", "value", "slope"),
    [
        # At x = 0 the partial of sqrt is infinite and that of log too, but neither depends on y.
        ("y + sqrt(x)", 0.25, 1),
        ("y * sqrt(x)", 0, 0),
        ("y / log(x)", 0, 0),
        ("1 / x", np.inf, 0),
        ("sqrt(x) - log(x)", np.inf, 0),
    ],
)
def test_an_operand_without_y_adds_no_slope_whatever_its_partial(text, value, slope, platform):
    found_value, found_slope = interpreter(platform)(
        encode([parse(text)], instructions=4), np.zeros(1), np.full(1, 0.25)
    )
    assert abs(found_value[0, 0]) == value
    assert found_slope[0, 0] == slope


def test_a_coefficient_of_zero_removes_its_node():
    x, y = np.float32([0, 1]), np.float32([0.2, 0.7])
    program = encode([parse("square(y) + x / y")], [[1, 1, 1, 0, 1, 1]])
    value, slope = interpreter()(program, x, y)
    np.testing.assert_allclose(value[0], y**2, rtol=1e-6)
    np.testing.assert_allclose(slope[0], 2 * y, rtol=1e-6)


# SHAPES


@pytest.mark.few(2)
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("instructions", [None, 7])
@pytest.mark.parametrize(
    ("text", "coefficients", "value", "slope"),
    [
        ("x", None, lambda x, y: x, 0),
        ("y", None, lambda x, y: y, 1),
        ("-7", None, lambda x, y: -7 + 0 * y, 0),
        ("x", [2.5], lambda x, y: 2.5 * x, 0),
        ("y", [-3], lambda x, y: -3 * y, -3),
        ("4", [0.5], lambda x, y: 2 + 0 * y, 0),
    ],
)
def test_a_single_leaf_is_a_program(text, coefficients, value, slope, instructions, platform):
    x, y = np.float32([0, 1, 1]), np.float32([0.1, 0.4, 0.8])
    program = encode([parse(text)], [coefficients], instructions)
    found_value, found_slope = interpreter(platform)(program, x, y)
    np.testing.assert_allclose(found_value[0], value(x, y), rtol=1e-6)
    np.testing.assert_array_equal(found_slope[0], np.full_like(y, slope))


@pytest.mark.few(1)
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("shape", [(), (6,), (3, 2, 1), (0,)])
def test_value_and_slope_have_the_shape_of_the_points(shape, platform):
    random = np.random.default_rng(0)
    x, y = random.integers(0, 2, shape).astype(np.float32), random.uniform(0.1, 0.9, shape).astype(np.float32)
    value, slope = interpreter(platform)(encode([parse("log(y) - x / y")] * 2), x, y)
    assert value.shape == slope.shape == (2, *shape)
    np.testing.assert_allclose(value[1], np.log(y) - x / y, rtol=1e-5)


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
def test_value_and_slope_have_the_dtype_of_the_points(dtype):
    with jax.enable_x64(True):
        x, y = jnp.asarray([0, 1], dtype), jnp.asarray([0.25, 0.5], dtype)
        value, slope = interpreter()(encode([parse("x - 2 * square(y)")]), x, y)
    assert value.dtype == slope.dtype == dtype
    np.testing.assert_array_equal(np.asarray(value[0], np.float64), [-0.125, 0.5])
    np.testing.assert_array_equal(np.asarray(slope[0], np.float64), [-1, -2])


def test_one_program_runs_without_a_population():
    program = jax.tree.map(lambda leaf: leaf[1], encode([parse("x"), parse("x * log(y)")]))
    value, slope = value_and_slope(program, jnp.ones(2), jnp.asarray([0.25, 0.5]))
    np.testing.assert_allclose(value, np.log([0.25, 0.5]), rtol=1e-6)
    np.testing.assert_allclose(slope, [4, 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros(2, np.float32), np.zeros(3, np.float32), "shape"),
        (np.zeros(3, np.int32), np.zeros(3, np.float32), "type"),
        (np.zeros(3, np.float32), np.zeros(3, np.int32), "type"),
    ],
)
def test_points_that_do_not_fit_are_refused_when_the_program_is_traced(x, y, message):
    with pytest.raises(AssertionError, match=message):
        interpreter()(encode([parse("x * y")]), x, y)


def test_a_population_without_its_axis_mapped_is_refused():
    with pytest.raises(AssertionError, match="rank"):
        value_and_slope(encode([parse("x * y")]), jnp.zeros(3), jnp.zeros(3))


# POPULATIONS


@pytest.mark.few(1)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_room_for_more_instructions_changes_no_result(platform):
    x, y = map(np.float32, points(seed=6))
    population = random_trees(20, seed=7)
    coefficients = random_coefficients(population, seed=8)
    tight = interpreter(platform)(encode(population, coefficients), x, y)
    roomy = interpreter(platform)(encode(population, coefficients, MAX_SIZE), x, y)
    for one, other in zip(tight, roomy, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_result_does_not_depend_on_the_slot_nor_on_the_neighbours(platform):
    x, y = map(np.float32, points(seed=6))
    population = random_trees(20, seed=9)
    results = interpreter(platform)(encode(population, instructions=MAX_SIZE), x, y)
    order = np.random.default_rng(10).permutation(len(population))
    shuffled = interpreter(platform)(encode([population[place] for place in order], instructions=MAX_SIZE), x, y)
    for one, other in zip(results, shuffled, strict=True):
        np.testing.assert_array_equal(np.asarray(one)[order], other)
    twins = interpreter(platform)(encode([population[3]] * 20, instructions=MAX_SIZE), x, y)
    for one, other in zip(results, twins, strict=True):
        np.testing.assert_array_equal(np.broadcast_to(one[3], other.shape), other)


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_new_trees_and_coefficients_do_not_recompile(platform, monkeypatch):
    interpret(monkeypatch, platform)
    chex.clear_trace_counter()  # which tells functions apart by their place in the file
    x, y = map(np.float32, points(seed=6))

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(program: Program, x: np.ndarray, y: np.ndarray) -> tuple[jax.Array, jax.Array]:
        return jax.vmap(value_and_slope, in_axes=(0, None, None))(program, x, y)

    for seed in range(4):
        population = random_trees(8, seed=seed)
        run(encode(population, random_coefficients(population, seed), MAX_SIZE), x, y)
    run(encode([Tree("y")] * 8, instructions=MAX_SIZE), x, y)
    assert run._cache_size() == 1


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("platform", "call"),
    [("cpu", None), ("cuda", "__gpu$xla.gpu.triton"), ("rocm", "__gpu$xla.gpu.triton"), ("tpu", "tpu_custom_call")],
)
def test_a_program_exported_on_a_cpu_has_one_kernel_for_all_losses_on_an_accelerator(platform, call):
    program = encode(random_trees(8, seed=1), instructions=MAX_SIZE)
    x, y = map(np.float32, points(seed=0))
    run = jax.jit(jax.vmap(value_and_slope, in_axes=(0, None, None)))
    checks = [jax.export.DisabledSafetyCheck.custom_call("__gpu$xla.gpu.triton")]
    text = jax.export.export(run, platforms=[platform], disabled_checks=checks)(program, x, y).mlir_module()
    assert text.count("custom_call @") == (call is not None)
    assert ("stablehlo.while" in text) == (call is None)
    assert call is None or f"custom_call @{call}" in text


# ENCODING


def test_encode_gives_arrays_of_the_documented_shapes():
    program = encode([parse("log(y) - x / y"), Tree("x")], instructions=5)
    expected = Program(
        opcode=(np.int32, (2, 5)),
        operand=(np.int32, (2, 5, 2)),
        scale=(np.float32, (2, 5, 2)),
        depends=(np.bool_, (2, 5, 2)),
        result=(np.int32, (2, 5)),
        length=(np.int32, (2,)),
        output_scale=(np.float32, (2,)),
    )
    assert Program(*((array.dtype, array.shape) for array in program)) == expected
    np.testing.assert_array_equal(program.length, [3, 1])


@pytest.mark.parametrize(("text", "count"), [("x", 1), ("-3", 1), ("log(y)", 1), ("log(y) - x / y", 3)])
def test_instructions_are_the_inner_nodes_and_one_for_a_leaf(text, count):
    assert instructions_of(parse(text)) == count


def test_encode_refuses_a_tree_without_room():
    with pytest.raises(ValueError, match=r"encode: log\(y\) - x / y has 3 instructions; at most 2 are allowed"):
        encode([Tree("x"), parse("log(y) - x / y")], instructions=2)


@pytest.mark.parametrize("count", [0, 5, 7])
def test_encode_refuses_coefficients_of_the_wrong_number(count):
    with pytest.raises(ValueError, match=rf"encode: log\(y\) - x / y has 6 nodes but {count} coefficients are given"):
        encode([parse("log(y) - x / y")], [[1.0] * count])


def test_encode_refuses_coefficients_for_another_number_of_trees():
    with pytest.raises(ValueError, match="zip"):
        encode([Tree("x"), Tree("y")], [None])


def registers_used(program: Program, place: int) -> int:
    """Walks one program as a machine would: a register is written, then read once, then free."""
    written, most = Counter(), 0
    length = int(program.length[place])
    arity = {code: node.arity for code, node in enumerate(grammar.OPERATORS)}
    for i in range(length):
        for slot in program.operand[place, i, : arity[int(program.opcode[place, i])]]:
            if slot >= FIRST_REGISTER:
                assert written.pop(int(slot)) == 1
        result = int(program.result[place, i])
        assert result >= FIRST_REGISTER
        assert result not in written
        written[result] = 1
        most = max(most, result - FIRST_REGISTER + 1)
    assert list(written) == [int(program.result[place, length - 1])] == [FIRST_REGISTER]
    return most


def test_registers_are_few_written_once_and_read_once():
    population = [*random_trees(300, seed=11), *random_trees(30, seed=12, max_depth=9, max_size=trees.MAX_NODES)]
    program = encode(population)
    for place, tree in enumerate(population):
        bound = int(np.log2(instructions_of(tree) + 1))
        assert registers_used(program, place) <= bound, tree


@pytest.mark.few(2)
@pytest.mark.parametrize("depth", range(6))
def test_a_complete_tree_takes_exactly_the_bound(depth):
    tree = Tree("y")
    for _ in range(depth):
        tree = Tree("+", (tree, tree))
    program = encode([tree])
    assert registers_used(program, 0) == max(depth, 1) == int(np.log2(instructions_of(tree) + 1))
    value, slope = interpreter()(program, np.zeros(1, np.float32), np.full(1, 0.25, np.float32))
    assert (value[0, 0], slope[0, 0]) == (0.25 * 2**depth, 2**depth)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_chain_takes_one_register(side):
    tree = Tree("y")
    for _ in range(40):
        tree = Tree("-", (tree, Tree("x")) if side == "left" else (Tree("x"), tree))
    program = encode([tree])
    assert registers_used(program, 0) == 1
    value, slope = interpreter()(program, np.zeros(1, np.float32), np.full(1, 0.25, np.float32))
    assert (value[0, 0], slope[0, 0]) == (0.25, 1)


@pytest.mark.parametrize(("instructions", "expected"), [(0, 31), (31, 31), (32, 63), (64, 127)])
def test_room_is_a_power_of_two_less_one(instructions: int, expected: int) -> None:
    assert room(instructions) == expected
