"""Inputs of new rows: those of scikit-learn's transformers, the same after a file, and in any order of columns."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from glojax.data import tables


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": np.where(random.random(200) < 0.1, np.nan, random.normal(5, 2, 200).round(3)),
            "colour": random.choice(["red", "blue", "green"], 200),
            "grade": random.choice(["low", "mid", "high"], 200),
            "price": random.permutation(200) / 4,
        }
    )


def test_inputs_are_those_of_scikit_learn(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = tables.read(tmp_path / "t.csv", "price", ordinal={"grade": ("low", "mid", "high")})
    prices = table.splits.train.labels * table.target_std + table.target_mean
    train = [int(np.abs(frame["price"] - price).argmin()) for price in prices]
    given = frame.assign(grade=frame["grade"].map({"low": 0, "mid": 1, "high": 2}))
    scale = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    blocks = [("n", scale, ["size", "grade"]), ("c", OneHotEncoder(sparse_output=False), ["colour"])]
    expected = ColumnTransformer(blocks).fit(given.iloc[train]).transform(given)
    np.testing.assert_allclose(table.transform(frame), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(table.transform(frame)[train], table.splits.train.x)


def test_a_saved_transform_is_the_same_and_takes_columns_in_any_order(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = tables.read(tmp_path / "t.csv", "price")
    table.transform.save(tmp_path / "table.json")
    loaded = tables.load_transform(tmp_path / "table.json")
    assert loaded == table.transform
    frame[["grade", "colour", "size"]].to_csv(tmp_path / "new.csv", index=False, sep=";")
    np.testing.assert_array_equal(loaded(tmp_path / "new.csv"), table.transform(tmp_path / "t.csv"))
    with pytest.raises(ValueError, match="no column 'colour'"):
        loaded(frame.drop(columns="colour"))
    assert not loaded(frame.assign(colour="violet"))[:, loaded.features.index("colour=red")].any()


@pytest.mark.parametrize("change", [{"glojax_table": 9}, {"encodings": [{}]}, {"about": 3}, {"more": 1}])
def test_a_damaged_file_is_refused_by_name(frame: pd.DataFrame, tmp_path: Path, change: dict[str, object]) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False)
    path = tmp_path / "table.json"
    tables.read(tmp_path / "t.csv", "price").transform.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=r"table\.json is (damaged|not a table's)"):
        tables.load_transform(path)


def test_the_test_part_may_be_another_file(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame[::-1][:50].to_csv(tmp_path / "test.csv", index=False, columns=["price", "grade", "size", "colour"])
    for target in ("price", "colour"):
        table = tables.read(tmp_path / "t.csv", target, test=tmp_path / "test.csv")
        assert [len(split.labels) for split in table.splits][2] == 50
        np.testing.assert_array_equal(table.splits.test.x, table.transform(frame[::-1][:50]))
    assert [table.classes[label] for label in table.splits.test.labels] == frame["colour"][::-1][:50].tolist()
