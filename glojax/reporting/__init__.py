"""Reports of recorded runs: figures, tables and pages.

May import ``records`` and below, never ``discovery``.
"""
