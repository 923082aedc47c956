"""The whole workflow of a discovery: search, tuning, random search, known losses, comparison, full training, report.

``discover`` is what ``glojax search`` does; each of its parts is a function of its own (``search``, ``exhaust``,
``search_taylor``, ``tune``, ``random_search``, ``best_known``, ``compare``, ``compare_in_full``, ``write_report``).
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from glojax.discovery import joint_runs
from glojax.discovery.best_known import BestKnown, best_known, weighted
from glojax.discovery.boosted_trees import boosted_trees
from glojax.discovery.comparison import compare, compare_in_full
from glojax.discovery.evolution import JointResult, SearchResult, drawn, random_search, search
from glojax.discovery.exhaustive import ExhaustiveConfig, exhaust
from glojax.discovery.proposals import Proposals
from glojax.discovery.results import Result, SearchOptions
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.tuning import TaylorConfig, TuneConfig, TuningResult, search_taylor, tune
from glojax.distributed import processes
from glojax.losses.loss import Loss, LossFunction
from glojax.losses.spaces import CoefficientSpace, coefficient_space
from glojax.records.comparisons import BEST_KNOWN, WEIGHTED, Comparison, best_rows
from glojax.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

T = TypeVar("T", bound=Result | JointResult)

OnPhase = Callable[[str], None]
"""What a discovery calls when a phase begins: a search by its name, ``"known losses"``, ``"comparison"``, ``"full
training"``, ``"report"``. Of several tasks, the last four follow ``"task NAME"`` for each."""

OnResult = Callable[[Result], None]
"""What a discovery calls when a search has ended."""


@dataclass(frozen=True, kw_only=True)
class DiscoveryConfig:
    """Settings of a discovery.

    Attributes:
      search: what is searched and how: trees by genetic programming (``SearchConfig``), every tree up to a depth
        (``ExhaustiveConfig``), or Taylor polynomials by CMA-ES (``TaylorConfig``).
      tune: how the coefficients of the found tree are tuned, at the rate it was found at. ``None`` leaves tuning out.
        Only a ``SearchConfig`` is followed by it.
      random_search: whether random search of the same budget is part of the comparison.
      seeds: trainings of each loss in the final comparison.
      full_steps: optimizer steps of the full trainings after it (``comparison.compare_in_full``); 0 leaves them out.
        Defaults to ten times the task's.

    Raises:
      ValueError: fewer than one seed, a number of steps below 0, or a search that is none of these.
    """

    search: SearchConfig | ExhaustiveConfig | TaylorConfig = field(default_factory=lambda: SearchConfig())
    tune: TuneConfig | None = field(default_factory=TuneConfig)
    random_search: bool = True
    seeds: int = 16
    full_steps: int | None = None

    def __post_init__(self) -> None:
        if type(self.search) not in _SEARCHES:
            raise ValueError(
                f"DiscoveryConfig.search is {self.search!r}; a SearchConfig, an ExhaustiveConfig or a TaylorConfig is "
                "allowed."
            )
        if type(self.seeds) is not int or self.seeds < 1:
            raise ValueError(f"DiscoveryConfig.seeds is {self.seeds!r}; an integer of at least 1 is allowed.")
        if self.full_steps is not None and (type(self.full_steps) is not int or self.full_steps < 0):
            raise ValueError(f"DiscoveryConfig.full_steps is {self.full_steps!r}; an integer of at least 0 is allowed.")


