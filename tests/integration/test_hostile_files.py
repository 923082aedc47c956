"""Hostile loss files, tables, run directories and arguments are refused in a short message or usable, and never run.

Together with ``test_hostile_expressions.py`` there are 20,250 cases; ``hostile.CASES`` has their number by test.
"""

import codecs
import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest
from hostile import CODE, Refused, edited, edits_with, hostile_cases, measured, mutated, outcome
from hypothesis import strategies as st

from glojax import cli, losses, tasks
from glojax.data import tables
from glojax.data.tables import limits
from glojax.discovery.search_config import SearchConfig
from glojax.losses.loss import Loss
from glojax.records import directory
from glojax.records.candidates import Record
from glojax.records.run import Run
from glojax.tasks.task import Task

pytestmark = pytest.mark.usefixtures("empty_folder")


def check_file(name: str, content: bytes, read: Callable[[str], Any]) -> Any:
    """What ``read`` makes of a file with this content; None if it is refused in a message that names it."""
    Path(name).write_bytes(content)
    found = outcome(lambda: read(name))
    assert not isinstance(found, Refused) or name in found
    return None if isinstance(found, Refused) else found


# LOSS FILES

GOOD = {
    "glojax_loss": 2,
    "expression": "x * y",
    "coefficients": [1.0, 2.0, 3.0],
    "protected": False,
    "output": "softmax",
}
LOSSES = [loss.to_json().encode() for loss in losses.ZOO.values() if isinstance(loss, Loss)]
SCRAPS = [
    b'"', b"'", b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\u0000", b"\\ud800", b"\x00", b"\xff", b"\xef\xbb\xbf",
    b"//", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 400, b"9" * 5000, b"1" + b"0" * 309,
    b"0." + b"3" * 999, b'"expression": "y",', b'"output": "sigmoid",', b"[" * 3000, b'{"a":' * 3000, b"\xc2\xa0",
    b"!!python/name:os.system",
]  # fmt: skip
scraps = st.sampled_from(SCRAPS) | st.binary(max_size=4)


def check_loss(content: bytes) -> None:
    """A file with this content is refused, or is a loss that can be written and read back."""
    loss = check_file("loss.json", content, losses.load)
    if loss is not None:
        assert np.isfinite(loss.coefficients).all()
        Path("again.json").write_text(loss.to_json())
        assert losses.load("again.json") == loss


@hostile_cases(
    content=st.binary(max_size=80) | st.text('{}[]",:0123456789.eE+- truefalsn', max_size=40).map(str.encode)
)
def test_any_bytes_are_refused_as_a_loss_file(content: bytes) -> None:
    assert check_file("loss.json", content, losses.load) is None


@pytest.mark.slow
@hostile_cases(content=mutated(st.sampled_from(LOSSES), scraps))
def test_a_mutated_loss_file_is_a_loss_or_refused(content: bytes) -> None:
    check_loss(content)


simple = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.sampled_from(CODE),
    st.sampled_from([0, 1, 2, 1.0, "x * y", "y", "softmax", "x" * 20_000, 10**400, [1.0, 2.0, 3.0], [1, 2, 3]]),
)
values = simple | st.lists(simple, max_size=3) | st.dictionaries(st.text(max_size=3), st.lists(simple), max_size=2)


@pytest.mark.slow
@hostile_cases(
    changes=st.dictionaries(st.sampled_from([*GOOD, *GOOD, "extra", ""]), values, max_size=3),
    dropped=st.sampled_from([*GOOD, "", "", "", "", ""]),
)
def test_a_loss_file_of_any_values_is_a_loss_or_refused(changes: dict[str, Any], dropped: str) -> None:
    content = {name: value for name, value in {**GOOD, **changes}.items() if name != dropped}
    check_loss(json.dumps(content).encode())


# TABLES

