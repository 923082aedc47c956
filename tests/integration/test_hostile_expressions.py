"""Hostile expressions, losses and task names: refused in a short message, or usable; never run.

With those of ``test_hostile_files.py`` there are 20,250 cases; ``hostile.CASES`` has their numbers by test.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest
from hostile import CODE, MARK, Refused, hostile_cases, measured, mutated, outcome
from hypothesis import strategies as st

from glojax import losses, tasks
from glojax.expressions import canonical, coefficients, export, grammar, parsing, trees
from glojax.expressions.trees import MAX_NODES, Tree
from glojax.losses.loss import Loss

PIECES = [
    "(", ")", "--", "-", "+", "*", "/", "x", "y", "log", "log(", "sqrt", "**", "//", "%", "^", "1", "16777217", "2.5",
    "1e9", "1_0", "0x1", "9" * 50, "\x00", "\t", "\r\n", "\u2003", "\u0663", "²", "−", "х", "\ud800",
    "\U000e0001", "\x1b[31m", "0.5 * ", "1e-3", "1e999", ".5", "2.", "**2", "**-0.5", "**(1/2)", "³", "ln", "×",
    "√", "f(x, y) =",
]  # fmt: skip
pieces = st.sampled_from([*PIECES, *CODE]) | st.text(max_size=4)


pytestmark = pytest.mark.usefixtures("empty_folder")


def tree_of(seed: int, size: int) -> Tree:
    """A random tree of exactly so many nodes."""
    random = np.random.default_rng(seed)

    def made(size: int) -> Tree:
        if size == 1:
            small, large = int(random.integers(-3, 4)), int(random.integers(-grammar.MAX_INTEGER, grammar.MAX_INTEGER))
            return Tree(("x", "y", "x", "y", small, large)[random.integers(6)])
        if size == 2 or random.random() < 0.3:
            return Tree(("log", "square", "sqrt")[random.integers(3)], (made(size - 1),))
        left = int(random.integers(1, size - 1))
        return Tree("+-*/"[random.integers(4)], (made(left), made(size - 1 - left)))

    return made(size)


seeds = st.integers(0, 2**32)
TREES = [tree_of(place, MAX_NODES if place % 20 == 19 else 1 + place % 20) for place in range(300)]
some_trees, some_texts = st.sampled_from(TREES), st.sampled_from([str(tree) for tree in TREES])


def check_expression(text: Any) -> None:
    """It is refused, or denotes a tree that is written and read back."""
    tree = outcome(lambda: parsing.parse(text))
    if isinstance(tree, Refused):
        assert tree.startswith("parse: ")
    else:
        assert 1 <= tree.size <= MAX_NODES
        assert parsing.parse(str(tree)) == tree
    tuned = outcome(lambda: parsing.parse_with_coefficients(text))
    if isinstance(tuned, Refused):
        assert tuned.startswith("parse: ")
        assert isinstance(tree, Refused)
    else:
        found, values = tuned
        assert len(values) == found.size <= MAX_NODES
        written = trees.write(found, lambda node: node.text, False, export.coefficient_texts(values))
        assert parsing.parse_with_coefficients(written)[0] == found


# EXPRESSIONS


@pytest.mark.slow
@hostile_cases(
    text=st.text(max_size=60)
    | st.text("xy()+-*/ logsqrtuae019.,_^'\"[]{}", max_size=60)
    | st.text("xy+-*1 ", max_size=6)
)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    check_expression(text)


@pytest.mark.slow
@hostile_cases(text=mutated(some_texts, pieces))
def test_a_mutated_expression_is_an_expression_or_refused(text: str) -> None:
    check_expression(text)


@pytest.mark.parametrize("code", CODE)
def test_code_in_an_expression_is_not_run(code: str, empty_folder: Path) -> None:
    for text in (code, f"x * {code}", f"log({code}) - y", f"x * y\n{code}"):
        for call in (parsing.parse, losses.loss_by_name, Loss):
            assert isinstance(outcome(lambda call=call, text=text: call(text)), Refused)
    assert not (empty_folder / MARK).exists()


things = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.binary(max_size=9),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from([10**5000, -(10**400), np.zeros(3), np.float32(1), object, "a" * 10**5, [[]], (), "x", "log", 1]),
)  # fmt: skip


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One in four is anything else."""
    return st.integers(0, 3).flatmap(lambda place: usual if place else things)


@hostile_cases(
    symbol=mostly(st.sampled_from(["x", "log", "+", "/", 3])),
    operands=st.lists(mostly(some_trees), max_size=3),
    kind=st.sampled_from([tuple, tuple, list]),
)
def test_a_tree_of_anything_is_a_tree_or_refused(symbol: Any, operands: list[Any], kind: Callable[[list], Any]) -> None:
    tree = outcome(lambda: Tree(symbol, kind(operands)))
    if isinstance(tree, Refused):
        assert tree.startswith("Tree")
    else:
        assert {tree: tree.size} == {Tree(symbol, kind(operands)): len(list(tree.nodes()))}


