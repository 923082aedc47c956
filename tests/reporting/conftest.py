"""What the tests of reports share: a run of which nothing was trained, and a reader of pages."""

import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from glojax.reporting import style


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


@pytest.fixture(scope="session")
def parsed_page() -> type[Page]:
    """``parsed_page(path)`` reads a page."""
    return Page


@pytest.fixture(scope="module")
def made(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run whose scores are drawn at random; not to be changed."""
    return make_run(tmp_path_factory.mktemp("runs") / "made")


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images take the most time."""
    monkeypatch.setattr(style, "save", lambda figure, path: None)