@dataclass(frozen=True, eq=False)
class Discovery:
    """What a discovery ends with.

    Attributes:
      task: the task, with the averaging of the search.
      config: its settings.
      search: the result of the search.
      tuning: the result of the tuning, if there was one.
      random_search: the result of random search, if there was one.
      known: the best known loss, the strongest baseline that needs no search.
      comparison: the baseline and the losses over fresh seeds, each at the task's learning rate and at its best one.
      full: the baseline, the found loss and the best known one after full trainings; empty if they were left out.
      report: the report, if there is a run directory.
    """

    task: Task = field(repr=False)
    config: DiscoveryConfig = field(repr=False)
    search: Result
    tuning: TuningResult | None
    random_search: SearchResult | None
    known: BestKnown = field(repr=False)
    comparison: list[Comparison] = field(repr=False)
    full: list[Comparison] = field(repr=False)
    report: Path | None

    @property
    def best(self) -> Result:
        """The tuning if it changed a coefficient, otherwise the search."""
        return _better(self.search, self.tuning)

    @property
    def loss(self) -> Loss:
        """The discovered loss."""
        return self.best.loss

    @property
    def rate(self) -> float:
        """The scale of the task's learning rate that goes with the loss."""
        return self.best.rate

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the loss as a file, which ``glojax.load`` reads; raises as ``Loss.save``."""
        self.loss.save(path)

    def table(self, *, full: bool = False) -> "pd.DataFrame":
        """The comparison over fresh seeds, or that of full trainings, a row for each loss.

        Args:
          full: of full trainings. Defaults to False.

        Returns:
          The columns of ``reporting.comparison_rows``: loss, rate, and the metric's mean, deviation and 95% interval.
        """
        import pandas as pd

        from glojax.reporting.comparison_rows import comparison_rows

        rows = self.full if full else self.comparison
        return pd.DataFrame(comparison_rows(self.task.metric_name, self.task.as_metric, rows))

    def plot(self) -> "Figure":
        """The figure of the whole discovery: fitness by generation, tuning, screening, and the loss's curve."""
        from glojax.reporting import figures

        problem = self.task.problem
        curves = {"this loss": self.loss, problem.baseline_name: problem.baseline}
        return figures.search_figure(
            self.search.record,
            self.search.funnel if any(self.search.funnel.values()) else {},
            [] if self.tuning is None else self.tuning.record,
            {} if callable(problem.output) else curves,
            score=self.config.search.ranked(self.task).score_name,
        )


@dataclass(frozen=True, eq=False)
class JointDiscovery:
    """What a discovery of one loss for several tasks ends with.

    Attributes:
      search: the result of the search.
      random_search: the result of random search, if there was one.
      of: by the tasks' names, the same on each task, with its comparison and report.
    """

    search: JointResult
    random_search: JointResult | None
    of: dict[str, Discovery] = field(repr=False)

    @property
    def loss(self) -> Loss:
        """The discovered loss."""
        return self.search.loss

    @property
    def rates(self) -> dict[str, float]:
        """By the tasks' names, the scale of each task's learning rate that goes with the loss."""
        return self.search.rates


@overload
def discover(
    task: Task,
    config: DiscoveryConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    on_phase: OnPhase | None = None,
    on_result: OnResult | None = None,
    proposals: Proposals | None = None,
    **options: Unpack[SearchOptions],
) -> Discovery: ...


@overload
def discover(
    task: Sequence[Task],
    config: DiscoveryConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    on_phase: OnPhase | None = None,
    on_result: Callable[[JointResult], None] | None = None,
    proposals: Proposals | None = None,
    **options: Unpack[SearchOptions],
) -> JointDiscovery: ...


