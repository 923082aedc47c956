"""Inputs that are read where they lie: the same examples as arrays, from files, sequences and iterators."""

import pickle
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from glojax.data.fed import Fed, from_source, spooled

RANDOM = np.random.default_rng(0)
X, IDS = RANDOM.normal(size=(11, 3, 2)), RANDOM.integers(0, 9, (11, 4))
PLACES = np.array([7, 2, 2, 10, 0])


class Sequence:
    """A data source as grain's are: examples one by one."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, place: int) -> Any:
        assert type(place) is int
        return {"x": X[place], "ids": IDS[place]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


def test_an_array_a_file_and_a_tree_are_read_at_any_places(file: Path) -> None:
    for source in (X, list(X), file, str(file), np.load(file, mmap_mode="r")):
        np.testing.assert_array_equal(Fed(source)[PLACES], X[PLACES])
        np.testing.assert_array_equal(Fed(source)[3:9], X[3:9])
        assert len(Fed(source)) == 11
    for source in (Sequence(), {"x": file, "ids": IDS}):
        found = Fed(source)[PLACES]
        np.testing.assert_array_equal(found["x"], X[PLACES])
        np.testing.assert_array_equal(found["ids"], IDS[PLACES])


def test_types_are_those_asked_for() -> None:
    fed = Fed({"x": X, "ids": IDS}).as_types({"x": np.dtype(np.float32), "ids": np.dtype(np.int32)})
    assert jax.tree.map(lambda leaf: leaf.dtype.name, fed[:2]) == {"x": "float32", "ids": "int32"}
    assert Fed(X).astype(np.float16)[:1].dtype == np.float16


def test_blocks_are_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glojax.data.fed._BLOCK", 4)
    np.testing.assert_array_equal(np.concatenate(list(Fed(X).blocks())), X)


def test_a_file_is_opened_again_in_another_process(file: Path) -> None:
    kept = pickle.dumps(Fed(file))
    assert len(kept) < 1000
    np.testing.assert_array_equal(pickle.loads(kept)[PLACES], X[PLACES])


def test_an_iterator_is_written_once_and_read_back(tmp_path: Path) -> None:
    def batches() -> Any:
        for first in range(0, 11, 4):
            yield {"x": X[first : first + 4], "pair": (IDS[first : first + 4],)}, np.arange(11)[first : first + 4]

    for source in (batches(), None):  # the second time it is not looked at
        fed, labels = spooled(source, tmp_path / "spool")  # type: ignore[arg-type]
        np.testing.assert_array_equal(labels, np.arange(11))
        found = fed[PLACES]
        np.testing.assert_array_equal(found["x"], X[PLACES])
        np.testing.assert_array_equal(found["pair"][0], IDS[PLACES])
    np.testing.assert_array_equal(np.load(tmp_path / "spool" / "0.npy").shape, (11, 4))


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "there is no batch to write"),
        ([(X, IDS), (X[:, :1], IDS)], "the batch after 11 examples is .*; the first was .* All must be alike"),
        ([(X, IDS[:3])], "the batch after 0 examples"),
    ],
)
def test_batches_that_differ_are_refused_and_leave_no_folder(batches: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        spooled(batches, tmp_path / "spool")
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (iter([1]), "Fed.source has a list_iterator; an array, the path of a .npy file"),
        ("x.csv", "Fed.source has a str"),
        ((X, IDS[:4]), r"Fed.source has arrays of \[4, 11\] examples"),
    ],
)
def test_what_cannot_be_read_at_a_place_is_refused(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fed(source)


# SOURCES WHOSE EXAMPLES HOLD INPUTS AND LABELS


class Examples:
    """As data sources of TensorFlow Datasets are: dicts, many of which are read at once."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, place: int) -> Any:
        return {"image": X[place], "label": np.int64(IDS[place, 0])}

    def __getitems__(self, places: list[int]) -> list[Any]:
        assert type(places[0]) is int
        return [self[place] for place in places]


def test_a_source_is_parted_in_inputs_and_labels() -> None:
    pairs = [(X[place], IDS[place, 0]) for place in range(11)]
    for source, inputs, labels in ((Examples(), "image", "label"), (pairs, 0, lambda example: example[1])):
        fed, found = from_source(source, inputs, labels)
        np.testing.assert_array_equal(fed[PLACES], X[PLACES])
        np.testing.assert_array_equal(found, IDS[:, 0])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(from_source(pairs, 0, 1)[0]))[:], X)


def test_a_batched_data_set_of_tensorflow_is_written_with_its_names(tmp_path: Path) -> None:
    class Dataset:
        def as_numpy_iterator(self) -> Any:
            return ({"image": X[place::2], "label": IDS[place::2, 0]} for place in range(2))

    fed, labels = spooled(Dataset(), tmp_path / "spool", inputs="image", labels="label")  # type: ignore[arg-type]
    np.testing.assert_array_equal(fed[:], np.concatenate([X[::2], X[1::2]]))
    np.testing.assert_array_equal(labels, np.concatenate([IDS[::2, 0], IDS[1::2, 0]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: from_source(Examples(), "img", "label")[0][:1],
            "'img' is wanted of an example, which is a dict",
        ),
        (lambda: from_source([X[0], None], np.asarray, np.sum), "Fed.source has no example at 1, as after a filter"),
        (lambda: from_source([], 0, 1), "Fed.source has no examples"),
        (lambda: from_source(X, 0, 1), "Fed.of is 0, and Fed.source has arrays"),
        (lambda: spooled([(X[0], 1)], "spool"), "an example was given without an axis of examples"),
        (lambda: spooled([{"x": X}], "spool"), "0 is wanted of an example, which is a dict of x"),
    ],
)
def test_examples_that_lack_what_is_wanted_are_refused(
    make: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        make()


def test_sources_of_grain_are_read_and_its_iterators_written(tmp_path: Path) -> None:
    grain = pytest.importorskip("grain")
    mapped = (
        grain.MapDataset.source(Examples())
        .shuffle(seed=3)
        .map(lambda example: {**example, "half": example["image"] / 2})
    )
    fed, labels = from_source(mapped, "half", "label")
    order = [int(np.flatnonzero((2 * half == X).all(axis=(1, 2)))[0]) for half in fed[:]]
    assert sorted(order) == list(range(11))
    assert order != list(range(11))
    np.testing.assert_array_equal(labels, IDS[order, 0])
    np.testing.assert_array_equal(fed[PLACES], fed[:][PLACES])
    loader = grain.DataLoader(
        data_source=Examples(),
        sampler=grain.samplers.IndexSampler(11, shuffle=True, num_epochs=1, seed=0),
        operations=[grain.transforms.Batch(4)],
    )
    for iterable, folder in ((loader, "loader"), (mapped.batch(4).to_iter_dataset(), "dataset")):
        for _ in range(2):
            fed, labels = spooled(iterable, tmp_path / folder, inputs=lambda batch: batch["image"], labels="label")
            found = [int(np.flatnonzero((one == X).all(axis=(1, 2)))[0]) for one in fed[:]]
            assert sorted(found) == list(range(11))
            np.testing.assert_array_equal(labels, IDS[found, 0])
