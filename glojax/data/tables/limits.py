"""What a table may be: its kinds, its largest sizes, and the cells that stand for nothing. It is held in memory."""

import numpy as np

KINDS = ("classification", "binary", "regression")
"""The kinds of problems that a table may pose."""

MAX_BYTES = 2**28
"""Largest size of a file, and of its text."""
MAX_LINES = 2_000_000
"""Most lines, including blank lines and those within quotes."""
MAX_ROW_CHARACTERS = 1_000_000
"""Longest row, including the header."""
MAX_CELL_CHARACTERS = 10_000
"""Longest cell."""
MAX_COLUMNS = 10_000
"""Most columns, of the file and of the inputs made from it, where each category has its own."""
MAX_CELLS = 30_000_000
"""Most cells."""
MAX_VALUES = 100_000_000
"""Most numbers in the inputs, rows times columns."""
MAX_CLASSES = 1000
"""Most classes of a target."""
MAX_CATEGORIES = 100
"""Most categories of a column."""

FEWEST_ROWS = 10
MOST_CLASSES = 20
"""By default, a target with more distinct numbers is a regression."""
LARGEST = float(np.finfo(np.float32).max)

GAPS = ("", "?", "-", "NA", "N/A", "n/a", "na", "None", "none", "null", "NULL", "#N/A", "NaN", "nan")
"""Cells that hold no value."""