READABLE = [
    "".join(f"{i},{'ab'[i % 2]},{i % 2}\n" for i in range(-1, 20)).replace("-1,b,1", "x,c,y"),
    "".join(f"{i};{i * i / 7:.3f};{'red' if i % 3 else 'blue'}\r\n" for i in range(20)).join(["x;c;y\r\n", ""]),
    "x\tc\ty\n" + "".join(f'"{i}"\t"a ""{i % 4}"", b"\t{i / 3:.2f}\n' for i in range(24)),
    "\ufeffx,c,y\n\n" + "".join(f"{i if i % 5 else ''}, {'uvw'[i % 3]} ,{i * 1e30}\n" for i in range(24)),
]
CELLS = [
    ",", ";", "\t", '"', '""', "\r", "\n", "\r\n", "\n\n", "\x00", "\ufeff", " ", "\u2003", "", "nan", "inf",
    "-Infinity", "1e999", "1_000", "0x10", "1,5", "٣", "１２", "²", "3.4e38", "-3.4e38", "1e-320", "1e-45", "9" * 400,
    "9" * 5000, "b" * 11_000, "missing", "x", "y", "c", "=1+1", "NULL", "True", *CODE,
]  # fmt: skip
cells = st.sampled_from([cell.encode() for cell in CELLS]) | st.binary(max_size=4)
options = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from([None, *tables.KINDS, "ranking"]),
        "numeric": st.sampled_from([(), ("x",), ("c",), ("z",)]),
        "categorical": st.sampled_from([(), ("x",), ("c",), ("y",)]),
        "seed": st.integers(0, 9),
    },
)


@pytest.fixture(scope="module", autouse=True)
def imported(empty_folder: Path) -> None:
    """Import beforehand what reading a table imports."""
    for encoding in ("utf-16", "utf-16-le", "cp1252", "latin-1", "utf-8-sig"):
        codecs.lookup(encoding)
    for content in READABLE:
        Path("table.csv").write_text(content, newline="")
        assert tables.read("table.csv", "y").features


def check_table(content: bytes, given: dict[str, Any]) -> None:
    """A file with this content is refused, or gives arrays that can be trained on."""
    table = check_file("table.csv", content, lambda path: tables.read(path, "y", **given))
    if table is None:
        return
    assert table.kind in tables.KINDS
    assert len(table.features) > 0
    assert min(len(split.labels) for split in table.splits) > 0
    for split in table.splits:
        assert split.x.dtype == np.float32
        assert split.x.shape == (len(split.labels), len(table.features))
        assert np.isfinite(split.x).all()
        assert split.labels.shape == (len(split.x),)
        if table.kind == "regression":
            assert split.labels.dtype == np.float32
            assert np.isfinite(split.labels).all()
        else:
            assert split.labels.dtype == np.int32
            assert set(split.labels) == set(range(len(table.classes)))


@hostile_cases(content=st.binary(max_size=80) | st.text(',;\t"\r\n xy01.e-\x00é', max_size=80).map(str.encode))
def test_any_bytes_are_refused_as_a_table(content: bytes) -> None:
    assert check_file("table.csv", content, lambda path: tables.read(path, "y")) is None


@pytest.mark.slow
@hostile_cases(
    content=mutated(st.sampled_from([text.encode() for text in READABLE]), cells),
    encoding=st.sampled_from(["utf-8"] * 9 + ["utf-16", "latin-1", "utf-8-sig"]),
    given=options,
)
def test_a_mutated_table_is_a_table_or_refused(content: bytes, encoding: str, given: dict[str, Any]) -> None:
    if encoding != "utf-8":
        content = content.decode("latin-1").encode(encoding)
    check_table(content, given)


@pytest.mark.slow
@hostile_cases(
    picks=st.binary(min_size=30, max_size=100),
    pools=st.lists(st.lists(st.sampled_from(CELLS), min_size=1, max_size=3), min_size=1, max_size=3),
    header=st.just(("x", "c", "w")) | st.tuples(*[st.sampled_from(CELLS)] * 3),
    numbers=st.sampled_from([1.0, 1e-3, 1e38, 1e-300, -1e20]),
    given=options,
)
def test_a_table_of_odd_cells_is_a_table_or_refused(
    picks: bytes, pools: list[list[str]], header: tuple[str, ...], numbers: float, given: dict[str, Any]
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*header[: len(pools)], "y"])
    for place, pick in enumerate(picks):
        row = [pool[pick % len(pool)] if pick % 5 == 0 else repr(numbers * pick) for pool in pools]
        writer.writerow([*row, place % 2 if pools[0][0] < "b" else pick * numbers])
    check_table(text.getvalue().encode(), given)


# TOO LARGE


def sparse(name: str, size: int, head: bytes = b"") -> str:
    """A sparse file: its head, then zeros up to this size."""
    with open(name, "wb") as file:
        file.write(head)
        file.truncate(size)
    return name


