"""The record of a run: written while a search goes on, read for reports and lists of runs.

Modules:
  candidates: one candidate of a generation, and a tree that screening rejected.
  phases: the names of a record's phases, those of older versions included.
  log: ``events.jsonl``, the log of everything that happened.
  rows: the record's tables, and the rows that go in and come out.
  store: log and tables together, on disk or in memory.
  directory: the lock and the settings of a run directory.
  run: one phase of a run, written and resumed.
  summary: everything a run directory holds, read for reports.
  comparisons, curves: results of comparisons and of full trainings.
  funnel: how many trees passed each stage.
  genealogy: the ancestors of a loss.
  candidate_table: all candidates of a run as CSV or Parquet.

May import ``tasks`` and below, and ``statistics``.
"""
