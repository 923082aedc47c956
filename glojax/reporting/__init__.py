"""Reports of recorded runs: figures, tables and one HTML page.

Modules:
  page: the report of a run, written as one page with its figures as images beside it.
  sections: the sections of a report, in their order.
  comparison_section, loss_section, search_section, genealogy_section, finals_section, settings_section: what each
    of them shows.
  conclusions: what a comparison says, in numbers and in sentences.
  blocks: what a section is made of: pictures, tables, paragraphs, source code.
  figures, formula: what is drawn.
  style: how figures look, and how they are written.
  numbers: how numbers are written.
  scalars: a run as scalars for trackers.
  tracking: what writes for a tracker.
  tensorboard, wandb, mlflow: the writer for each.

May import ``records`` and below, never ``discovery``.
"""
