"""Which of the trees that are drawn are worth training.

A search draws far more trees than it trains. ``choose`` looks at them in order, counts how many pass each stage, and
gives the places of those that pass all stages and are new. It takes a ``Sieve`` and returns the next one.
"""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from glojax.discovery import behaviour, screening
from glojax.discovery.settings import FitnessConfig
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import Tree
from glojax.records.candidates import Rejected
from glojax.tasks.task import Task

_LAST = "trainable"  # the stage that costs most
MOST_REMEMBERED = 4096
"""Trees of which a search remembers what screening said, a few KiB each."""

_CHUNK = 128  # trees that are screened together


class Look(NamedTuple):
    """What screening says of a tree before anything descends."""

    passed: frozenset[str]  # "finite" and "guided", or fewer
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
        self._looks: dict[Tree, Look] = {}
        self._trainable: dict[Tree, bool] = {}
        self._behaviours: dict[Tree, np.ndarray] = {}

    def looks(self, trees: Sequence[Tree]) -> list[Look | None]:
        """What screening says of each tree; ``None`` for a tree without x or y.

        Every tree is looked at by itself, not once for its canonical form: what cancels there may be infinite here,
        and which of two equal trees comes first is different after a run was resumed.
        """
        fresh = _fresh(self._looks, [tree for tree in trees if tree.has_x_and_y])
        if fresh:
            found = screening.examine(fresh, self.settings)
            keys = found.direction if self._fair_rates else found.fingerprint
            for place, tree in enumerate(fresh):
                passed = frozenset(stage for stage in ("finite", "guided") if getattr(found, stage)[place])
                key = keys[place].tobytes() if found.guided[place] else b""
                self._looks[tree] = Look(passed, key, float(found.size[place]))
        return [self._looks.get(tree) for tree in trees]

    def trainable(self, trees: Sequence[Tree]) -> list[bool]:
        """Whether free outputs learn their labels by each of some trees, which have passed the stages before."""
        fresh = _fresh(self._trainable, trees)
        self._trainable |= zip(fresh, screening.descend(fresh, self.settings).tolist(), strict=True)
        return [self._trainable[tree] for tree in trees]

    def behaviours(self, trees: Sequence[Tree]) -> np.ndarray:
        """What trees with x and y do, ``behaviour.behaviours``."""
        fresh = _fresh(self._behaviours, trees)
        self._behaviours |= zip(fresh, behaviour.behaviours(fresh, self.settings), strict=True)
        return np.array([self._behaviours[tree] for tree in trees]).reshape(len(trees), behaviour.FEATURES)

    def keys(self, trees: Sequence[Tree]) -> list[bytes]:
        """What tells the gradients of trees with x and y apart."""
        return [look.key for look in self.looks(trees) if look is not None]

    def sizes(self, trees: Sequence[Tree]) -> list[float]:
        """Norms of the gradients of trees with x and y, over the norm of the baseline's."""
        return [look.size for look in self.looks(trees) if look is not None]


def _fresh(remembered: dict[Tree, Any], trees: Sequence[Tree]) -> list[Tree]:
    """The trees that are not remembered, each once; if too many are, all are forgotten."""
    if len(remembered) > MOST_REMEMBERED:
        remembered.clear()
    return list(dict.fromkeys(tree for tree in trees if tree not in remembered))


class Sieve(NamedTuple):
    """What has been drawn so far for a round."""

    met: frozenset[bytes]  # keys of gradients that were met, those of trained trees included
    funnel: dict[str, int]  # how many trees passed each stage
    # Trees that did not pass, with the first stage that they failed, and whether ``settle`` found that out; None where
    # nobody keeps them.
    rejected: dict[Tree, tuple[str, bool]] | None

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
    size = _CHUNK if wanted < len(trees) else max(1, len(trees))
    for first in range(0, len(trees), size):
        if len(chosen) == wanted:
            break
        chunk = trees[first : first + size]
        sieve, places = _sifted(sieve, screener, stages, known, chunk, wanted - len(chosen), descend=True)
        chosen += [first + place for place in places]
    return sieve, chosen


def sift(
    sieve: Sieve, screener: Screener, stages: Collection[str], known: Collection[Tree], trees: Sequence[Tree]
) -> tuple[Sieve, list[int]]:
    """Choose all trees that pass the stages but the last, which costs most; the arguments are those of ``choose``."""
    return _sifted(sieve, screener, {*stages} - {_LAST}, known, trees, len(trees), descend=False)


