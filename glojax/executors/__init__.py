"""What trains candidates: this process, or Ray's workers.

May import ``training`` and below.
"""
