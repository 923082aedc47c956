"""The sections of a report on the found loss: what it looks like, and how to use it."""

from collections.abc import Iterator

from glojax import losses
from glojax.expressions import canonical
from glojax.losses.loss import Loss
from glojax.records.summary import RunSummary
from glojax.reporting import figures, style
from glojax.reporting.blocks import Block, Picture, Source, Text
from glojax.reporting.numbers import rate_in_words
from glojax.tasks.problems import KINDS

_CURVE_CAPTIONS = {
    "softmax": "Two classes, as in arXiv 1905.11528: the loss of an example by the prediction for its class.",
    "sigmoid": "The loss of one output whose label is 1, by its prediction.",
    "identity": "The loss of one output whose target is 0, by its prediction.",
}


def curves_of(run: RunSummary) -> dict[str, Loss]:
    """The found loss and the baseline, by name; empty where it is not known how predictions are made."""
    if run.found is None or not run.task.has_known_output:
        return {}
    kind = next(kind for kind in KINDS.values() if kind.output == run.task.output)
    return {"this loss": run.found.loss, kind.baseline_name: kind.baseline}


def loss_blocks(run: RunSummary) -> Iterator[Block]:
    """The curve and the slope of the found loss beside the baseline's, and what its formula means."""
    if run.found is None:
        yield Text("Not shown: nothing has been trained yet.")
        return
    curves = curves_of(run)
    if curves:
        yield Picture(
            "curve",
            style.panel(figures.loss_curves, curves),
            f"{_CURVE_CAPTIONS[run.task.output]} Curves are scaled to the same range in the middle, because a factor "
            "only changes the learning rate.",
            "The loss by its prediction",
        )
        yield Picture(
            "slope",
            style.panel(figures.loss_slopes, curves),
            "The slopes of these curves, which training follows.",
            "The slope of the loss by its prediction",
        )
    else:
        yield Text("No curves: this task makes predictions by a function of its own, which no record holds.")
    yield Text(
        "The loss of an example is minus the sum of f(x, y) over the outputs, where x is an entry of the label and y "
        f"the same entry of the prediction ({run.task.output}). Losses are recognized by their canonical form; that "
        f"of f, without its coefficients, is {canonical.canonical(run.found.loss.tree)}."
    )


def use_blocks(run: RunSummary) -> Iterator[Block]:
    """The line that makes the found loss, and its source for jax and for torch."""
    if run.found is None:
        yield Text("Not shown: there is no loss yet.")
        return
    loss = run.found.loss
    try:
        is_saved = losses.load(run.directory / "loss.json") == loss
    except (ValueError, OSError):
        is_saved = False
    if is_saved:
        made = 'glojax.load("loss.json")  # in the run directory'
    else:
        given = f", {loss.coefficients}" * loss.tuned + ", protected=True" * loss.protected
        output = f", output={run.task.output!r}" if run.task.output != "softmax" else ""
        made = f"glojax.Loss({str(loss.tree)!r}{given}{output})"
    yield Text(
        "Use it wherever a loss from optax is used, with its own learning rate: it was found at "
        f"{rate_in_words(run.found.rate)}."
    )
    lines = ["import glojax", "", f"loss = {made}", "values = loss(logits, labels)  # [batch], labels as in optax"]
    yield Source("\n".join(lines))
    if run.task.has_known_output:
        yield Source(loss.to_python(), "Source that needs only jax")
        yield Source(loss.to_torch(), "Source that needs only torch")
