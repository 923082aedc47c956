"""Names of the phases in a record.

A phase such as ``search`` keeps its finalists under ``search finals`` and the baseline at its best learning rate under
``search baseline``. Run directories of schema 4 call the last one ``search control``; this module is the only place
that knows.
"""

SEARCHES = ("search", "exhaustive", "taylor")
"""Phases that find a loss; ``tune`` may follow them."""

COEFFICIENTS = ("tune", "taylor")
"""Phases whose candidates are vectors of coefficients and not trees."""

_BASELINE, _OLD_BASELINE = " baseline", " control"


def finals_of(phase: str) -> str:
    """The name under which a phase keeps its finalists."""
    return f"{phase} finals"


def baseline_of(phase: str) -> str:
    """The name under which a phase keeps the baseline."""
    return phase + _BASELINE


def current_name(name: str) -> str:
    """Today's name of a phase that a record of any readable schema holds."""
    return name.removesuffix(_OLD_BASELINE) + _BASELINE if name.endswith(_OLD_BASELINE) else name


def stored_names(name: str) -> tuple[str, str]:
    """The names under which records may hold a phase: today's, and that of schema 4, which is often the same."""
    return name, name.removesuffix(_BASELINE) + _OLD_BASELINE if name.endswith(_BASELINE) else name
