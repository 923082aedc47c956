"""The record of a run: written as a search goes, and read for reports.

May import ``tasks`` and below, and ``statistics``.
"""
