"""Discovery and tuning with the settings of arXiv 1905.11528: genetic programming, then CMA-ES on its winner.

Makes: the found and the tuned loss, and what a random search of the same budget found, over fresh seeds, each at the
task's learning rate and at its best one, with Welch's p and Hedges' g against cross-entropy at the task's rate; the
noise floor; a figure of the search, and the report of the run.
Command: python experiments/discovery.py [--scale full] [--data-dir DIR] [--task digits]
Time: half a minute on 2 CPU cores with --task digits; on mnist 18 minutes beside other work.

The run is recorded under the output folder; the same command goes on where it stopped.
"""

import shutil

import study

from glojax import Loss, SearchConfig, TuneConfig, search, statistics, tune
from glojax.discovery import comparison, evolution
from glojax.reporting.page import write_report


def main() -> None:
    """Search, tune, compare."""
    options = study.options_of(
        __doc__, steps=(2000, 60), population=(80, 40), generations=(100, 4), tuning=(30, 3), seeds=(10, 2)
    )
    task, run_dir = study.task_of(options), options.output / "discovery"
    settings = SearchConfig.paper(population=options.population, generations=options.generations)
    resume = (run_dir / "settings.json").exists()
    found = search(task, settings, run_dir, resume=resume)
    if found.fitness == 0:
        raise SystemExit("no candidate could be trained: give it more --generations")
    print(f"found {found.best}, validation accuracy {found.fitness:.4f}")
    tuned = tune(task, found.best, TuneConfig(generations=options.tuning, seeds=1, finalists=1), run_dir, resume=resume)
    print(f"tuned {tuned.loss}, validation accuracy {tuned.start_fitness:.4f} to {tuned.fitness:.4f}")
    named = {"found": Loss(found.best), "found, tuned": tuned.loss}
    # As many optimizer steps as the search took, on trees that are drawn and not bred.
    drawn = evolution.random_search(task, settings, found.steps, run_dir, resume=resume)
    print(f"random search {drawn.best}, validation accuracy {drawn.fitness:.4f}")
    if drawn.fitness:
        named["random search"] = Loss(drawn.best)
    compared = comparison.compare(task, named, options.seeds, run_dir=run_dir, resume=resume)
    rows = [
        {"loss": row.name, "rate": f"x{row.rate:g}", "validation": float(row.validation.mean())}
        | study.against(compared[0].test, row.test)
        for row in compared
    ]
    if options.seeds > 1:
        floor = statistics.detectable(statistics.summarize(compared[0].test).std, options.seeds)
        print(f"with {options.seeds} seeds, differences below {floor:.4f} are hardly told from chance")
    overview = write_report(run_dir).with_suffix("") / "overview.png"
    shutil.copy(overview, options.output / "discovery.png")
    study.keep(options, "discovery", rows)


if __name__ == "__main__":
    main()
