"""What finds losses, and what they are compared with.

Searches, each a function that takes a task and settings and returns a ``Result``:

- ``evolution``: genetic programming over trees (phase 1), and random search; ``generations`` has its rounds,
  ``search_config`` its settings.
- ``exhaustive``: every loss up to a depth; ``distinct`` finds those that train differently.
- ``tuning``: CMA-ES on the coefficients of a tree (phase 2), or of a Taylor polynomial; ``cma_es`` is the algorithm.

- ``joint``: one loss for several tasks, as ``evolution`` searches it too; ``aggregates`` has its fitness,
  ``joint_screening`` its screening, ``joint_runs`` its records.

What they share:

- ``settings``: the settings of every search.
- ``results``: the event that every search emits, and the result that it ends with.
- ``genetics``: selection, crossover and mutation of trees.
- ``screening`` and ``sieve``: which trees are worth training.
- ``scoring``: losses trained over seeds and learning rates.
- ``fitness``: how trees come to their fitness, and what is known of them.
- ``finals``: fresh trainings that decide between the best.

Beside the searches:

- ``comparison``: a loss beside the baseline, each at its best learning rate.
- ``transfer``: a found loss on a task that it never saw.
- ``full_training``: full trainings and their curves.

May import every package but ``reporting`` and ``cli``, and not ``benchmark`` or ``workflow``.
"""
