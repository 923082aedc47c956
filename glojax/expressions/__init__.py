"""Loss trees: grammar, parsing, canonical form, compiled programs and exports.

May import ``errors``.
"""
