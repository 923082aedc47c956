"""Defaults that follow other fields."""

import copy
import json
import pickle

from glojax.defaults import Derived, derived


def test_what_was_given_stays_and_what_was_not_follows() -> None:
    first = derived(None, 6)
    assert first == 6
    assert derived(first, 3) == 3  # as dataclasses.replace passes it on
    assert derived(derived(first, 3), 6) == 6
    assert derived(4, 3) == 4
    assert type(derived(4, 3)) is int


def test_a_derived_number_is_a_number_in_a_record() -> None:
    value = derived(None, 6)
    assert json.dumps({"elites": value}) == '{"elites": 6}'
    assert json.dumps(copy.deepcopy([value])) == "[6]"
    assert repr(value) == "6"
    assert isinstance(pickle.loads(pickle.dumps(value)), Derived)
