"""How numbers are written in reports and tables."""

import numpy as np

from glojax import statistics


def number(value: float) -> str:
    """A metric, to four digits after the point or, where it is large, four in all; nothing for NaN."""
    if not np.isfinite(value):
        return "infinite" if np.isinf(value) else ""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"


def signed(value: float) -> str:
    """The same of a difference."""
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"


def effect(value: float) -> str:
    """An effect size."""
    return f"{value:+.2f}".replace("-", "−")


def p_value(p: float) -> str:
    """To two digits."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def rate(value: float) -> str:
    """A scale of the learning rate."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def mean(values: np.ndarray) -> str:
    """Mean and standard deviation of a metric ``[seeds]``."""
    if not np.isfinite(values).all():
        return "infinite"
    summary = statistics.summarize(values)
    return f"{number(summary.mean)} ± {number(summary.std)}"


def interval(values: np.ndarray) -> str:
    """The 95% interval of the mean, if there is one."""
    if len(values) < 2 or not np.isfinite(values).all():
        return ""
    summary = statistics.summarize(values)
    return f"{number(summary.low)} to {number(summary.high)}"
