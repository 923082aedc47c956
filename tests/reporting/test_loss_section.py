"""The sections on the found loss: what it looks like, and how to use it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from glojax import losses
from glojax.expressions.source import to_python
from glojax.records import summary
from glojax.reporting import page
from glojax.reporting.blocks import Picture, Source
from glojax.reporting.loss_section import curves_of, loss_blocks, use_blocks


def test_the_curves_are_of_the_loss_and_the_baseline(made: Path) -> None:
    run = summary.read(made)
    assert run.found is not None
    assert curves_of(run) == {"this loss": run.found.loss, "cross-entropy": losses.cross_entropy}
    names = [block.name for block in loss_blocks(run) if isinstance(block, Picture)]
    assert names == ["curve", "slope"]


def test_a_saved_loss_is_loaded_and_another_is_written_out(copy: Path) -> None:
    found = summary.read(copy).found
    assert found is not None

    def line() -> str:
        source = next(block for block in use_blocks(summary.read(copy)) if isinstance(block, Source))
        return source.text.splitlines()[2]

    assert line() == 'loss = glojax.load("loss.json")  # in the run directory'
    losses.baikal.save(copy / "loss.json")
    assert line() == f"loss = glojax.Loss({str(found.loss.tree)!r}, {found.loss.coefficients})"
    assert eval(line().removeprefix("loss = glojax."), {"Loss": losses.Loss}) == found.loss


def test_a_task_whose_predictions_are_a_function_of_its_own_has_no_curves_and_no_source(
    copy: Path, no_images: None, parsed_page: Any
) -> None:
    settings = json.loads((copy / "settings.json").read_text())
    settings["about"]["output"] = "function"
    (copy / "settings.json").write_text(json.dumps(settings))
    text = parsed_page(page.write_report(copy)).text
    assert "No curves: this task makes predictions by a function of its own" in text
    assert "only jax" not in text


def test_source_of_the_page_is_the_export(made: Path) -> None:
    found = summary.read(made).found
    assert found is not None
    source = to_python(found.loss.tree, found.loss.coefficients)
    names: dict[str, Any] = {}
    exec(source, names)
    logits, labels = np.array([[1.0, 2.0, 3.0]]), np.array([[0.0, 0.0, 1.0]])
    np.testing.assert_allclose(names["loss"](logits, labels), found.loss(logits, labels), rtol=1e-6)
