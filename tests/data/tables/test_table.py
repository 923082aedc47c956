"""CSV files as arrays: what is read, how it is encoded and split, and what is refused."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from glojax.data import tables

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode())
        return path

    return write


def text(header: str, rows: Sequence[str]) -> str:
    return "\n".join([header, *rows]) + "\n"


def save(path: Path, header: Sequence[str], rows: Any) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def inputs(table: tables.TableData) -> np.ndarray:
    return np.concatenate([split.x for split in table.splits])


def labels(table: tables.TableData) -> np.ndarray:
    return np.concatenate([split.labels for split in table.splits])


# ENCODING


def test_numbers_are_standardized_and_text_is_one_hot_by_the_training_part(write: Write) -> None:
    """Worked out by hand: ages with gaps, colours with gaps, and a colour that only one row has."""
    ages = [None if place % 7 == 3 else place**2 / 3 for place in range(40)]
    colours = ["red", "blue", "", "green"] * 10
    colours[17] = "violet"
    rows = [
        f"{'' if age is None else repr(age)},{colour},{place}"
        for place, (age, colour) in enumerate(zip(ages, colours, strict=True))
    ]
    elsewhere = 0
    for seed in range(8):
        table = tables.read(write(text("age,colour,y", rows)), "y", seed=seed)
        parts = [np.rint(split.labels * table.target_std + table.target_mean).astype(int) for split in table.splits]
        train = parts[0]
        known = [ages[row] for row in train if ages[row] is not None]
        filled = np.array([np.median(known) if age is None else age for age in ages])
        scaled = (filled - filled[train].mean()) / filled[train].std()
        named = [colour or "missing" for colour in colours]
        categories = sorted({named[row] for row in train})
        assert table.features == ("age", *(f"colour={category}" for category in categories))
        assert table.kind == "regression"
        assert table.classes == ()
        hot = np.array([[category == colour for category in categories] for colour in named])
        for split, part in zip(table.splits, parts, strict=True):
            assert split.x.dtype == np.float32
            np.testing.assert_allclose(split.x[:, 0], scaled[part], atol=1e-5)
            np.testing.assert_array_equal(split.x[:, 1:], hot[part])
        if "violet" not in categories:
            elsewhere += 1
            part = next(place for place in (1, 2) if 17 in parts[place])
            assert not table.splits[part].x[list(parts[part]).index(17), 1:].any()
    assert elsewhere > 0


def test_numeric_columns_come_first_and_both_kinds_keep_the_order_of_the_file(write: Write) -> None:
    path = write(
        text("b,m,a,k,y", [f"{'xy'[i % 2]},{i},{'uv'[i % 2]},{i % 5},{('no', 'yes')[i % 2]}" for i in range(30)])
    )
    table = tables.read(path, "y")
    assert table.features == ("m", "k", "b=x", "b=y", "a=u", "a=v")
    for split in table.splits:
        np.testing.assert_array_equal(split.x[:, 2], split.labels == 0)
        np.testing.assert_array_equal(split.x[:, 5], split.labels == 1)


def test_a_column_of_numbers_is_categorical_where_it_is_asked_for(write: Write) -> None:
    path = write(text("zip,x,y", [f"0{i % 3},{i},{i}" for i in range(30)]))
    assert tables.read(path, "y").features == ("zip", "x")
    table = tables.read(path, "y", categorical=["zip"])
    assert table.features == ("x", "zip=00", "zip=01", "zip=02")
    np.testing.assert_array_equal(inputs(table)[:, 1:].sum(axis=1), 1)


def test_a_column_of_numbers_with_one_word_is_named_unless_the_user_says_what_it_is(write: Write) -> None:
    path = write(text("age,y", [f"{i if i != 5 else 'old'},{i}" for i in range(30)]))
    with pytest.raises(ValueError, match=r"line 7: column 'age' is mostly numbers, but 1 of its 30 cells .*: 'old'\."):
        tables.read(path, "y")
    assert "age=old" in {
        name for seed in range(9) for name in tables.read(path, "y", categorical=["age"], seed=seed).features
    }
    assert tables.read(path, "y", missing=["old"]).features == ("age",)
    with pytest.raises(
        ValueError, match=r"table\.csv, line 7: column 'age' is numeric and holds 'old'; finite numbers"
    ):
        tables.read(path, "y", numeric=("age",))


@pytest.mark.parametrize("cell", ["1_000", "0x10", "1.5.1", "ten"])
def test_what_only_looks_like_a_number_is_text(write: Write, cell: str) -> None:
    path = write(text("age;y", [f"{i if i != 5 else cell};{i}" for i in range(30)]))
    with pytest.raises(ValueError, match=f"line 7: column 'age' is numeric and holds '{cell}'"):
        tables.read(path, "y", numeric=("age",))


def test_constant_and_empty_columns_and_identifiers_of_text_are_dropped_and_named(write: Write) -> None:
    rows = [f"{i},7,,user {i},a,{i % 2}" for i in range(120)]
    table = tables.read(write(text("x,c,e,id,k,y", rows)), "y")
    assert table.features == ("x",)
    for named in ("c (7 in every row)", "e (empty)", "id (120 distinct texts", "k (a in every row)"):
        assert named in " ".join(table.about.split())


# TARGETS


@pytest.mark.parametrize(
    ("target", "kind", "expected", "classes"),
    [
        (lambda i: ("yes", "no")[i % 2], None, "binary", ("no", "yes")),
        (lambda i: i % 2, None, "binary", ("0", "1")),
        (lambda i: 5 - 4 * (i % 2), None, "binary", ("1", "5")),
        (lambda i: i % 2, "classification", "classification", ("0", "1")),
        (lambda i: 8 + i % 4, None, "classification", ("8", "9", "10", "11")),
        (lambda i: "cab"[i % 3], None, "classification", ("a", "b", "c")),
        (lambda i: ("1", "1.0", "2")[i % 3], None, "binary", ("1", "2")),
        (lambda i: i % 20, None, "classification", tuple(str(i) for i in range(20))),
        (lambda i: i % 21, "classification", "classification", tuple(str(i) for i in range(21))),
    ],
)
def test_classes_count_from_0_in_sorted_order(
    write: Write, target: Callable[[int], Any], kind: str | None, expected: str, classes: tuple[str, ...]
) -> None:
    table = tables.read(write(text("x,y", [f"{i},{target(i)}" for i in range(84)])), "y", kind=kind)
    assert (table.kind, table.classes) == (expected, classes)
    assert (table.target_mean, table.target_std) == (0, 1)
    order = np.argsort(np.concatenate([split.x for split in table.splits])[:, 0])  # the order of the file
    labels_found = np.concatenate([split.labels for split in table.splits])[order]
    assert labels_found.dtype == np.int32
    wanted = [str(target(i)).removesuffix(".0") for i in range(84)]
    assert [classes[label] for label in labels_found] == wanted


def test_more_than_20_distinct_numbers_are_a_regression(write: Write) -> None:
    path = write(text("x,y", [f"{i},{i % 21}" for i in range(84)]))
    table = tables.read(path, "y")
    assert (table.kind, table.classes) == ("regression", ())
    train = table.splits.train.labels
    assert train.dtype == np.float32
    np.testing.assert_allclose([train.mean(), train.std()], [0, 1], atol=1e-6)
    order = np.argsort(inputs(table)[:, 0])
    own = labels(table)[order] * table.target_std + table.target_mean
    np.testing.assert_allclose(own, np.arange(84) % 21, atol=1e-5)


def test_fewer_distinct_numbers_are_a_regression_where_it_is_asked_for(write: Write) -> None:
    path = write(text("x,y", [f"{i},{i % 2}" for i in range(84)]))
    table = tables.read(path, "y", kind="regression")
    assert table.kind == "regression"
    np.testing.assert_allclose(np.unique(np.rint(labels(table) * table.target_std + table.target_mean)), [0, 1])


# PARTS


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_the_parts_share_no_row_and_hold_all(write: Write, kind: str) -> None:
    path = write(text("x,y", [f"{i},{i % 5}" for i in range(200)]))
    table = tables.read(path, "y", kind=kind)
    assert [len(split.labels) for split in table.splits] == [120, 40, 40]
    x = inputs(table)[:, 0]
    rows = np.rint((x - x.min()) / (x.max() - x.min()) * 199).astype(int)
    assert sorted(rows) == list(range(200))
    assert not (np.diff(rows[:120]) > 0).all()


def test_the_same_seed_gives_the_same_split_and_another_seed_another(write: Write) -> None:
    path = write(text("x,y", [f"{i},{i % 5}" for i in range(200)]))
    first, again, other = (tables.read(path, "y", seed=seed) for seed in (3, 3, 4))
    for one, two in zip(first.splits, again.splits, strict=True):
        np.testing.assert_array_equal(one.x, two.x)
        np.testing.assert_array_equal(one.labels, two.labels)
    assert not np.array_equal(first.splits.test.x, other.splits.test.x)


@pytest.mark.parametrize("seed", range(20))
def test_every_class_is_in_every_part_even_one_of_3_rows(write: Write, seed: int) -> None:
    rows = [f"{i},{'rare' if i in (10, 50, 70) else 'usual'}" for i in range(103)]
    table = tables.read(write(text("x,y", rows)), "y", seed=seed)
    assert [np.bincount(split.labels).tolist() for split in table.splits] == [[1, 60], [1, 20], [1, 20]]


# REAL DATA


def test_diabetes_is_that_of_scikit_learn(tmp_path: Path) -> None:
    bunch: Any = load_diabetes(scaled=False)
    path = save(tmp_path / "diabetes.csv", [*bunch.feature_names, "target"], np.c_[bunch.data, bunch.target].tolist())
    table = tables.read(path, "target")
    assert table.features == tuple(bunch.feature_names)
    assert table.kind == "regression"
    assert [len(split.labels) for split in table.splits] == [266, 88, 88]
    targets = labels(table) * table.target_std + table.target_mean
    rows = matched(inputs(table), bunch.data, len(table.splits.train.x))
    np.testing.assert_allclose(targets, bunch.target[rows], rtol=1e-5)


def test_iris_is_that_of_scikit_learn(tmp_path: Path) -> None:
    bunch: Any = load_iris()
    names = [bunch.target_names[label] for label in bunch.target]
    path = save(
        tmp_path / "iris.csv",
        [*bunch.feature_names, "species"],
        [[*values, name] for values, name in zip(bunch.data.tolist(), names, strict=True)],
    )
    table = tables.read(path, "species")
    assert table.features == tuple(bunch.feature_names)
    assert (table.kind, table.classes) == ("classification", ("setosa", "versicolor", "virginica"))
    assert [np.bincount(split.labels).tolist() for split in table.splits] == [[30] * 3, [10] * 3, [10] * 3]
    rows = matched(inputs(table), bunch.data, len(table.splits.train.x))
    np.testing.assert_array_equal(labels(table), bunch.target[rows])


def matched(x: np.ndarray, raw: np.ndarray, train: int) -> np.ndarray:
    """Rows of the raw data that ``x`` is, in its order: ``x`` is standardized by its first ``train`` rows."""
    # Whatever the training part is, standardizing anew by all rows gives the same of both.
    ours, theirs = ((values - values.mean(axis=0)) / values.std(axis=0) for values in (x.astype(float), raw))
    np.testing.assert_allclose(x[:train].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x[:train].std(axis=0), 1, atol=1e-5)
    distances = np.abs(ours[:, None] - theirs[None]).max(axis=2)
    rows = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < 1e-4
    # Iris has one flower twice, which is two rows of one class.
    assert sorted(map(tuple, raw[rows])) == sorted(map(tuple, raw))
    return rows


# FILES


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_delimiters_byte_order_mark_spaces_and_blank_lines_are_read(
    write: Write, delimiter: str, end: str
) -> None:
    rows = [['"weight, kg; net"', '"the ""kind"""', "y"]]
    rows += [[f" {i}", ('"a;b,c"', '"d\te"', '"two\nlines"')[i % 3], ("no ", "yes")[i % 2]] for i in range(30)]
    path = write("\ufeff" + end.join(delimiter.join(row) for row in rows) + end + end)
    table = tables.read(path, "y")
    kinds = ("a;b,c", "d\te", "two\nlines")
    assert table.features == ("weight, kg; net", *(f'the "kind"={kind}' for kind in kinds))
    assert table.classes == ("no", "yes")
    x, order = inputs(table), np.argsort(inputs(table)[:, 0])
    np.testing.assert_array_equal(x[order, 1:].argmax(axis=1), np.arange(30) % 3)
    np.testing.assert_array_equal(labels(table)[order], np.arange(30) % 2)


