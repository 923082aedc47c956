"""Several devices and several processes.

- ``devices``: which devices train, CPU cores among them, and compiled programs kept on disk
- ``processes``: several processes that run one search, and what they exchange
- ``liveness``: how each of them learns that another has ended

May import ``files`` and ``errors``.
"""