def discover(
    task: Task | Sequence[Task],
    config: DiscoveryConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    on_phase: OnPhase | None = None,
    on_result: Callable[[Any], None] | None = None,
    proposals: Proposals | None = None,
    **options: Unpack[SearchOptions],
) -> Discovery | JointDiscovery:
    """Discover a loss for a task, and compare it with the baseline, the best known loss, and random search.

    Args:
      task: what losses are trained on; or several tasks, for which one loss is searched (``search``). Its coefficients
        are not tuned then.
      config: the settings. Defaults to ``DiscoveryConfig()``.
      run_dir: where the record, the loss (``loss.json``) and the report (``report.html``) are kept. Defaults to memory
        alone, without a report.
      on_phase: called at the beginning of each phase.
      on_result: called with the result of each search.
      proposals: as for ``search``; it goes with a ``SearchConfig`` alone.
      **options: ``resume``, ``on_event``, ``executor`` and ``group``, as ``search`` takes them. The result of a
        discovery that was resumed is that of one never interrupted.

    Returns:
      The loss, how it was found, and how it compares; of several tasks a ``JointDiscovery``.

    Raises:
      ValueError: a run directory that does not fit (``records.run.Run``), nothing to train, or a search in which no
        candidate could be trained.

    Example:
      found = glojax.discover(glojax.tasks.digits(), run_dir="runs/digits")
      found.loss, found.rate, found.report
    """
    config = DiscoveryConfig() if config is None else config
    if proposals is not None and not isinstance(config.search, SearchConfig):
        raise ValueError("proposals go with the search of trees by genetic programming, a SearchConfig.")
    watched: dict[str, Any] = {"run_dir": run_dir, **options}
    shared = {name: option for name, option in watched.items() if name != "on_event"}

    def begin(name: str) -> None:
        if on_phase is not None:
            on_phase(name)

    def phase(name: str, run: Callable[[], T]) -> T:
        begin(name)
        result = run()
        if on_result is not None:
            on_result(result)
        return result

    if isinstance(task, list | tuple):
        return _discover_jointly(task, config, begin, phase, watched, shared, proposals)
    task = config.search.applied_to(task)  # type: ignore[arg-type]  # anything else is refused here
    return _discover_alone(task, config, begin, phase, watched, shared, proposals)


def _discover_alone(
    task: Task,
    config: DiscoveryConfig,
    begin: OnPhase,
    phase: Callable[[str, Callable[[], Any]], Any],
    watched: dict[str, Any],
    shared: dict[str, Any],
    proposals: Proposals | None,
) -> Discovery:
    """``discover`` of one task."""
    settings, run_dir = config.search, watched["run_dir"]
    asking = watched if proposals is None else {**watched, "proposals": proposals}
    found = phase(_PHASES[type(settings)], lambda: _SEARCHES[type(settings)](task, settings, **asking))
    if found.fitness == 0:
        raise ValueError(f"no candidate could be trained in {len(found.record)} generations; search longer.")
    tuned: TuningResult | None = None
    if (tuning := _tuning(config, found)) is not None:
        tuned = phase("tune", lambda: tune(task, _space(found), tuning, **watched))
    best = _better(found, tuned)
    if run_dir is not None and processes.is_first() and not callable(best.loss.output):
        best.loss.save(Path(run_dir) / "loss.json")
    random: SearchResult | None = None
    if config.random_search:
        random = phase("random search", lambda: random_search(task, _drawing(settings), found.steps, **watched))

    named: dict[str, Result] = {"found": found}
    named |= {"found, tuned": best} if best is not found else {}
    named |= {"random search": random} if random is not None else {}
    compared = _compared(task, config, named, begin, shared)
    begin("report")
    return Discovery(task, config, found, tuned, random, *compared, None if run_dir is None else _report(run_dir))