def test_an_unquoted_header_with_commas_leaves_the_semicolons_to_part_the_cells(write: Write) -> None:
    path = write(text("height, cm;weight, kg;y", [f"{i};{i};{i % 2}" for i in range(30)]))
    assert tables.read(path, "y").features == ("height, cm", "weight, kg")


def test_a_header_that_counts_from_0_is_a_header(write: Write) -> None:
    assert tables.read(write(text("0,1,2", [f"{i},{-i},{i % 2}" for i in range(30)])), "2").features == ("0", "1")


# REFUSED

GOOD = [f"{i},{'ab'[i % 2]},{i % 2}" for i in range(12)]


def changed(line: int, row: str) -> str:
    """The good table, with another row in that line of the file."""
    rows = list(GOOD)
    rows[line - 2] = row
    return text("x,c,y", rows)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("", {}, r"table\.csv, line 1: no header; the first line must name the columns"),
    ("\ufeff\n\n", {}, r"table\.csv, line 1: no header; the first line must name the columns"),
    (text("5.1,0.2,0", GOOD), {"target": "0"}, r"line 1: only numbers \(5.1, 0.2, 0\); the first line must name"),
    (
        text(",c,y", [f"{i * i},a,{i % 2}" for i in range(12)]),
        {},
        r"line 1: column 1 has no name; every column needs one",
    ),
    (text("1,1,y", GOOD), {}, r"line 1: cells that look like data \(1\)"),
    (text("x,x,y", GOOD), {}, r"line 1: two columns have the name 'x'; every column needs its own"),
    ("\n\n" + text("x,x,y", GOOD), {}, r"table\.csv, line 3: two columns have the name 'x'"),
    (text("x,c,y", GOOD), {"target": "z"}, r"table\.csv: target 'z' is not among the columns; they are x, c, y\."),
    (text("y", ["1", "2"] * 6), {}, r"'y', the target, is the only column"),
    (text("x,c,y", GOOD[:9]), {}, r"table\.csv: 9 rows below the header; at least 10 are needed"),
    (changed(6, "1,a"), {}, r"table\.csv, line 6: 2 cells; the header has 3"),
    (changed(6, "1,a,1,1"), {}, r"table\.csv, line 6: 4 cells; the header has 3"),
    (
        changed(6, "1,,"),
        {"target_gaps": False},
        r"column 'y', the target, is empty in line 6 \(1 in all\); every row needs a value",
    ),
    (changed(6, "inf,a,1"), {}, r"table\.csv, line 6: column 'x' is numeric and holds 'inf'; finite numbers of at"),
    (
        changed(6, "-1e39,a,1"),
        {},
        r"line 6: column 'x' is numeric and holds '-1e\+39'; finite numbers of at most 3.4e",
    ),
    (changed(6, "1,a,inf"), {}, r"line 6: column 'y' is numeric and holds 'inf'"),
    (changed(6, "x,a,1"), {"numeric": ["x"]}, r"line 6: column 'x' is numeric and holds 'x'"),
    (changed(6, "1,a,many"), {"kind": "regression"}, r"line 6: column 'y' is numeric and holds 'many'"),
    (changed(6, '1,"a,1'), {}, r"table\.csv, line 6: not well-formed CSV; a quote is not closed"),
    (text("x,c,y", GOOD), {"numeric": ["c"]}, r"line 2: column 'c' is numeric and holds 'a'"),
    (text("x,c,y", GOOD), {"numeric": ["z"]}, r"table\.csv: numeric has 'z'; columns allowed are x, c\."),
    (text("x,c,y", GOOD), {"categorical": ["y"]}, r"table\.csv: categorical has 'y'; columns allowed are x, c\."),
    (text("x,c,y", GOOD), {"numeric": ["x"], "categorical": ["x"]}, r"column 'x' is in numeric and in categorical"),
    (
        text("x,c,y", GOOD),
        {"kind": "ranking"},
        r"kind is 'ranking'; allowed are classification, binary, regression",
    ),
    (
        text("x,c,y", [f"7,,{i % 2}" for i in range(12)]),
        {"drop": ["x"]},
        r"only column that is left; .* \(x: as asked; c: empty\)",
    ),
    (text("x,y", [f"{i},7" for i in range(12)]), {}, r"column 'y', the target, is '7' in every row; at least two"),
    (text("x,y", [f"{i},{i % 3}" for i in range(12)]), {"kind": "binary"}, r"has 3 distinct values; kind 'binary'"),
    (
        text("x,y", [f"{i},{'b' if i > 9 else 'a'}" for i in range(12)]),
        {},
        r"column 'y', the target, has class 'b' \(line 12\) in 2 of its rows; each of its 2 classes needs at least "
        r"3, one for each part\.",
    ),
    (
        text("x,y", [f"{i},{i}" for i in range(12)]),
        {},
        r"has class '0' .*; kind 'regression' takes them as numbers",
    ),
    (
        text("x,id,y", [f"{i},user {i},{i % 2}" for i in range(101)]),
        {"categorical": ["id"]},
        r"table\.csv: column 'id' is categorical and has 101 distinct values; at most 100",
    ),
    (
        text("age,y", [f"{i if i != 50 else 'unknown'},{i % 2}" for i in range(120)]),
        {},
        r"line 52: column 'age' is mostly numbers, but 1 of its 120 cells are not written like the others: 'unknown'",
    ),
    (text("x,y", [f"{i},{i % 2}" for i in range(101)]), {"categorical": ["x"]}, r"has 101 distinct values"),
    (
        text("x,y", [f"{i},{i == 0:d}" for i in range(10)]),
        {"kind": "regression", "seed": 5},
        r"the target, is 0 throughout the training part",
    ),
]


