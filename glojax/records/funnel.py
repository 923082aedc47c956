"""How many trees came how far."""

from collections import Counter
from collections.abc import Iterable, Mapping

FUNNEL = ("drawn", "valid", "finite", "guided", "distinct", "trainable", "trained", "finished")
"""What is counted of trees, in the order in which they drop out; valid is with x and y."""


def total(funnels: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of funnels."""
    counts = Counter[str]()
    for funnel in funnels:
        counts.update(funnel)
    return {name: counts[name] for name in FUNNEL if name in counts}
