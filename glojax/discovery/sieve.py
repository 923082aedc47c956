"""Which of the trees that are drawn are worth training.

A search draws far more trees than it trains. ``choose`` looks at them in order, counts how many pass each stage, and
gives the places of those that pass all stages and are new. It takes a ``Sieve`` and returns the next one.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from glojax.discovery import screening
from glojax.discovery.settings import FitnessConfig
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.records.candidates import Rejected
from glojax.tasks.task import Task

_MOST_LOOKS = 4096  # of a few KiB each
_CHUNK = 128  # trees that are screened together


class Look(NamedTuple):
    """What screening says of a tree."""

    passed: frozenset[str]  # stages, without distinct
    key: bytes  # tells gradients apart; empty for a tree that has none to compare
    size: float  # norm of the gradient over that of the baseline's


class Screener:
    """Screens the trees of one search.

    It remembers a few thousand of them, which saves time and changes no result.

    Attributes:
      settings: how they are screened.

    Args:
      task: what the trees are to be trained on.
      config: of the search.
      room: for the instructions of a tree (``programs.room``).
    """

    def __init__(self, task: Task, config: FitnessConfig, room: int):
        self.settings = screening.Settings(
            given=screening.probe_of(task), kind=task.problem, protected=config.protected, room=room
        )
        self._fair_rates = config.fair_rates
        self._seen: dict[Tree, Look] = {}

    def looks(self, trees: Sequence[Tree]) -> list[Look | None]:
        """What screening says of each tree; ``None`` for a tree without x or y.

        Every tree is looked at by itself, not once for its canonical form: what cancels there may be infinite here,
        and which of two equal trees comes first is different after a run was resumed.
        """
        if len(self._seen) > _MOST_LOOKS:
            self._seen.clear()
        fresh = list(dict.fromkeys(tree for tree in trees if tree not in self._seen and tree.has_x_and_y))
        if fresh:
            found = screening.screen_with(fresh, self.settings)
            keys = found.direction if self._fair_rates else found.fingerprint
            for place, tree in enumerate(fresh):
                passed = [stage for stage in screening.STAGES if stage != "distinct" and getattr(found, stage)[place]]
                key = keys[place].tobytes() if found.guided[place] else b""
                self._seen[tree] = Look(frozenset(passed), key, float(found.size[place]))
        return [self._seen.get(tree) for tree in trees]

    def keys(self, trees: Sequence[Tree]) -> list[bytes]:
        """What tells the gradients of trees with x and y apart."""
        return [look.key for look in self.looks(trees) if look is not None]

    def sizes(self, trees: Sequence[Tree]) -> list[float]:
        """Norms of the gradients of trees with x and y, over the norm of the baseline's."""
        return [look.size for look in self.looks(trees) if look is not None]


class Sieve(NamedTuple):
    """What has been drawn so far for a round."""

    met: frozenset[bytes]  # keys of gradients that were met, those of trained trees included
    funnel: dict[str, int]  # how many trees passed each stage
    rejected: dict[Tree, Rejected] | None  # trees that did not pass, by canonical form; None where nobody keeps them

    @classmethod
    def fresh(cls, trained: Collection[bytes] = (), *, keep_rejected: bool = False) -> "Sieve":
        """A sieve for a round: nothing is drawn yet, and trees with these gradients are trained."""
        return cls(frozenset(trained), {}, {} if keep_rejected else None)


def choose(
    sieve: Sieve,
    screener: Screener,
    stages: Collection[str],
    known: Collection[Tree],
    trees: Sequence[Tree],
    wanted: int,
) -> tuple[Sieve, list[int]]:
    """Choose the trees that are worth training.

    Args:
      sieve: what was drawn before.
      screener: of this search.
      stages: the stages of ``screening.STAGES`` that a tree must pass.
      known: canonical forms of trees that were trained.
      trees: what is drawn now.
      wanted: how many are chosen at most. Trees after the last of them are not looked at.

    Returns:
      The sieve with these trees, and the places of the chosen ones, rising.
    """
    chosen: list[int] = []
    met, funnel = set(sieve.met), Counter(sieve.funnel)
    rejected = None if sieve.rejected is None else dict(sieve.rejected)
    size = _CHUNK if wanted < len(trees) else len(trees)
    for first in range(0, len(trees), size):
        if len(chosen) == wanted:
            break
        chunk = trees[first : first + size]
        for place, (tree, look) in enumerate(zip(chunk, screener.looks(chunk), strict=True), start=first):
            if len(chosen) == wanted:
                break
            passed = _passed(look, met)
            funnel.update(["drawn", *passed])
            if look is None:
                continue
            met.add(look.key)
            form = canonical(tree)
            if form in known:
                continue
            if not {*stages} - {*passed}:
                chosen.append(place)
            elif rejected is not None and form not in rejected:
                stage = next(stage for stage in screening.STAGES if stage not in passed)
                rejected[form] = Rejected(str(form), str(tree), stage)
    return Sieve(frozenset(met), dict(funnel), rejected), chosen


def _passed(look: Look | None, met: Collection[bytes]) -> list[str]:
    """The stages that a tree passes, up to the first that it does not; ``valid`` is a tree with x and y."""
    if look is None:
        return []
    passed = ["valid"]
    for stage in screening.STAGES:
        if not (look.key not in met if stage == "distinct" else stage in look.passed):
            break
        passed.append(stage)
    return passed