def settle(
    sieve: Sieve, screener: Screener, stages: Collection[str], trees: Iterable[Tree], wanted: int
) -> tuple[Sieve, list[int]]:
    """Choose trees by the last stage.

    Args:
      sieve: what was drawn before, with these trees.
      screener: of this search.
      stages: the stages of ``screening.STAGES`` that a tree must pass.
      trees: those that ``sift`` chose, in the order in which they are to be tried; no more are taken than are tried
        together.
      wanted: how many are chosen at most. Trees after the last of them are not tried.

    Returns:
      The sieve with what was tried, and the places of the chosen ones, rising.
    """
    chosen: list[int] = []
    counts, rejected = Counter(sieve.funnel), None if sieve.rejected is None else dict(sieve.rejected)
    places, waiting = itertools.count(), iter(trees)
    while len(chosen) < wanted:
        # In whole batches, no more than may be needed: what is not tried need not be put in order either.
        most = screening.DESCENT_BATCH * math.ceil((wanted - len(chosen)) / screening.DESCENT_BATCH)
        if not (chunk := list(itertools.islice(waiting, min(most, _CHUNK)))):
            break
        for tree, learns, place in zip(chunk, screener.trainable(chunk), places, strict=False):
            if len(chosen) == wanted:
                break
            counts.update(["promising", _LAST] if learns else ["promising"])
            if learns or _LAST not in stages:
                chosen.append(place)
            elif rejected is not None:
                rejected[tree] = _LAST, True
    return Sieve(sieve.met, dict(counts), rejected), chosen


def _sifted(
    sieve: Sieve,
    screener: Screener,
    stages: Collection[str],
    known: Collection[Tree],
    trees: Sequence[Tree],
    wanted: int,
    *,
    descend: bool,
) -> tuple[Sieve, list[int]]:
    looks = screener.looks(trees)
    learns = _descended(sieve, screener, trees, looks) if descend else set()
    chosen: list[int] = []
    met, funnel = set(sieve.met), Counter(sieve.funnel)
    rejected = None if sieve.rejected is None else dict(sieve.rejected)
    for place, (tree, look) in enumerate(zip(trees, looks, strict=True)):
        if len(chosen) == wanted:
            break
        passed = _passed(look, met, place in learns)
        funnel.update(["drawn", *passed])
        if look is None:
            continue
        met.add(look.key)
        if not {*stages} - {*passed}:
            if canonical(tree) not in known:
                chosen.append(place)
        elif rejected is not None and tree not in rejected:
            rejected[tree] = next(stage for stage in screening.STAGES if stage not in passed), False
    return Sieve(frozenset(met), dict(funnel), rejected), chosen


def _descended(sieve: Sieve, screener: Screener, trees: Sequence[Tree], looks: Sequence[Look | None]) -> set[int]:
    """The places of the trees that pass all stages."""
    met, places = set(sieve.met), []
    for place, look in enumerate(looks):
        if look is not None:
            places += [place] if _passed(look, met, True)[-1] == _LAST else []
            met.add(look.key)
    learns = screener.trainable([trees[place] for place in places])
    return {place for place, does in zip(places, learns, strict=True) if does}


def _passed(look: Look | None, met: Collection[bytes], learns: bool) -> list[str]:
    """The stages that a tree passes, up to the first that it does not; ``valid`` is a tree with x and y."""
    if look is None:
        return []
    passed = ["valid"]
    for stage in screening.STAGES:
        passes = look.key not in met if stage == "distinct" else learns if stage == _LAST else stage in look.passed
        if not passes:
            break
        passed.append(stage)
    return passed


def rejections(sieve: Sieve, known: Collection[Tree]) -> dict[Tree, Rejected]:
    """The trees that did not pass, by canonical form, in the order in which they were met.

    Of trees with one form the first is kept, or the one that the last stage rejected.

    Args:
      sieve: what was drawn.
      known: canonical forms of trees that were trained before.
    """
    found: dict[Tree, Rejected] = {}
    for tree, (stage, is_settled) in (sieve.rejected or {}).items():
        form = canonical(tree)
        if is_settled or (form not in known and form not in found):
            found[form] = Rejected(str(form), str(tree), stage)
    return found
