"""Loss trees: f(x, y) of the label x and the prediction y, from text to compiled programs (arXiv 1905.11528).

- ``grammar``: the table of operators and leaves, which all other modules read.
- ``trees``: ``Tree``; parsing, writing, random growth, enumeration and evaluation.
- ``functions``: every distinct function up to a depth, and how many trees compute it.
- ``canonical``: one form for all trees that are the same function.
- ``coefficients``: the coefficients of a tree that change training in independent ways.
- ``programs``: populations of trees as arrays, and their values and slopes.
- ``export``: LaTeX and sympy.
- ``source``: Python source for jax and for torch.

May import the base modules (``errors``).
"""
