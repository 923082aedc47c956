"""How a search or a tuning goes, on a terminal or in a log."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape


def funnel_line(funnel: Mapping[str, int]) -> str:
    """How many trees came so far, in a line."""
    return " > ".join(f"{count:,} {name}" for name, count in funnel.items())


class ProgressDisplay:
    """Generations as they end: a line that is redrawn on a terminal, plain lines elsewhere.

    Args:
      console: where they are shown.
      total: how many there will be, if that is known.
      title: before each.
      watch: called with the fitness of each and its funnel, too (``tensorboard.Board.phase``).
    """

    def __init__(
        self,
        console: Console,
        total: int | None,
        title: str,
        watch: Callable[[Any, Mapping[str, int]], None] | None = None,
    ):
        self.console, self.total, self.title, self.watch = console, total, title, watch
        self.started = time.perf_counter()
        self.done, self.fresh, self.best, self.trained = 0, 0, 0.0, 0
        self.live = Live(console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> "ProgressDisplay":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def generation(self, generation: Any) -> None:
        fates = generation.fates
        self._show(
            generation.fitness, fates.count("trained") + fates.count("dropped"), generation.seconds > 0,
            generation.funnel,
            f"{funnel_line(generation.funnel)}  failed {float((generation.fitness == 0).mean()):4.0%}  "
            f"best: {generation.best}",
        )  # fmt: skip

    def batch(self, funnel: Mapping[str, int], ranking: Sequence[Any]) -> None:
        import numpy as np  # the command shows its help without it

        fitness = np.array([known.fitness for known in ranking])
        rest = f"{funnel_line(funnel)}  best: {ranking[0].tree}"
        self._show(fitness, funnel["trained"] - self.trained, True, funnel, rest)

    def tuning(self, number: int, fitness: Any) -> None:
        self._show(fitness, len(fitness), True, {}, "")

    def _show(self, fitness: Any, trained: int, fresh: bool, funnel: Mapping[str, int], rest: str) -> None:
        if self.watch is not None:
            self.watch(fitness, funnel)
        self.done += 1
        self.fresh += fresh
        self.trained += trained if fresh else 0
        self.best = max(self.best, float(fitness.max()))
        spent = time.perf_counter() - self.started
        of, left = "", ""
        if self.total is not None:
            of, left = f"/{self.total}", f"left {spent / max(self.fresh, 1) * (self.total - self.done):3.0f} s  "
        line = (
            f"{self.title} {self.done}{of}  best {self.best:.4f}  mean {float(fitness.mean()):.4f}  "
            f"{self.trained / spent:5.1f} candidates/s  {left}{rest}"
        )
        if self.live:
            self.live.update(escape(line), refresh=True)
        else:
            self.console.print(escape(line), soft_wrap=True)