def written(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    return name


def linked(name: str, to: str) -> str:
    os.symlink(to, name)
    return name


def pipe(name: str) -> str:
    os.mkfifo(name)
    return name


def row_of(cells: int) -> bytes:
    return b",".join(b"%d" % cell for cell in range(cells)) + b"\n"


HEAD = READABLE[0].encode()
LARGE: dict[str, tuple[Callable[[], str], str]] = {
    "number.json of 1 GB": (lambda: sparse("a.json", 10**9, b"9" * 99), "has 1,000,000,000 bytes; at most 1,000,000"),
    "number.json of 900,000 digits": (lambda: written("b.json", b"9" * 900_000), "Exceeds the limit"),
    "nested.json": (lambda: written("c.json", b"[" * 900_000), "it is nested too deeply"),
    "objects.json": (
        lambda: written("d.json", b"[" + b"{}," * 99_999 + b"{}]"),
        "is not a glojax loss: it contains [{}",
    ),
    "names.json": (
        lambda: written("e.json", b"{" + b",".join(b'"%d":0' % i for i in range(80_000)) + b"}"),
        "the entry 'glojax_loss' is missing",
    ),
    "zeros.json": (lambda: linked("f.json", "/dev/zero"), "is not a regular file"),
    "pipe.json": (lambda: pipe("g.json"), "is not a regular file"),
    "1 GB.csv": (lambda: sparse("a.csv", 10**9, HEAD), "has 1,000,000,000 bytes; at most 268,435,456 are allowed"),
    "1 GB header.csv": (lambda: sparse("b.csv", 10**9, b"a," * 9999), "has 1,000,000,000 bytes"),
    "200 MB header.csv": (lambda: sparse("c.csv", 2 * 10**8, b"a," * 9999), "line 1: a NUL character"),
    "200 MB row.csv": (lambda: sparse("d.csv", 2 * 10**8, HEAD), "line 22: a NUL character"),
    "200 MB cell.csv": (lambda: sparse("e.csv", 2 * 10**8, HEAD + b'1,"'), "line 22: "),
    "columns.csv": (lambda: written("f.csv", row_of(120_000)), "line 1: 120,000 columns; at most 10,000 are allowed"),
    "same columns.csv": (lambda: written("g.csv", b",".join([b"a"] * 400_000)), "line 1: 400,000 columns"),
    "quoted lines.csv": (lambda: written("h.csv", HEAD + b"1" + b',"b\n"' * 10**6), "line 22: a row of more than"),
    "cell.csv": (lambda: written("j.csv", HEAD + b"1," + b"a" * 10_001 + b",1"), "line 22: a cell of more than 10,000"),
    "zeros.csv": (lambda: linked("k.csv", "/dev/zero"), "is not a regular file"),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_at_once(name: str) -> None:
    make, message = LARGE[name]
    path = make()
    read = losses.load if path.endswith(".json") else lambda path: tables.read(path, "y")
    found, seconds, most = measured(lambda: read(path))
    assert isinstance(found, Refused)
    assert path in found
    assert message in found
    assert seconds < 20
    assert most < 100e6


def wide(columns: int, rows: int, kinds: int) -> bytes:
    """A table with this many categorical columns, each of ``kinds`` categories."""
    lines = [[f"c{place}{column % 7}" for column in range(columns)] for place in range(kinds)]
    header = ",".join(f"c{column}" for column in range(columns))
    return "\n".join([f"{header},y", *(f"{','.join(lines[row % kinds])},{row % 2}" for row in range(rows))]).encode()


@pytest.mark.parametrize(
    ("limit", "value", "content", "message"),
    [
        ("MAX_CELLS", 40, HEAD, r"line 15: more than 40 cells up to here"),
        ("MAX_LINES", 15, HEAD, r"line 16: at most 15 lines are allowed"),
        ("MAX_COLUMNS", 2, HEAD, r"line 1: 3 columns; at most 2 are allowed"),
        (
            "MAX_COLUMNS",
            30,
            wide(8, 40, 5),
            r"the inputs have \d+ columns in 40 rows; at most 30",
        ),
        ("MAX_VALUES", 59, HEAD, r"the inputs have 3 columns in 20 rows; .* 59 numbers in all"),
        ("MAX_CLASSES", 2, READABLE[1].encode(), r"column 'c', the target, has 20 classes; at most 2 are allowed"),
    ],
)
def test_a_table_beyond_a_limit_is_refused_by_it(
    limit: str, value: int, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, limit, value)
    Path("limit.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        tables.read("limit.csv", "c" if limit == "MAX_CLASSES" else "y", kind="classification")


# RUN DIRECTORIES

CONFIG = SearchConfig(population=4, generations=2, elites=1, seeds=1, finalists=2, final_seeds=1)


@pytest.fixture(scope="module")
def run_files(empty_folder: Path, tiny_task: Task) -> dict[str, bytes]:
    """Settings and record of a run with one generation, to be damaged."""
    one = Record("x * log(y)", "x * log(y)", (), 0.5, (0.25, 0.75), 3.0, "trained", (), 3, 500, 0.25)
    with Run("run", "search", tiny_task, CONFIG, resume=False) as run:
        run.save_generation(0, [one] * 40)
    return {name: Path("run", name).read_bytes() for name in ("settings.json", "record.sqlite")}


@hostile_cases(edits=edits_with(scraps.filter(lambda scrap: len(scrap) < 3000)))
def test_mutated_settings_are_those_of_a_run_or_refused(edits: list[Any], run_files: dict[str, bytes]) -> None:
    content = edited(run_files["settings.json"], edits)
    settings = check_file("run/settings.json", content, lambda _: directory.read_settings("run"))
    assert settings is None or "fingerprint" in settings


@hostile_cases(length=st.integers(0, 30_000), edits=edits_with(scraps))
def test_a_damaged_record_is_opened_or_refused(
    length: int, edits: list[Any], run_files: dict[str, bytes], tiny_task: Task
) -> None:
    def opened(_: str) -> bool:
        Run("run", "search", tiny_task, CONFIG, resume=True).close()
        return True

    Path("run/settings.json").write_bytes(run_files["settings.json"])
    check_file("run/record.sqlite", edited(run_files["record.sqlite"][:length], edits), opened)


# ARGUMENTS


def said(*arguments: str) -> tuple[int, str]:
    """Exit status of the command and what it writes to standard error."""
    errors, status = io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr(sys, "argv", ["glojax", *arguments])
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                cli.main()
            except SystemExit as stopped:
                status = int(stopped.code or 0)
    return status, errors.getvalue()


def is_refused(read: Callable[..., Any], *arguments: Any) -> bool:
    return isinstance(outcome(lambda: read(*arguments)), Refused)


texts = st.sampled_from(CODE) | st.text(min_size=1, max_size=30) | st.sampled_from(
    ["(" * 10_000, "x+" * 10**6, "9" * 10_000, "a" * 10**6 + ".json", "a" * 10**5 + ".py:f", "loss.json", "\x00.json",
     "\n:f", "\x1b[31m", "[bold]", "\u2028", "\ud800", "$(id)", "os:system", "x * y",
     "square(" * 50 + "3 + x * y" + ")" * 50]
)  # fmt: skip


@pytest.mark.slow
@hostile_cases(
    command=st.sampled_from(
        ["show -- LOSS", "export -- LOSS", "export --to torch -- LOSS", "export --to sympy -- LOSS",
         "tune digits -- LOSS", "evaluate -- TASK baikal", "tune -- TASK baikal", "search -- TASK", "bench -- TASK",
         "search --csv FILE --target y", "search --kind NAME --target y --csv table.csv"]
    ),
    text=texts,
    content=mutated(st.sampled_from([text.encode() for text in READABLE]), cells),
)  # fmt: skip
def test_a_hostile_argument_is_one_line(command: str, text: str, content: bytes) -> None:
    Path("loss.json").write_bytes(content)
    Path("hostile.csv").write_bytes(content)
    Path("table.csv").write_text(READABLE[0])
    reads: dict[str, Callable[[], Any]] = {
        "LOSS": lambda: losses.loss_by_name(text),
        "TASK": lambda: tasks.task_by_name(text),
        "FILE": lambda: tables.read("hostile.csv", "y"),
        "NAME": lambda: tables.read("table.csv", "y", kind=text),
    }
    kind = next(word for word in reads if word in command)
    refused = isinstance(outcome(reads[kind]), Refused)
    if not refused and not command.startswith("export"):
        return  # it would be trained
    words = command.split()
    words[words.index(kind)] = "hostile.csv" if kind == "FILE" else text
    status, message = said(*words)
    assert status == 2 or (status == 0 and not refused)
    assert message.startswith("glojax: ") if status else message == ""
    assert message.count("\n") == (status == 2)
    assert message.rstrip("\n").isprintable()
    assert len(message) < 1100


def test_the_cases_ran() -> None:
    hostile.check_cases(globals())
