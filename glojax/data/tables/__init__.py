"""Tables: a file with a target column as arrays ready for training, split into train, validation and test.

    table = glojax.tables.read("wine.csv", "cultivar")
    table.splits.train.x  # float32[examples, features]
    print(table.about)  # what every column was taken for

pandas reads the file and scikit-learn learns how text becomes numbers, from the training part alone.

Modules:
  limits: the largest sizes, and the cells that hold no value.
  source: encoding, delimiter and rows of a CSV file.
  sheet: the file as a pandas frame.
  forms: numbers and dates as people write them.
  columns: what each column is taken for.
  targets: the column that is predicted.
  parts: rows in three parts.
  scaling: numbers of a target as labels, and back.
  transform: rows as inputs of a network, kept as JSON.
  summary: what was found, in words.
  table: all of it.
"""

from glojax.data.tables.limits import KINDS
from glojax.data.tables.scaling import TRANSFORMS, TargetScale
from glojax.data.tables.table import TableData, read
from glojax.data.tables.transform import Transform, load_transform

__all__ = ["KINDS", "TRANSFORMS", "TableData", "TargetScale", "Transform", "load_transform", "read"]