@pytest.mark.slow
@hostile_cases(seed=seeds, size=st.integers(1, 24) | st.sampled_from([60, MAX_NODES]))
def test_a_tree_is_read_back_and_has_a_canonical_form_and_a_source(seed: int, size: int) -> None:
    tree = tree_of(seed, size)
    assert parsing.parse(str(tree)) == tree
    form = canonical.canonical(tree)
    assert form.size <= MAX_NODES
    assert canonical.canonical(form) == form
    if tree.has_x_and_y:
        loss = Loss(tree)
        assert len(loss.latex()) < 20_000
        compile(loss.to_python(), "<export>", "exec")
        compile(loss.to_torch(), "<export>", "exec")


# LOSSES


@hostile_cases(
    tree=mostly(st.just("x * y") | some_trees | some_texts),
    coefficients=mostly(st.just(()) | st.lists(st.floats(), max_size=4) | st.lists(things, max_size=3)),
    protected=mostly(st.booleans()),
    output=mostly(st.sampled_from(["softmax", "sigmoid", "identity"])),
)
def test_a_loss_of_anything_is_a_loss_or_refused(tree: Any, coefficients: Any, protected: Any, output: Any) -> None:
    loss = outcome(lambda: Loss(tree, coefficients, protected, output))
    if isinstance(loss, Refused):
        assert loss.startswith(("Loss.", "parse: "))
    else:
        assert loss.tree.has_x_and_y
        assert len(loss.coefficients) == loss.tree.size
        assert np.isfinite(loss.coefficients).all()
        assert dataclasses.replace(loss) == loss
        assert str(loss)
        assert callable(output) or loss.to_json()


@hostile_cases(
    text=mutated(st.sampled_from([*losses.ZOO, "runs/digits/loss.json", "/dev/zero.json", "x * log(y)"]), pieces)
    | st.text(max_size=30).map("{}.json".format)
)
def test_any_name_is_a_loss_or_refused(text: str) -> None:
    loss = outcome(lambda: losses.loss_by_name(text))
    assert callable(loss) or ".json" in text or "Known losses are" in loss


# TASKS


TASKS = [*tasks.NAMED, "path/to/file.py:function", "os.path:join", "glojax.tasks:digits", "os:system", "sys:exit",
         "subprocess:run", "builtins:exec", "/etc/passwd:x", "a.pyc:f", "a.so:f", "json.py:__class__"]  # fmt: skip


@hostile_cases(
    name=mutated(st.sampled_from(TASKS), pieces)
    | st.sampled_from(TASKS)
    | st.builds("{}:{}".format, st.text(max_size=12), st.text(max_size=12))
)
def test_any_task_name_is_refused(name: str) -> None:
    if name not in tasks.NAMED:
        assert "task " in outcome(lambda: tasks.task_by_name(name))


SOURCE = """
import os
from functools import partial
from os import getcwd, system
from glojax.tasks import Task

task = lambda: hostile.TASK
def optional(data_dir=None, *more, steps=3): return hostile.TASK
def needy(size): return size
def of_words(*, size): return size
def generator(): yield hostile.TASK
def many(**options): return [hostile.TASK]
class Fake: shape = 3
import hostile
made, text, number, nothing = hostile.TASK, "x", 10**5000, None
half = partial(needy, 3)
"""


@pytest.fixture(scope="module")
def users_file(empty_folder: Path, tiny_task: tasks.Task) -> str:
    hostile.TASK = tiny_task  # type: ignore[attr-defined]
    (empty_folder / "json.py").write_text(SOURCE)
    return "json.py"


ATTRIBUTES = [
    "task", "optional", "needy", "of_words", "generator", "many", "Fake", "hostile", "made", "text", "number",
    "nothing", "half", "os", "getcwd", "system", "Task", "__class__", "__dict__", "__builtins__",
    "__spec__", "__loader__", "__name__", "__init__", "__doc__", "__getattr__", "", "task.__code__", "task()",
]  # fmt: skip


@hostile_cases(
    attribute=st.sampled_from(ATTRIBUTES) | st.text(max_size=9),
    options=st.sampled_from([{}, {}, {"data_dir": "here"}, {"size": 3}, {"": 0}, {"self": 1}]),
)
def test_of_a_users_file_only_a_task_is_taken(attribute: str, options: dict[str, Any], users_file: str) -> None:
    # The file itself runs, as it is meant to.
    before = set(sys.modules)
    task = outcome(lambda: tasks.task_by_name(f"{users_file}:{attribute}", **options), runs=True)
    assert set(sys.modules) - before <= {"glojax_task_json"}
    assert sys.modules["json"] is json
    if isinstance(task, Refused):
        assert "json.py" in task
    else:
        assert task is hostile.TASK  # type: ignore[attr-defined]
        assert attribute in ("task", "optional", "made")


