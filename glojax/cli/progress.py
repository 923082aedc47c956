"""The progress of a search, on a terminal or in a log."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.markup import escape

if TYPE_CHECKING:
    from glojax.discovery.results import Event
    from glojax.reporting.scalars import Scalars


def funnel_line(funnel: Mapping[str, int]) -> str:
    """How many trees passed each stage, in one line."""
    return " > ".join(f"{count:,} {name}" for name, count in funnel.items())


class ProgressDisplay:
    """Shows each round of each phase: a line that is redrawn on a terminal, plain lines elsewhere.

    Args:
      console: where rounds are shown.
      titles: the title of each phase, shown before its rounds. Defaults to the phase's name.
      scalars: where rounds are also written, for trackers. Defaults to nowhere.
    """

    def __init__(self, console: Console, titles: Mapping[str, str] | None = None, scalars: "Scalars | None" = None):
        self._console, self._titles, self._scalars = console, titles or {}, scalars
        self._live: Live | None = None
        self._phase = ""
        self._started = time.perf_counter()
        self._write = None
        self._done, self._new, self._trained, self._best = 0, 0, 0, 0.0

    def begin(self, phase: str) -> None:
        """Begin a phase and start its clock."""
        self.end()
        self._phase, self._started = phase, time.perf_counter()
        self._write = None
        self._done, self._new, self._trained, self._best = 0, 0, 0, 0.0

    def end(self) -> None:
        """Remove the line from the terminal."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> "ProgressDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def show(self, event: "Event") -> None:
        """Show a round; a round of a new phase begins that phase."""
        if event.phase != self._phase:
            self.begin(event.phase)
        if self._scalars is not None:
            self._write = self._write or self._scalars.phase(event.phase)
            self._write(event.fitness, event.funnel)
        self._done += 1
        self._new += event.is_new
        self._trained += event.trained if event.is_new else 0
        self._best = max(self._best, float(event.fitness.max()))
        line = escape(self._line(event))
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, transient=True)
                self._live.start()
            self._live.update(line, refresh=True)
        else:
            self._console.print(line, soft_wrap=True)

    def _line(self, event: "Event") -> str:
        spent = max(time.perf_counter() - self._started, 1e-6)
        planned, left, trees = "", "", ""
        if event.planned is not None:
            planned = f"/{event.planned}"
            left = f"left {spent / max(self._new, 1) * (event.planned - self._done):3.0f} s  "
        if event.funnel:
            failed = f"failed {float((event.fitness == 0).mean()):4.0%}  "
            trees = f"{funnel_line(event.funnel)}  {failed}best: {event.best}"
        return (
            f"{self._titles.get(self._phase, self._phase)} {self._done}{planned}  best {self._best:.4f}  "
            f"mean {float(event.fitness.mean()):.4f}  {self._trained / spent:5.1f} candidates/s  {left}{trees}"
        )
