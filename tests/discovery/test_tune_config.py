"""The settings of a tuning."""

import dataclasses
import math

import pytest

from glojax.discovery.tune_config import TaylorConfig, TuneConfig


def test_polynomials_have_defaults_of_their_own() -> None:
    assert (TaylorConfig().population, TaylorConfig().sigma) == (28, 1.2)
    assert TuneConfig(method="gradient", horizon=5).horizon == 5


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("generations", 0, "generations is 0; an integer from 1"),
        ("population", 3, "population is 3; an integer from 4"),
        ("sigma", 0, "sigma is 0; a number above 0"),
        ("sigma", math.inf, "sigma is inf"),
        ("sigma", math.nan, "sigma is nan"),
        ("finalists", 0, "finalists is 0"),
        ("seeds", 1.5, "seeds is 1.5"),
        ("method", "adam", "method is 'adam'; allowed are cma-es, gradient"),
        ("horizon", 0, "horizon is 0; an integer from 1"),
        ("horizon", 30, "horizon is 30, and method is 'cma-es'; a horizon goes with 'gradient'"),
        ("ascent_step", -1, "ascent_step is -1; a number above 0"),
    ],
)
def test_bad_settings_are_refused_by_name(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"TuneConfig.{message}"):
        dataclasses.replace(TuneConfig(), **{field: value})  # type: ignore[arg-type]
