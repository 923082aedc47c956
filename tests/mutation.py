"""Mutation testing: each small change of a module must make one of its tests fail.

Shows: how many changes ("mutants") no test notices, and each of them as a line before and after.
Command: python tests/mutation.py glojax/statistics.py [tests/test_statistics.py ...] [--sample 100]

The tests are collected once. Each mutant is a fork of that process, in which one function has other code; it runs the
tests that call this function, the quickest first, until one fails. So functions under ``lru_cache`` are changed too.
Changed are comparisons, arithmetic, ``and``, ``or``, ``not``, signs, numbers and conditions; not messages, defaults of
arguments, and constants of the module. Hypothesis shrinks nothing, as the first failure is enough.
"""

import argparse
import ast
import copy
import importlib
import inspect
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[1]
SECONDS = 60  # of CPU time, after which a mutant counts as noticed: it does not end
OTHER: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And, ast.Continue: ast.Break,
    ast.Break: ast.Continue,
}  # fmt: skip


def changed(node: ast.AST) -> ast.AST | None:
    """A node with one small change, or nothing."""
    other = copy.deepcopy(node)
    if isinstance(other, ast.Compare):
        other.ops[0] = OTHER[type(other.ops[0])]()  # of a chain the first alone
    elif isinstance(other, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(other.op) in OTHER:
        other.op = OTHER[type(other.op)]()
    elif isinstance(other, ast.UnaryOp):
        return other.operand
    elif isinstance(other, ast.Constant) and isinstance(other.value, bool | int | float):
        other.value = not other.value if isinstance(other.value, bool) else other.value + 1
    elif isinstance(other, ast.If | ast.IfExp | ast.While):
        other.test = ast.UnaryOp(ast.Not(), other.test)
    elif type(node) in (ast.Continue, ast.Break):
        return OTHER[type(node)]()
    else:
        return None
    return other


def places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Where a function can be changed: the parent, its field, the place in it, and what stands there then."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "args") and not isinstance(node, ast.Call):
            continue
        for place, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST):
                if (other := changed(child)) is not None:
                    yield node, field, place if isinstance(value, list) else None, other
                yield from places(child)


def put(parent: ast.AST, field: str, place: int | None, child: ast.AST) -> Any:
    """Put a child in, and return what was there."""
    held = getattr(parent, field)
    if place is None:
        setattr(parent, field, child)
        return held
    held[place], before = child, held[place]
    return before


def functions(module: Any, tree: ast.Module) -> Iterator[tuple[FunctionType, ast.FunctionDef]]:
    """The functions and methods of a module, without the caches around them."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for scope, body in [(module, tree.body), *((getattr(module, node.name), node.body) for node in classes)]:
        for node in body:
            if isinstance(node, ast.FunctionDef):
                found = inspect.getattr_static(scope, node.name)
                found = getattr(found, "fget", None) or getattr(found, "__func__", found)
                yield inspect.unwrap(found), node


def code_of(tree: ast.Module, function: FunctionType) -> CodeType:
    """The code of a function in a changed module."""
    waiting = [compile(ast.fix_missing_locations(tree), function.__code__.co_filename, "exec")]
    while waiting:
        code = waiting.pop()
        if code.co_qualname == function.__qualname__:
            return code
        waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
    raise LookupError(function.__qualname__)


class Mutants:
    """A plugin of pytest that runs the collected tests once as they are, and then for each mutant."""

    def __init__(self, path: Path, sample: int | None):
        self.path, self.sample, self.failed = path, sample, False

    def pytest_configure(self) -> None:
        settings.register_profile("first failure", phases=(Phase.explicit, Phase.generate))
        settings.load_profile("first failure")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def run(self, items: list[pytest.Item]) -> bool:
        """Whether one of the tests fails; those after it are not run."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return True
        return False

    def forked(self, work: Any) -> int:
        """The status of a fork that does some work."""
        if (child := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            try:
                os._exit(int(work()))
            except BaseException:
                os._exit(1)
        return os.waitpid(child, 0)[1]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        source = self.path.read_text()
        module = importlib.import_module(".".join(self.path.relative_to(ROOT).with_suffix("").parts))
        tree = ast.parse(source)
        found = list(functions(module, tree))
        calls = self.calls_of(session.items, {function.__code__: function.__qualname__ for function, _ in found})
        mutants = [(function, *place) for function, node in found for place in places(node)]
        if self.sample is not None:
            mutants = random.Random(0).sample(mutants, min(self.sample, len(mutants)))
        survivors, untested = 0, 0
        for function, parent, field, place, other in mutants:
            before = put(parent, field, place, other)
            code = code_of(tree, function)
            after = ast.unparse(other if isinstance(other, ast.stmt) else parent)
            put(parent, field, place, before)
            items = [session.items[one] for one in calls.get(function.__qualname__, [])]
            untested += not items

            def work(function: FunctionType = function, code: CodeType = code, items: Any = items) -> bool:
                function.__code__ = code
                for cached in vars(module).values():
                    getattr(cached, "cache_clear", lambda: None)()
                return self.run(items)

            if self.forked(work) == 0:
                survivors += 1
                line = getattr(before, "lineno", 0)
                was = ast.unparse(before if isinstance(other, ast.stmt) else parent)
                first, second = (text.strip().splitlines()[0] for text in (was, after))
                print(f"{self.path.name}:{line} {function.__qualname__}\n  - {first}\n  + {second}", flush=True)
        print(f"{self.path.name}: {len(mutants)} mutants, {survivors} survive, {untested} of them without a test")
        return True

    def calls_of(self, items: list[pytest.Item], names: dict[CodeType, str]) -> dict[str, list[int]]:
        """By the name of each function, the places of the tests that call it, the quickest first."""
        with tempfile.NamedTemporaryFile() as file:

            def work() -> bool:
                rows = []
                for place, item in enumerate(items):
                    called: set[str] = set()
                    sys.setprofile(lambda frame, *_, called=called: called.add(names.get(frame.f_code, "")))
                    began = time.process_time()
                    failed = self.run([item])
                    sys.setprofile(None)
                    if failed:
                        raise SystemExit(f"{item.nodeid} fails without a change")
                    rows.append((time.process_time() - began, place, sorted(called)))
                Path(file.name).write_text(json.dumps(sorted(rows)))
                return False

            if self.forked(work) != 0:
                raise SystemExit("a test fails without a change")
            rows = json.loads(Path(file.name).read_text())
        return {name: [place for _, place, called in rows if name in called] for name in names.values()}


def main() -> None:
    """Change a module in every small way, and print what no test notices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="*", help="defaults to the test file of the module")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn at random. Defaults to all")
    options = parser.parse_args()
    path = options.module.resolve()
    parts = path.relative_to(ROOT / "glojax")
    tests = options.tests or [str(ROOT / "tests" / parts.with_name(f"test_{parts.name}"))]
    arguments = ["-n", "0", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:terminal", *tests]
    arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is there before
    raise SystemExit(pytest.main(arguments, plugins=[Mutants(path, options.sample)]))


if __name__ == "__main__":
    main()
