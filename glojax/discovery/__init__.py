"""Searches, tuning, comparison: what finds losses.

May import everything but ``reporting``, ``benchmark`` and ``cli``.
"""
