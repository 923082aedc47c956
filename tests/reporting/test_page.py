"""The report: what it says is what the record holds."""

import contextlib
import dataclasses
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest

from glojax import losses, models, search, statistics, tune
from glojax.discovery import comparison, evolution
from glojax.discovery.exhaustive import ExhaustiveConfig
from glojax.discovery.fitness import Known, record_of
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.tuning import TuneConfig
from glojax.expressions import export
from glojax.expressions.canonical import canonical
from glojax.expressions.trees import parse
from glojax.losses.spaces import taylor_space
from glojax.records import comparisons, summary
from glojax.records.candidates import Record
from glojax.records.run import Run
from glojax.records.store import Store
from glojax.reporting import conclusions, page, sections, style
from glojax.reporting.blocks import Picture, Table, Text
from glojax.tasks.task import Task

TITLES = [
    "Summary", "Comparison over fresh seeds", "The loss", "Search", "Where it comes from", "Finals", "Tuning",
    "How to use it", "Task and settings", "Time and speed",
]  # fmt: skip
SEARCH = SearchConfig(population=12, generations=3, elites=2, finalists=4, final_seeds=2)
TUNING = TuneConfig(generations=2, finalists=3, final_seeds=2)


class Page(HTMLParser):
    """What a page holds; its tags must be closed in their order."""

    VOID = ("meta", "br", "path", "use", "rect", "img", "link")

    def __init__(self, path: Path):
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.titles: list[str] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(path.read_text())
        self.close()
        assert not self.stack

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.stack.append(tag)
        if tag == "h2":
            self.titles.append("")
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.stack and data.strip():
            self.texts.append(data.strip())
        if "h2" in self.stack:
            self.titles[-1] += data
        if "td" in self.stack or "th" in self.stack:
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def do_all(task: Task, directory: Path, stop: Callable[..., None] | None = None, *, resume: bool = False) -> None:
    """A search as the command does it, with as little of all as makes a whole report."""
    found = search(task, SEARCH, directory, resume=resume, on_generation=stop)
    config = dataclasses.replace(TUNING, rate=found.rate)
    tuned = tune(task, found.best, config, directory, resume=resume, on_generation=stop)
    drawn = evolution.random_search(task, SEARCH, found.steps // 2, directory, resume=resume)
    tuned.loss.save(directory / "loss.json")
    named = {"found": task.loss(found.best), "found, tuned": tuned.loss, "random search": task.loss(drawn.best)}
    rates = {"found": found.rate, "found, tuned": tuned.rate, "random search": drawn.rate}
    comparison.compare(task, named, 3, rates=rates, run_dir=directory, resume=resume)


@pytest.fixture(scope="module")
def finished(tiny_task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run and its report; not to be changed."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    do_all(tiny_task, directory)
    page.write(directory)
    return directory


@pytest.fixture(scope="module")
def made(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of which nothing was trained."""
    return make_run(tmp_path_factory.mktemp("runs") / "made")


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images take the most time."""
    monkeypatch.setattr(style, "save", lambda figure, path: None)


def without_time(path: Path) -> str:
    """The page before its last section."""
    text, found, _ = path.read_text().partition('<section aria-labelledby="time">')
    assert found
    return text


def test_the_page_has_all_sections_and_every_figure_as_an_image(finished: Path) -> None:
    shown = Page(finished / "report.html")
    assert shown.titles == TITLES
    assert [tag for tag, _ in shown.tags].count("h1") == 1
    names = {"formula", "scores", "learning", "curve", "slope", "fitness", "funnel", "random", "genealogy", "tuning"}
    figures = {attributes["id"] for tag, attributes in shown.tags if tag == "figure"}
    assert figures == {f"figure-{name}" for name in names - {"formula"}}
    assert {path.stem for path in (finished / "report").iterdir()} == names | {"overview"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (finished / "report").iterdir())
    svgs = [attributes for tag, attributes in shown.tags if tag == "svg"]
    assert len(svgs) == len(names)
    assert all(attributes["aria-label"] and attributes["role"] == "img" for attributes in svgs)
    assert "Left out" not in shown.text


def test_the_page_needs_nothing_else(finished: Path) -> None:
    text = (finished / "report.html").read_text()
    shown = Page(finished / "report.html")
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in shown.tags}
    assert "http" not in text
    assert "@import" not in text
    names = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in shown.tags:
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "xlink:href"):
            assert attributes.get(name, "#")[:1] == "#"  # type: ignore[index]
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    labels = {attributes["aria-labelledby"] for _, attributes in shown.tags if "aria-labelledby" in attributes}
    assert labels <= set(names)


def test_the_comparison_shows_the_numbers_of_the_record(finished: Path) -> None:
    run = summary.read(finished)
    rows = {row.name: row for row in comparisons.comparisons(run.compared)}
    base = rows.get("cross-entropy, best rate", rows["cross-entropy"])
    ours = rows.get("found, tuned, best rate", rows["found, tuned"])
    p, g = statistics.welch(base.test, ours.test), statistics.effect_size(base.test, ours.test)
    interval, gap = statistics.summarize(ours.test), statistics.difference(base.test, ours.test)
    shown = Page(finished / "report.html")
    row = next(row for row in shown.rows if row and row[0] == "found, tuned (this loss)")
    assert row[3] == f"{ours.test.mean():.4f} ± {ours.test.std(ddof=1):.4f}"
    assert row[4] == f"{interval.low:.4f} to {interval.high:.4f}"
    assert row[5].replace("−", "-") == f"{gap.mean:+.4f}"
    assert row[6].replace("−", "-") == f"{gap.low:+.4f} to {gap.high:+.4f}"
    assert row[7] == ("< 0.0001" if p < 1e-4 else f"{p:.2g}")
    assert row[8].replace("−", "-") == f"{g:+.2f}"
    least = statistics.detectable(base.test.std(ddof=1), 3)
    assert f"mean test accuracy is {ours.test.mean():.4f}, and that of cross-entropy" in shown.text
    assert f"seeds tell a difference of {least:.4f} from chance" in shown.text
    assert shown.text.count(f"Random search of the same budget ends at {rows_of(run, 'random search').mean():.4f}") == 1


def rows_of(run: summary.Overview, name: str) -> np.ndarray:
    (entry,) = (entry for entry in run.entries if entry.name == name)
    return entry.best.test


def test_the_loss_that_the_record_tells_is_the_one_that_was_saved(finished: Path) -> None:
    run = summary.read(finished)
    assert run.found is not None
    assert run.found.loss == losses.load(finished / "loss.json")
    assert (run.entry and run.entry.name) == "found, tuned"
    shown = Page(finished / "report.html")
    assert str(run.found.loss) in shown.text
    assert 'glojax.load("loss.json")' in shown.text
    assert " ".join(run.found.loss.to_python().split()) in shown.text


def test_what_the_search_saw_is_told(finished: Path) -> None:
    run, shown = summary.read(finished), Page(finished / "report.html")
    phase = run.phases["search"]
    (funnel,) = (attributes["aria-label"] for tag, attributes in shown.tags
                 if tag == "svg" and "Trees by stage" in attributes["aria-label"])  # type: ignore[operator]  # fmt: skip
    assert funnel == "Trees by stage: " + ", ".join(f"{count} {name}" for name, count in phase.funnel.items())
    for record in phase.finals:
        (row,) = (row for row in shown.rows if row[:1] == [record.expression] and len(row) == 6 and row[1][0] == "×")
        assert row[2].split()[0] == f"{np.mean(record.scores):.4f}"
        assert int(row[5]) == len(record.scores)
    assert f"in {run.steps:,} candidate-steps" in shown.text
    with_rejected = Store(finished, read_only=True)
    assert with_rejected.rejected("search")
    with_rejected.close()


def test_the_same_record_is_the_same_page(finished: Path, tmp_path: Path) -> None:
    again = page.write(finished, tmp_path / "again.html")
    assert again.read_bytes() == (finished / "report.html").read_bytes()
    assert (tmp_path / "again" / "curve.png").read_bytes() == (finished / "report" / "curve.png").read_bytes()


def test_a_run_that_was_stopped_and_resumed_has_the_same_page_but_for_its_times(
    finished: Path, tiny_task: Task, tmp_path: Path, no_images: None
) -> None:
    class Stopped(Exception):
        pass

    calls: list[Any] = []

    def stop(*_: Any) -> None:
        calls.append(1)
        if len(calls) in (2, 7):  # in the search, and, after all three generations of it, in the tuning
            raise Stopped

    for resume in (False, True):
        with pytest.raises(Stopped):
            do_all(tiny_task, tmp_path, stop, resume=resume)
    do_all(tiny_task, tmp_path, resume=True)
    assert without_time(page.write(tmp_path)) == without_time(finished / "report.html")
    run = summary.read(tmp_path)
    assert [(sitting.phase, sitting.how) for sitting in run.sittings[:4]] == [
        ("search", "stopped"), ("search", "ended"), ("tune", "stopped"), ("search", "ended"),
    ]  # fmt: skip
    assert (tmp_path / "report.html").read_text() != (finished / "report.html").read_text()


# RUNS THAT LACK SOMETHING


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


WHOLE_SEARCH = {"search baseline", "search", "search finals"}


@pytest.mark.parametrize(
    ("phases", "without", "says"),
    [
        (WHOLE_SEARCH, {"Comparison over fresh seeds", "Tuning"}, "It was not compared with anything"),
        ({"search"}, {"Comparison over fresh seeds", "Finals", "Tuning"}, "It was not compared with anything"),
        (
            {"tune", "tune finals"}, {"Comparison over fresh seeds", "Search", "Where it comes from"},
            "CMA-ES tunes 3 of 8 coefficients",
        ),
        ({"search baseline"}, set(TITLES[1:8]), "Nothing was trained yet"),
        (WHOLE_SEARCH | {"comparison"}, {"Tuning"}, "Over 5 fresh seeds its mean test accuracy"),
    ],
)  # fmt: skip
def test_what_is_missing_is_left_out_with_a_reason(
    copy: Path, no_images: None, phases: set[str], without: set[str], says: str
) -> None:
    killed_after(copy, phases)
    run = summary.read(copy)
    shown = {part.title: part.blocks for part in sections.sections_of(run)}
    assert list(shown) == TITLES
    for title, blocks in shown.items():
        texts = [block.text for block in blocks if isinstance(block, Text)]
        assert (title in without) == (len(blocks) == 1 and "Left out: " in texts[0][:10] if texts else False), title
    text = Page(page.write(copy)).text
    assert says in text
    if run.found is not None:
        assert f"loss = glojax.Loss('{run.found.loss.tree}'" in text


def test_a_search_that_was_killed_shows_how_far_it_came(copy: Path, no_images: None) -> None:
    lines = (copy / "events.jsonl").read_text().splitlines(keepends=True)
    (copy / "events.jsonl").write_text("".join(lines[:3]))  # begun, baseline, first generation
    (copy / "record.sqlite").unlink()
    Store(copy).close()
    run = summary.read(copy)
    assert (run.state, run.found and str(run.found.loss.tree)) == ("stopped", "x * log(y)")
    text = Page(page.write(copy)).text
    assert "The best loss so far" in text
    assert "It has not ended: 1 of 3 generations are on record." in text
    assert "The search has not ended: this is its fittest so far" in text


def test_a_comparison_of_another_loss_is_not_taken_for_its_own(
    make_run: Callable[..., Path], tmp_path: Path, no_images: None
) -> None:
    run = summary.read(make_run(tmp_path, losses={"cross-entropy": losses.cross_entropy, "found": losses.baikal}))
    assert run.entry is None
    assert conclusions.sentences(run)[0] == "The comparison on record is of an earlier result, not of this loss."
    assert "(this loss)" not in page.write(tmp_path).read_text()


def test_an_exhaustive_search_is_a_ranking(tiny_task: Task, tmp_path: Path, no_images: None) -> None:
    known = [Known(parse(text), 3.0, scores, True) for text, scores in (
        ("x * log(y)", (0.7, 0.8)), ("log(y) * (x - y)", (0.9, 0.8)), ("x - y", (0.5, 0.4)))]  # fmt: skip
    with Run(tmp_path, "exhaustive", tiny_task, ExhaustiveConfig(), False) as run:
        run.save_generation(0, [record_of(one, "trained", 0, 60, 0.1) for one in known])
        run.save_result("funnel", {"drawn": 25844, "trained": 3})
        run.save_finals([record_of(one, "trained", 0, 60, 0.1) for one in known[:2]])
    shown = {part.name: part.blocks for part in sections.sections_of(summary.read(tmp_path))}
    ranking, funnel, *_, text = shown["search"]
    assert isinstance(ranking, Picture)
    assert ranking.description.endswith("log(y) * (x - y), x * log(y) (cross_entropy), x - y")
    assert isinstance(funnel, Picture)
    assert isinstance(text, Text)
    assert text.text == "Of 25,844 trees of depth at most 2, 25,844 were drawn."
    assert len(Page(page.write(tmp_path)).titles) == len(TITLES)


def test_a_taylor_polynomial_has_its_coefficients(tiny_task: Task, tmp_path: Path, no_images: None) -> None:
    space, vector = taylor_space(), (1.0, 0.5, 0.25, -1.0, 2.0, 3.0, -2.0, 0.125)
    tree = str(space.tree)
    record = Record(tree, str(canonical(space.tree)), vector, 0.6, (0.6, 0.6), 1.0, "trained", (), 0, 60, 0.1)
    with Run(tmp_path, "taylor", tiny_task, TuneConfig(generations=2), False) as run:
        run.save_generation(0, [record])
    found = summary.read(tmp_path).found
    assert found is not None
    assert found.loss == losses.taylor((1.0, 0.5), vector[2:])
    assert "the search is CMA-ES itself" in Page(page.write(tmp_path)).text


def test_an_error_is_better_where_it_is_less_and_infinite_where_a_training_failed(
    make_run: Callable[..., Path], tmp_path: Path, no_images: None
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 3)).astype(np.float32)
    split = (x, x.sum(axis=1))
    task = Task(
        models.MLP((4, 1)), split, split, split, optimizer=optax.sgd(0.1), batch_size=10, steps=30, kind="regression",
        metric="rmse", name="sums",
    )  # fmt: skip
    directory = make_run(tmp_path / "run", task)
    run = summary.read(directory)
    assert run.about.is_error
    base, other = run.entries[0].best, run.entries[2].best
    found = conclusions.against(run, base, other)
    assert found is not None
    errors = [1 / row.test - 1 for row in (base, other)]
    assert found.difference.mean == pytest.approx(errors[1].mean() - errors[0].mean())
    assert found.gain == pytest.approx(-found.difference.mean)
    assert "test rmse" in Page(page.write(directory)).text

    for row in run.compared["rows"]:
        if row["name"] == "found, tuned, best rate":
            row["scores"] = [[[0.0, 0.0]] * 3] * 5
    with Run(directory, "comparison", task, {}, resume=True) as record:
        record.save_result("scores", run.compared)
    text = Page(page.write(directory)).text
    assert "a training failed, whose rmse is infinite" in text
    assert "5 of 5" in text


