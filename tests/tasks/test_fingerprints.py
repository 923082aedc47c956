"""Fingerprints: what is exact about a task, in strings."""

import hashlib

import jax
import numpy as np
import pytest

from glojax.data.splits import Split
from glojax.tasks import fingerprints

X, LABELS = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([0, 1], np.int32)


def shape(*axes: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(axes, np.dtype(dtype))


def test_a_split_is_known_by_the_bytes_types_and_shapes_of_both_arrays() -> None:
    written = b"float32[2, 3]" + X.tobytes() + b"int32[2]" + LABELS.tobytes()
    assert fingerprints.digest_of_split(Split(X, LABELS)) == hashlib.sha256(written).hexdigest()[:32]


@pytest.mark.parametrize(
    "other",
    [Split(X + 1, LABELS), Split(X, LABELS[::-1]), Split(X.reshape(2, 3, 1), LABELS), Split(X.view(np.int32), LABELS)],
    ids=["values", "labels", "shape", "type"],
)
def test_other_data_has_another_digest(other: Split) -> None:
    assert fingerprints.digest_of_split(other) != fingerprints.digest_of_split(Split(X, LABELS))


def test_how_an_array_lies_in_memory_does_not_matter() -> None:
    assert fingerprints.digest_of_split(Split(np.asfortranarray(X), LABELS)) == fingerprints.digest_of_split(
        Split(X, LABELS)
    )


def test_arrays_are_listed_by_their_path_without_the_batch() -> None:
    found = fingerprints.contents(
        {"train": Split(X, LABELS)}, {"dense": {"kernel": shape(3, 2)}}, {}, shape(8, 3), shape(8, 2, dtype="bfloat16")
    )
    assert found["arrays"] == {
        "parameters['dense']['kernel']": "float32[3, 2]",
        "input": "float32[3]",
        "output": "bfloat16[2]",
    }
    assert found["train"] == fingerprints.digest_of_split(Split(X, LABELS))


def test_a_digest_does_not_depend_on_the_order_of_entries() -> None:
    assert fingerprints.digest({"a": 1, "b": [2]}) == fingerprints.digest({"b": [2], "a": 1})
    assert fingerprints.digest({"a": 1}) == hashlib.sha256(b'{"a": 1}').hexdigest()[:16]