@pytest.mark.parametrize(("content", "options", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_bad_input_is_refused_with_its_place_and_what_is_allowed(
    write: Write, content: str, options: dict[str, Any], message: str
) -> None:
    path = write(content)
    with pytest.raises(ValueError, match=message) as caught:
        tables.read(path, **{"target": "y", **options})
    assert str(path) in str(caught.value)


def test_100_categories_are_allowed(write: Write) -> None:
    path = write(text("c,x,y", [f"c{i % 100},{i},{i // 100 % 2}" for i in range(2000)]))
    table = tables.read(path, "y")
    assert table.features == ("x", *sorted(f"c=c{i}" for i in range(100)))
    np.testing.assert_array_equal(inputs(table)[:, 1:].sum(axis=0), 20)


def test_a_line_is_that_of_the_file_after_quoted_line_ends_and_blank_lines(write: Write) -> None:
    path = write('x,c,y\n1,"two\nlines",1\n\n' + "\n".join(GOOD) + "\noops\n")
    with pytest.raises(ValueError, match=r"line 17: 1 cells; the header has 3"):
        tables.read(path, "y")


def test_a_column_that_the_training_part_has_nothing_of_is_refused(write: Write) -> None:
    path = write(text("x,z,y", [f"{i},{i if i in (3, 4) else ''},{i % 2}" for i in range(12)]))
    refused = 0
    for seed in range(12):
        try:
            assert tables.read(path, "y", seed=seed).features == ("x", "z")
        except ValueError as error:
            assert "column 'z' is empty throughout the training part" in str(error)  # noqa: PT017
            refused += 1
    assert 0 < refused < 12


def test_a_file_that_is_not_there_or_not_of_its_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*none\.csv"):
        tables.read(tmp_path / "none.csv", "y")
    path = tmp_path / "latin.csv"
    path.write_bytes(text("x,c,y", [*GOOD, "1,Münster,1"]).encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.csv: not text in utf-8 \('utf-8' codec .*--encoding names another"):
        tables.read(path, "y", encoding="utf-8")
