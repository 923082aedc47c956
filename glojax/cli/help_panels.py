"""The help of a command in panels: what is searched, how long, how fairly, where, and what is kept.

Options that say so themselves, such as those of a table, are in a panel of their own.
"""

import functools
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

COMMAND_PANELS = DISCOVER, COMPARE, LOOK = "Discover", "Compare", "Look at results"
"""Titles of panels of commands, in their order."""

PANELS: dict[str, tuple[str, ...]] = {
    "What is searched": (
        *(
            "preset",
            "space",
            "exhaustive",
            "depth",
            "operators",
            "leaves",
            "start_from",
            "proposals",
            "proposal_seconds",
        ),
        *("screening", "parsimony", "aggregate", "coefficient_samples"),
    ),
    "How long": (
        *("method", "generations", "horizon", "population", "sigma", "candidate_seeds", "halving", "budget"),
        *("tune_generations", "seeds", "full_steps", "steps", "points", "rounds"),
    ),
    "How networks are trained and judged": (
        *("metric", "class_weight", "precision", "rank_by", "averaging", "rate", "fair_rates", "schedule", "warmup"),
        *("weight_decay", "baseline", "random_search", "seed", "data_dir"),
    ),
    "What is kept": ("run_dir", "resume", "tensorboard", "track", "output", "figure", "json_file"),
    "Where it runs": (
        *("devices", "group", "executor", "ray_address", "workers", "distributed", "coordinator", "processes"),
        *("process", "heartbeat", "compile_for"),
    ),
}
"""Titles of panels, in their order, and the parameters in each."""

_PANEL_OF = {name: title for title, names in PANELS.items() for name in names}


class _InPanels(TyperCommand):
    """A command whose options are sorted into panels."""

    def __init__(self, *arguments: Any, params: list[Any], **options: Any):
        for parameter in params:
            if isinstance(parameter, TyperOption) and parameter.rich_help_panel is None:
                parameter.rich_help_panel = _PANEL_OF.get(parameter.name or "")
        order = list(PANELS)
        places = {title: place for place, title in enumerate(order)}
        params = sorted(params, key=lambda parameter: places.get(_panel(parameter), len(order)))
        super().__init__(*arguments, params=params, **options)


def _panel(parameter: Any) -> str:
    return getattr(parameter, "rich_help_panel", None) or ""


def in_panels(app: typer.Typer) -> Any:
    """``app.command``, for commands whose help is in panels."""
    return functools.partial(app.command, cls=_InPanels)


def sort_commands(app: typer.Typer) -> None:
    """Put commands in the order of their panels; in a panel they keep theirs."""
    app.registered_commands.sort(key=lambda one: COMMAND_PANELS.index(str(one.rich_help_panel)))
