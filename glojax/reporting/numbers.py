"""How numbers are written in reports and tables."""

import numpy as np

from glojax import statistics
from glojax.tasks import metrics


def number(value: float) -> str:
    """A metric with four decimals; from 100 up with four significant digits, and with two where decimals would be 0.

    Empty for NaN.
    """
    if not np.isfinite(value):
        return "infinite" if np.isinf(value) else ""
    if 0 < abs(value) < 0.00005:
        return f"{value:.2g}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"


def signed(value: float) -> str:
    """A difference of metrics, with its sign."""
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"


def effect(value: float) -> str:
    """An effect size."""
    return f"{value:+.2f}".replace("-", "−")


def p_value(p: float) -> str:
    """A p-value with two significant digits."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def p_in_words(p: float) -> str:
    """A p-value as part of a sentence."""
    return f"p {p_value(p)}" if p < 0.0001 else f"p = {p_value(p)}"


def rate(value: float) -> str:
    """A scale of the learning rate."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def rate_in_words(value: float) -> str:
    """A scale of the learning rate as part of a sentence."""
    return "the task's learning rate" if value == 1 else f"{rate(value)} times the task's learning rate"


def gain_in_words(gain: statistics.Gain) -> str:
    """Whether tuned coefficients are kept, and why."""
    if gain.one_class:
        return "The tuned coefficients are not kept: networks answer one class for all examples with them."
    kept = "kept" if gain.is_kept else "not kept"
    return (
        f"The tuned coefficients are {kept}: over fresh seeds they gain {signed(gain.mean)}, and with this validation "
        f"set chance alone may reach {number(gain.needed)}."
    )


def counted(count: int, noun: str) -> str:
    """A count of things, such as "1 finalist" or "1,200 finalists"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def mean(values: np.ndarray) -> str:
    """Mean and standard deviation of a metric ``[seeds]``."""
    if not np.isfinite(values).all():
        return "infinite"
    summary = statistics.summarize(values)
    return f"{number(summary.mean)} ± {number(summary.std)}"


def interval(values: np.ndarray, metric: str = "") -> str:
    """The 95% interval of the mean of a metric ``[seeds]``, within the bounds of the metric of that name.

    Empty where there is none.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return ""
    summary = statistics.summarize(values, metrics.bounds_of(metric))
    return f"{number(summary.low)} to {number(summary.high)}"