# TOO LARGE


LARGE: dict[str, tuple[Callable[[], Any], str]] = {
    "nested 10,000 deep": (lambda: parsing.parse("(" * 4999 + "x" + ")" * 4999), "at most 128 levels of nesting"),
    "signs 10,000 deep": (lambda: parsing.parse("-" * 9_999 + "x"), "at most 128 levels of nesting"),
    "functions 10,000 deep": (lambda: parsing.parse("log(" * 10_000 + "x" + ")" * 10_000), "has 50001 characters"),
    "a million operators": (lambda: parsing.parse("x" + "+x" * 10**6), "has 2000001 characters; at most 10000"),
    "all operators that fit": (lambda: parsing.parse("x" + "+x" * 4_999), "more than 128 nodes"),
    "10 MB of text": (lambda: parsing.parse("x" * 10**7), "has 10000000 characters"),
    "10 MB of spaces": (lambda: losses.loss_by_name(" " * 10**7), "has 10000000 characters"),
    "10,000 digits": (lambda: parsing.parse("9" * 10_000), "an integer of magnitude at most 16777216"),
    "an integer of 10,000 digits": (lambda: Tree(10**10_000), "<integer of 33220 bits> is beyond"),
    "a symbol of 10 MB": (lambda: Tree("x" * 10**7), "unknown symbol"),
    "a million operands": (lambda: Tree("+", (Tree("x"),) * 10**6), "takes 2 operands, got 1000000"),
    "a million coefficients": (lambda: Loss("x * y", (1.0,) * 10**6), "has 1000000 values; x [*] y has 3 nodes"),
    "an output of 10 MB": (lambda: Loss("x * y", output="a" * 10**7), "Loss.output is 'aaa"),
    "a file name of 10 MB": (lambda: losses.loss_by_name("a" * 10**7 + ".json"), "File name too long: 'aaa"),
    "a task of 10 MB": (lambda: tasks.task_by_name("a" * 10**7), "is not known"),
    "a task file of 10 MB": (lambda: tasks.task_by_name("a" * 10**7 + ".py:f"), "there is no file"),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_at_once(name: str) -> None:
    call, message = LARGE[name]
    found, seconds, most = measured(call)
    assert isinstance(found, Refused)
    assert message.replace("[*]", "*") in found
    assert seconds < 5
    assert most < 100e6  # ten times the input


def repeated(symbol: str, leaf: Tree, count: int, *operands: Tree) -> Tree:
    for _ in range(count):
        leaf = Tree(symbol, (*operands, leaf))
    return leaf


X, Y = Tree("x"), Tree("y")
GROWING = {
    "squares": repeated("square", Y, 120),
    "squares of a sum": repeated("square", parsing.parse("y + x"), 120),
    "squares of a constant": repeated("square", Tree(3), 120),
    "roots of a constant": Tree("sqrt", (repeated("square", Tree(grammar.MAX_INTEGER - 3), 20),)),
    "quotients": repeated("/", Y, 60, X),
    "quotients of sums": repeated("/", Tree("+", (Y, Y)), 60, X),
    "differences": repeated("-", Y, 60, X),
    "sums of products": repeated("+", repeated("*", Y, 30, X), 30, Y),
    "logarithms": repeated("log", Y, 120),
    "roots": repeated("sqrt", Tree("-", (Y, X)), 120),
}
GROWS = {"squares of a sum", "squares of a constant", "roots of a constant"}
GROWS_PROTECTED = {"quotients", "quotients of sums", "logarithms"}


def loss_of(name: str, protected: bool) -> Loss:
    return Loss(Tree("+", (parsing.parse("x * y"), GROWING[name])), protected=protected)


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("name", GROWING)
def test_what_is_made_of_the_largest_trees_stays_small(name: str, protected: bool) -> None:
    loss = loss_of(name, protected)
    coefficients.identifiable_coefficients(loss.tree)
    form = canonical.canonical(loss.tree)
    made = (str(form), str(loss), loss.latex(), loss.to_json(), loss.to_python(), loss.to_torch())
    assert max(map(len, made)) < 30_000
    loss.save("largest.json")
    assert losses.load("largest.json") == loss


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("name", GROWING)
def test_a_sympy_expression_is_refused_where_it_would_grow_without_bound(name: str, protected: bool) -> None:
    loss = loss_of(name, protected)
    if name in GROWS | (GROWS_PROTECTED if protected else set()):
        with pytest.raises(ValueError, match=r"^sympy: x \* y \+ .* at most 2000 bits and 256 nodes are allowed"):
            loss.sympy()
    else:
        assert len(str(loss.sympy())) < 30_000


def test_the_cases_ran() -> None:
    hostile.check_cases(globals())
