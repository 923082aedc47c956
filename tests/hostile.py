"""What the tests of hostile input share: how many cases each runs, 20,250 cases in all, and what may come of them.

A case is accepted, or refused by a ``ValueError`` or an ``OSError`` that glojax itself raises, in a short message.
While it is looked at nothing is compiled, executed, imported, unpickled or started, which Python's audit events tell.
"""

import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from budgets import cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import glojax

CASES = {
    "test_any_text_is_an_expression_or_refused": 3000,
    "test_a_mutated_expression_is_an_expression_or_refused": 3000,
    "test_a_tree_of_anything_is_a_tree_or_refused": 1000,
    "test_a_tree_is_read_back_and_has_a_canonical_form_and_a_source": 500,
    "test_a_loss_of_anything_is_a_loss_or_refused": 1500,
    "test_any_name_is_a_loss_or_refused": 1500,
    "test_any_task_name_is_refused": 1500,
    "test_of_a_users_file_only_a_task_is_taken": 600,
    "test_any_bytes_are_refused_as_a_loss_file": 1300,
    "test_a_mutated_loss_file_is_a_loss_or_refused": 2200,
    "test_a_loss_file_of_any_values_is_a_loss_or_refused": 1700,
    "test_any_bytes_are_refused_as_a_table": 700,
    "test_a_mutated_table_is_a_table_or_refused": 500,
    "test_a_table_of_odd_cells_is_a_table_or_refused": 250,
    "test_mutated_settings_are_those_of_a_run_or_refused": 700,
    "test_a_damaged_record_is_opened_or_refused": 100,
    "test_a_hostile_argument_is_one_line": 200,
}
"""How many cases each test runs."""

MARK = "mark"  # what CODE would make in the working directory
CODE = [
    f"__import__('pathlib').Path('{MARK}').touch()",
    f"__import__('os').system('touch {MARK}')",
    f"open('{MARK}','w')",
    f"(lambda: open('{MARK}','w'))()",
    f"x * y if open('{MARK}','w') else x",
    f"{{open('{MARK}','w')}}",
    f"`touch {MARK}`",
    f"$(touch {MARK})",
    f"!!python/object/apply:os.system ['touch {MARK}']",
]

RAN: Counter[str] = Counter()
"""How many it has run in this process."""

FORBIDDEN = {
    "compile", "exec", "import", "marshal.loads", "pickle.find_class", "ctypes.dlopen", "os.system", "os.exec",
    "os.fork", "os.posix_spawn", "subprocess.Popen", "socket.connect",
}  # fmt: skip
PACKAGE = str(Path(glojax.__file__).parent)

_watching = False
_running = ""
_ends: Counter[tuple[str, bool]] = Counter()  # of each test, cases that were refused, and not
_events: list[tuple[str, Any]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in FORBIDDEN and arguments[:1] != ("pandas",):  # which scikit-learn looks for, always
        _events.append((event, arguments[:1]))


sys.addaudithook(_audit)


def hostile_cases(**strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A property test of so many cases as ``CASES`` says."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        run = given(**strategies)(test)
        counted = run.hypothesis.inner_test  # type: ignore[attr-defined]

        def count(*arguments: Any, **named: Any) -> None:
            global _running
            _running = test.__name__
            RAN[_running] += 1
            counted(*arguments, **named)

        run.hypothesis.inner_test = count  # type: ignore[attr-defined]
        budget = cases(CASES[test.__name__])
        return settings(budget, database=None, suppress_health_check=[HealthCheck.too_slow])(run)

    return decorate


class Refused(str):
    """The message of an error."""


def outcome(call: Callable[[], Any], runs: bool = False) -> Any:
    """What a call returns, or what glojax says in refusing it; all else fails the test.

    Args:
      call: of glojax, with a case.
      runs: whether it is to run a user's file.
    """
    global _watching
    _events.clear()
    _watching = True
    try:
        found = call()
    except (ValueError, OSError) as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        by_glojax = trace is not None and trace.tb_frame.f_code.co_filename.startswith(PACKAGE)
        if not by_glojax or not (type(error) is ValueError or isinstance(error, OSError)):
            raise
        found = Refused(error)
    finally:
        _watching = False
    _ends[_running, isinstance(found, Refused)] += 1
    assert runs or not _events, _events
    assert not isinstance(found, Refused) or 10 < len(found) < 1000
    return found


def measured(call: Callable[[], Any]) -> tuple[Any, float, int]:
    """What came of it, the seconds of this process, and the most bytes that it had at a time."""
    tracemalloc.start()
    started = time.process_time()
    try:
        found = outcome(call)
        return found, time.process_time() - started, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def check_cases(names: Iterable[str]) -> None:
    """The cases are 20,000 or more in all, and of a file's tests those that ran have run as many as they say.

    Where cases may be accepted or refused, some are accepted, and some refused.
    """
    assert sum(CASES.values()) >= 20_000
    assert f"{sum(CASES.values()):,} cases in all" in str(__doc__)
    for name in CASES.keys() & set(names) & RAN.keys():
        assert RAN[name] >= CASES[name], name
        if name.endswith("or_refused"):
            assert min(_ends[name, False], _ends[name, True]) >= 0.01 * CASES[name], name


def mutated(originals: st.SearchStrategy[Any], pieces: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Texts, or bytes, with a few edits."""
    return st.builds(edited, originals, edits_with(pieces))


def edits_with(pieces: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[int, int, int, Any]]]:
    """Of what ``edited`` does."""
    edit = st.tuples(st.integers(0, 2), st.integers(0, 10**4), st.integers(0, 6), pieces)
    return st.lists(edit, min_size=1, max_size=4)


def edited(text: Any, edits: list[tuple[int, int, int, Any]]) -> Any:
    """A text, or bytes, one to four of whose slices are left out, repeated or replaced by pieces."""
    for kind, place, length, piece in edits:
        start = place % (len(text) + 1)
        end = start + length
        text = text[:start] + (text[:0], 2 * text[start:end], piece)[kind] + text[end:]
    return text
