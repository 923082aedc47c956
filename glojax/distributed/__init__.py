"""Several devices and several processes.

May import ``files`` and ``errors``.
"""
