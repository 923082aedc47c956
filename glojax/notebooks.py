"""How losses, discoveries and runs look in a notebook, and a display of a search that goes on.

Where IPython runs, ``import glojax`` registers the displays: the last value of a cell is shown as its formula, curve
and table. Nothing here needs IPython to be installed, and nothing else needs this module.
"""

import html
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from glojax.discovery.results import Event, OnEvent
    from glojax.losses.loss import Loss
    from glojax.reporting.opened_run import OpenedRun
    from glojax.workflow import Discovery


def register() -> None:
    """Let the running IPython show glojax's objects; without one, nothing happens."""
    shell = _shell()
    if shell is None:
        return
    displays: dict[tuple[str, str], Callable[[Any], str]] = {
        ("glojax.losses.loss", "Loss"): loss_html,
        ("glojax.workflow", "Discovery"): discovery_html,
        ("glojax.reporting.opened_run", "OpenedRun"): run_html,
    }
    for (module, name), display in displays.items():
        shell.display_formatter.formatters["text/html"].for_type_by_name(module, name, display)
    shell.display_formatter.formatters["text/latex"].for_type_by_name("glojax.losses.loss", "Loss", loss_latex)


def loss_latex(loss: "Loss") -> str:
    """The formula of a loss, as LaTeX between dollars."""
    return f"$\\displaystyle f(x, y) = {loss.latex()}$"


def loss_html(loss: "Loss") -> str:
    """The formula of a loss and, where its output is a known one, its curve beside the baseline's."""
    from glojax.reporting import figures

    shown = f"<p>{html.escape(loss_latex(loss))}</p><p><code>{html.escape(str(loss))}</code></p>"
    return shown if callable(loss.output) else shown + _svg(figures.loss_figure(loss))


def discovery_html(found: "Discovery") -> str:
    """The found loss, the comparison over fresh seeds, and the figure of the whole discovery."""
    rate = f"<p>at ×{found.rate:.3g} of the task's learning rate</p>"
    return loss_html(found.loss) + rate + _table(found.table()) + _svg(found.plot())


def run_html(run: "OpenedRun") -> str:
    """The loss of a run, what its comparison says, and the figure of the whole run."""
    loss = "<p>Nothing has been trained yet.</p>" if run.loss is None else loss_html(run.loss)
    said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in run.conclusions)
    return loss + said + _table(run.table()) + _svg(run.plot())


def live() -> "OnEvent":
    """A display that follows a search, in a notebook's cell or, elsewhere, as lines of text.

    Returns:
      A callback for ``on_event`` of ``glojax.discover``, ``search``, ``exhaust``, ``search_taylor`` and ``tune``.

    Example:
        found = glojax.discover(task, on_event=glojax.notebooks.live())
    """
    shell, shown = _shell(), {}
    handle: Any = None

    def show(event: "Event") -> None:
        nonlocal handle
        shown[event.phase] = _line(event)
        if shell is None:
            print(f"{event.phase}: {shown[event.phase]}", flush=True)
            return
        from IPython.display import HTML, display

        rows = (f"<tr><th>{html.escape(phase)}</th><td>{html.escape(line)}</td></tr>" for phase, line in shown.items())
        table = HTML(f"<table>{''.join(rows)}</table>")
        if handle is None:
            handle = display(table, display_id=True)
        else:
            handle.update(table)

    return show


def _line(event: "Event") -> str:
    planned = "" if event.planned is None else f"/{event.planned}"
    return f"round {event.number + 1}{planned}, best {float(event.fitness.max()):.4f}, {event.best}"


def _shell() -> Any:
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def _table(frame: "pd.DataFrame") -> str:
    return "" if frame.empty else frame.to_html(index=False, float_format=lambda value: f"{value:.4g}", border=0)


def _svg(figure: "Figure") -> str:
    """A figure as the text of an SVG."""
    from glojax.reporting import style

    file = io.StringIO()
    with style.style():
        figure.savefig(file, format="svg")
    return file.getvalue().partition("?>")[2]