def test_a_task_whose_predictions_are_a_function_of_its_own_has_no_curves_and_no_source(
    copy: Path, no_images: None
) -> None:
    settings = json.loads((copy / "settings.json").read_text())
    settings["about"]["output"] = "function"
    (copy / "settings.json").write_text(json.dumps(settings))
    text = Page(page.write(copy)).text
    assert "No curves: predictions are made by a function of the task's own" in text
    assert "only jax" not in text


# WHAT COMES FROM FILES


def test_nothing_from_files_is_markup(copy: Path, no_images: None) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=y> $\\frac{1$ & \"'"
    settings = json.loads((copy / "settings.json").read_text())
    settings["task"] = hostile
    settings["about"]["metric"] = settings["about"]["score"] = settings["about"]["baseline"] = hostile
    settings["phases"]["search"]["selection"] = hostile
    settings["phases"]["search"][hostile] = {hostile: [hostile]}
    (copy / "settings.json").write_text(json.dumps(settings))
    shown = Page(page.write(copy))
    assert hostile in shown.text
    assert not {"script", "img"} & {tag for tag, _ in shown.tags}
    assert not any("onerror" in attributes for _, attributes in shown.tags)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("update candidates set expression = 'x +'", "record.sqlite or settings.json beside it is damaged"),
        ("update candidates set fitness = 'high'", "has a field of the wrong type"),
        ("update candidates set scores = '{'", "is damaged"),
        ("""update results set content = '{"asked": 1}'""", "is damaged"),
        ("drop table results", "no such table: results"),
        ("update candidates set coefficients = '[1.5]' where phase like 'tune%'", "has 1 coefficients, 3 are tuned"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_named(copy: Path, no_images: None, change: str, message: str) -> None:
    with contextlib.closing(sqlite3.connect(copy / "record.sqlite")) as database, database:
        database.execute(change)
    with pytest.raises((ValueError, OSError), match=message) as raised:
        page.write(copy)
    assert str(copy) in str(raised.value)


def test_parents_that_cannot_be_leave_out_the_genealogy(copy: Path, no_images: None) -> None:
    with contextlib.closing(sqlite3.connect(copy / "record.sqlite")) as database, database:
        database.execute("update candidates set parents = '[77]' where generation > 0")
    text = Page(page.write(copy)).text
    assert "Left out: the record is damaged: (x - 1) * log(y + x) has parents (77,) of 3 candidates." in text


def test_no_run_and_no_page_are_one_line(tmp_path: Path, made: Path) -> None:
    with pytest.raises(ValueError, match="is not a run directory"):
        page.write(tmp_path)
    with pytest.raises(ValueError, match="give it an ending such as"):
        page.write(made, tmp_path / "page")


# VERDICTS


def sentences(run: summary.Overview, test: dict[str, np.ndarray]) -> list[str]:
    """What is said where each loss has these test scores at its best rate."""
    rows = []
    for row in run.compared["rows"]:
        scores = np.array(row["scores"])
        name = row["name"].removesuffix(", best rate")
        scores[:, -1, 1] = test[name]
        rows.append({**row, "scores": scores.tolist()})
    return conclusions.sentences(dataclasses.replace(run, compared={**run.compared, "rows": rows}))


def test_sentences_tell_chance_from_more(made: Path) -> None:
    run, noise = summary.read(made), np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
    base = {"cross-entropy": 0.8 + noise, "found": 0.8 + noise}
    for ours, drawn, first, last in (
        (0.9, 0.8, "The loss is better than cross-entropy, by more than", "the loss is ahead of it by more than"),
        (0.805, 0.8, "As far as this comparison can tell, the loss is as good as", "is ahead of it may be chance"),
        (0.7, 0.8, "Cross-entropy is better than the loss, by more than", "breeding gained nothing over drawing"),
    ):
        said = sentences(run, {**base, "found, tuned": ours + noise, "random search": drawn + noise})
        assert said[0].startswith(first)
        assert last in said[2]


def test_tables_have_as_many_cells_as_heads(made: Path) -> None:
    tables = [block for part in sections.sections_of(summary.read(made)) for block in part.blocks
              if isinstance(block, Table)]  # fmt: skip
    assert len(tables) > 8
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.head)}
        assert table.caption


