"""How many trees passed each stage, from drawing to the end of training."""

from collections import Counter
from collections.abc import Iterable, Mapping

FUNNEL = ("drawn", "valid", "finite", "guided", "distinct", "promising", "trainable", "trained", "finished")
"""The stages, in the order in which trees drop out. A valid tree contains both x and y. Promising are those that
a search tried in the order of what they may be worth, until it had enough."""


def total(funnels: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of funnels, stage by stage."""
    counts = Counter[str]()
    for funnel in funnels:
        counts.update(funnel)
    return {name: counts[name] for name in FUNNEL if name in counts}