def _discover_jointly(
    together: Sequence[Task],
    config: DiscoveryConfig,
    begin: OnPhase,
    phase: Callable[[str, Callable[[], JointResult]], JointResult],
    watched: dict[str, Any],
    shared: dict[str, Any],
    proposals: Proposals | None,
) -> JointDiscovery:
    """``discover`` of several tasks."""
    settings, run_dir = config.search, watched["run_dir"]
    if not isinstance(settings, SearchConfig):
        raise ValueError(
            f"DiscoveryConfig.search is of {type(settings).__name__}; of several tasks a SearchConfig is allowed."
        )
    found = phase("search", lambda: search(together, settings, proposals=proposals, **watched))
    if found.fitness == 0:
        raise ValueError(f"no loss trains on all of {', '.join(found.results)}; search longer.")
    random: JointResult | None = None
    if config.random_search:
        random = phase("random search", lambda: search(together, drawn(settings, found.steps), **watched))
    of_tasks: dict[str, Discovery] = {}
    folders = joint_runs.folders_of(list(found.results))
    for (name, result), task, folder in zip(found.results.items(), together, folders, strict=True):
        begin(f"task {name}")
        own = None if run_dir is None else Path(run_dir) / folder
        if own is not None and processes.is_first() and not callable(found.loss.output):
            for path in (own.parent, own):
                found.loss.save(path / "loss.json")
        named: dict[str, Result] = {"found": result}
        named |= {} if random is None else {"random search": random.results[name]}
        task = settings.applied_to(task)
        compared = _compared(task, config, named, begin, shared | {"run_dir": own})
        begin("report")
        report = None if own is None else _report(own)
        of_tasks[name] = Discovery(task, config, result, None, random and random.results[name], *compared, report)
    return JointDiscovery(found, random, of_tasks)


def _tuning(config: DiscoveryConfig, found: Result) -> TuneConfig | None:
    """How the found tree is tuned: as it was searched, at its rate."""
    search = config.search
    if config.tune is None or not isinstance(search, SearchConfig):
        return None
    return dataclasses.replace(config.tune, rate=found.rate, averaging=search.averaging, rank_by=search.rank_by)


def _space(found: Result) -> CoefficientSpace:
    """The coefficients of the found tree, from those that it was found with."""
    return coefficient_space(found.best, found.loss.coefficients)


def _drawing(search: SearchConfig | ExhaustiveConfig | TaylorConfig) -> SearchConfig:
    """The settings of the random search beside a search."""
    return search if isinstance(search, SearchConfig) else SearchConfig(seed=search.seed, rank_by=search.rank_by)


def _compared(
    task: Task, config: DiscoveryConfig, named: Mapping[str, Result], begin: OnPhase, shared: dict[str, Any]
) -> tuple[BestKnown, list[Comparison], list[Comparison]]:
    """The best known loss, the comparison with it, and that of full trainings; the last found loss is the result."""
    seed, baseline = config.search.seed, {task.problem.baseline_name: task.problem.baseline}
    boosted_trees(task, run_dir=shared["run_dir"], resume=shared.get("resume", False))  # for the report
    begin("known losses")
    known = best_known(task, seed, rank_by=config.search.rank_by, **shared)
    begin("comparison")
    losses: dict[str, LossFunction] = {name: result.loss for name, result in named.items()}
    losses |= {BEST_KNOWN: known.known.loss, **weighted(task)}
    rates = {name: result.rate for name, result in named.items()} | {BEST_KNOWN: known.rate}
    rows = compare(task, losses, config.seeds, seed, rates=rates, **shared)
    if config.full_steps == 0:
        return known, rows, []
    begin("full training")
    chosen = baseline | {name: losses[name] for name in losses if name not in ("random search", WEIGHTED)}
    if "found, tuned" in chosen:
        del chosen["found"]
    standing = best_rows(rows)
    best = {name: standing[name].rate for name in chosen}
    return known, rows, compare_in_full(task, chosen, best, config.seeds, seed, steps=config.full_steps, **shared)


_SEARCHES: dict[type, Callable[..., Result]] = {
    SearchConfig: search,
    ExhaustiveConfig: exhaust,
    TaylorConfig: search_taylor,
}
_PHASES: dict[type, str] = {SearchConfig: "search", ExhaustiveConfig: "exhaustive", TaylorConfig: "taylor"}


def _better(found: Result, tuned: TuningResult | None) -> Result:
    return tuned if tuned is not None and tuned.loss != found.loss else found


def _report(run_dir: str | os.PathLike[str]) -> Path:
    """The report, which the first of several processes writes."""
    from glojax.reporting.page import write_report  # matplotlib takes a while to import

    if processes.is_first():
        return write_report(run_dir)
    return Path(run_dir) / "report.html"