def test_source_of_the_page_is_the_export(made: Path) -> None:
    found = summary.read(made).found
    assert found is not None
    source = export.to_python(found.loss.tree, found.loss.coefficients)
    names: dict[str, Any] = {}
    exec(source, names)
    logits, labels = np.array([[1.0, 2.0, 3.0]]), np.array([[0.0, 0.0, 1.0]])
    np.testing.assert_allclose(names["loss"](logits, labels), found.loss(logits, labels), rtol=1e-6)


def test_a_search_of_thousands_of_generations_is_no_endless_page(made: Path) -> None:
    def record(number: int) -> Record:
        expression = f"log(y + {number}) * x"  # canonical as it is, and the child of the one before
        parents = (0,) if number else ()
        return Record(expression, expression, (), number / 1500, (0.5,), 1.0, "trained", parents, 0, 30, 0.1)

    run = summary.read(made)
    phase = dataclasses.replace(run.phases["search"], generations=[[record(n)] for n in range(1, 1500)], finals=[])
    phase.generations.insert(0, [record(0)._replace(parents=())])
    run = dataclasses.replace(run, phases={"search": phase})
    blocks = {part.name: part.blocks for part in sections.sections_of(run)}
    picture, line = blocks["genealogy"]
    assert isinstance(picture, Picture)
    assert "1,499 ancestors (of which the latest 1,000 are drawn)" in picture.caption
    assert isinstance(line, Table)
    assert [line.rows[0][1], len(line.rows)] == ["log(y + 1499) * x", 300]
    assert "(the first 300 of 1,500; the record has all)" in line.caption
    size = sum(len(block.svg) for part in blocks.values() for block in part if isinstance(block, Picture))
    assert size < 1_500_000
