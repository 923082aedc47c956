"""Training of whole populations in one compiled program.

May import ``tasks`` and below.
"""
