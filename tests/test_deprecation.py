"""Old names: they warn where they are used, and do what the new ones do."""

import dataclasses
import inspect
from dataclasses import dataclass

import pytest

from glojax import Kind, SearchConfig, TrainConfig
from glojax.deprecation import renamed_argument, renamed_attribute, renamed_fields
from glojax.discovery.genetics import Variation
from glojax.records.curves import Curves
from glojax.tasks.problems import KINDS


def test_a_renamed_argument_is_adapted_and_passed_on_with_a_warning() -> None:
    @renamed_argument("old", "new", lambda value: value + 1)
    def double(given: int, *, new: int = 0) -> int:
        """Twice the sum."""
        return 2 * (given + new)

    with pytest.warns(DeprecationWarning, match=r"^double: old is now new\.$") as warned:
        assert double(1, old=2) == 8  # type: ignore[call-arg]
    assert warned[0].filename == __file__
    assert double(1, new=2) == 6
    assert double.__doc__ == "Twice the sum."


def test_a_renamed_attribute_is_read_with_a_warning() -> None:
    class Result:
        new = 2
        old = renamed_attribute("old", "new")

    with pytest.warns(DeprecationWarning, match=r"^Result\.old is now new\.$"):
        assert Result().old == 2


def test_a_renamed_field_is_given_and_read_by_its_old_name_with_a_warning() -> None:
    @renamed_fields(old="new")
    @dataclass(frozen=True)
    class Settings:
        new: int = 1
        other: int = 2

    with pytest.warns(DeprecationWarning, match=r"^Settings\.old is now new\.$") as warned:
        made = Settings(old=5)  # type: ignore[call-arg]
    assert warned[0].filename == __file__
    assert (made.new, made.other) == (5, 2)
    with pytest.warns(DeprecationWarning, match="old is now new"):
        assert made.old == 5  # type: ignore[attr-defined]
    assert dataclasses.replace(made, other=3) == Settings(5, 3)
    with pytest.warns(DeprecationWarning, match="old is now new"):
        assert dataclasses.replace(made, old=6) == Settings(6, 2)  # type: ignore[call-arg]
    assert list(inspect.signature(Settings).parameters) == ["new", "other"]


def test_the_old_names_of_public_classes_warn() -> None:
    with pytest.warns(DeprecationWarning, match="SearchConfig.rates is now variation"):
        config = SearchConfig(rates=Variation(crossover=0.5))  # type: ignore[call-arg]
    assert config.variation.crossover == 0.5
    with pytest.warns(DeprecationWarning, match="TrainConfig.control is now baseline"):
        assert not TrainConfig(5, control=False).baseline  # type: ignore[call-arg]
    with pytest.warns(DeprecationWarning, match="Kind.control_name is now baseline_name"):
        assert Kind("softmax", "accuracy", control_name="mine").baseline_name == "mine"  # type: ignore[call-arg]
    with pytest.warns(DeprecationWarning, match="Kind.usual is now baseline"):
        assert KINDS["regression"].usual == KINDS["regression"].baseline  # type: ignore[attr-defined]
    with pytest.warns(DeprecationWarning, match="Curves.control is now baseline"):
        assert Curves([1], ("validation",), [], []).control == []
