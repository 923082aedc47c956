"""The sections of a report: what each shows, and what it says where it has nothing to show."""

import json
from pathlib import Path
from typing import Any

import pytest

from glojax.records import summary
from glojax.records.store import Store
from glojax.reporting import page, sections
from glojax.reporting.blocks import Table, Text

TITLES = [
    "Summary", "Comparison over fresh seeds", "The loss", "Search", "Hall of fame", "Where it comes from", "Finals",
    "Tuning", "How to use it", "Task and settings", "Time and speed",
]  # fmt: skip
WHOLE_SEARCH = {"search baseline", "search", "search finals"}


def killed_after(directory: Path, phases: set[str]) -> None:
    """Take from a run all but these phases, as if it had been killed after them."""
    lines = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    kept = [line for line in lines if line["phase"] in phases]
    (directory / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    (directory / "record.sqlite").unlink()
    Store(directory).close()  # makes the record again from the log
    settings = json.loads((directory / "settings.json").read_text())
    settings["phases"] = {name: config for name, config in settings["phases"].items() if name in phases}
    (directory / "settings.json").write_text(json.dumps(settings))
    (directory / "loss.json").unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phases", "without", "says"),
    [
        (WHOLE_SEARCH, {"Comparison over fresh seeds", "Tuning"}, "has not been compared with anything"),
        ({"search"}, {"Comparison over fresh seeds", "Finals", "Tuning"}, "has not been compared with anything"),
        (
            {"tune", "tune finals"}, {"Comparison over fresh seeds", "Search", "Hall of fame", "Where it comes from"},
            "CMA-ES tunes 3 of 8 coefficients",
        ),
        ({"search baseline"}, set(TITLES[1:9]), "Nothing has been trained yet"),
        (WHOLE_SEARCH | {"comparison"}, {"Tuning"}, "Over 5 fresh seeds its mean test accuracy"),
    ],
)  # fmt: skip
def test_what_is_missing_is_left_out_with_a_reason(
    copy: Path, no_images: None, phases: set[str], without: set[str], says: str, parsed_page: Any
) -> None:
    killed_after(copy, phases)
    run = summary.read(copy)
    shown = {part.title: part.blocks for part in sections.sections_of(run)}
    assert list(shown) == TITLES
    for title, blocks in shown.items():
        texts = [block.text for block in blocks if isinstance(block, Text)]
        assert (title in without) == (len(blocks) == 1 and "Not shown: " in texts[0][:11] if texts else False), title
    text = parsed_page(page.write_report(copy)).text
    assert says in text
    if run.found is not None:
        assert f"loss = glojax.Loss('{run.found.loss.tree}'" in text


def test_a_search_that_was_killed_shows_how_far_it_came(copy: Path, no_images: None, parsed_page: Any) -> None:
    lines = (copy / "events.jsonl").read_text().splitlines(keepends=True)
    (copy / "events.jsonl").write_text("".join(lines[:3]))  # begun, baseline, first generation
    (copy / "record.sqlite").unlink()
    Store(copy).close()
    run = summary.read(copy)
    assert (run.state, run.found and str(run.found.loss.tree)) == ("stopped", "x * log(y)")
    text = parsed_page(page.write_report(copy)).text
    assert "The best loss so far" in text
    assert "Not finished yet: 1 of 3 generations are recorded." in text
    assert "The search has not finished: this is its fittest loss so far" in text


def test_tables_have_as_many_cells_as_heads(made: Path) -> None:
    tables = [block for part in sections.sections_of(summary.read(made)) for block in part.blocks
              if isinstance(block, Table)]  # fmt: skip
    assert len(tables) > 8
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.head)}
        assert table.caption
