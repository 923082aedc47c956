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

import glojax
from glojax import statistics


def main() -> None:
    """Search, tune, compare, report."""
    options = study.options_of(
        __doc__, steps=(2000, 60), population=(80, 40), generations=(100, 4), tuning=(30, 3), seeds=(10, 2)
    )
    task, run_dir = study.task_of(options), options.output / "discovery"
    config = glojax.DiscoveryConfig(
        search=glojax.SearchConfig.paper(population=options.population, generations=options.generations),
        tune=glojax.TuneConfig(generations=options.tuning, seeds=1, finalists=1),
        seeds=options.seeds,
        full_steps=0,
    )
    found = glojax.discover(
        task,
        config,
        run_dir,
        resume=(run_dir / "settings.json").exists(),
        on_result=lambda result: print(f"{result.phase}: {result.loss}, validation accuracy {result.fitness:.4f}"),
    )
    baseline = found.comparison[0]
    rows = [
        {"loss": row.name, "rate": f"x{row.rate:g}", "validation": float(row.validation.mean())}
        | study.against(baseline.test, row.test)
        for row in found.comparison
    ]
    if options.seeds > 1:
        floor = statistics.detectable(statistics.summarize(baseline.test).std, options.seeds)
        print(f"with {options.seeds} seeds, differences below {floor:.4f} cannot be told from chance")
    shutil.copy(run_dir / "report" / "overview.png", options.output / "discovery.png")
    study.keep(options, "discovery", rows)


if __name__ == "__main__":
    main()
