"""The report as a browser shows it: the system's Chromium, wide and narrow, light and dark."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from glojax.reporting.page import write_report

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

# Contrast as WCAG 2.2 has it, of every text against what is behind it.
CONTRASTS = """() => {
  const channel = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) =>
    0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const color = parse(getComputedStyle(element).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return null;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const has = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!has || !box.width || !box.height) continue;
    const style = getComputedStyle(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const [dark, light] = [luminance(ink), luminance(behind(element))].sort((a, b) => a - b);
    found.push([(light + 0.05) / (dark + 0.05), element.tagName + ": " + element.textContent.slice(0, 40)]);
  }
  return found;
}"""

# What is to be seen of each kind: [kind, text or name, width, height, font size].
BOXES = """() => [...document.querySelectorAll("h1, h2, svg, dd strong, table")].map(element => {
  const box = element.getBoundingClientRect();
  return [element.tagName.toLowerCase(), element.textContent.trim().slice(0, 40), box.width, box.height];
})"""

# Those that are wider than the page without a box of their own that scrolls.
OVERFLOWING = """() => [...document.querySelectorAll("body *")].filter(element =>
  element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
  && !element.closest(".scroll, pre")).map(element => element.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def report(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.few(1)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_is_readable(report: Path, browser: Any, width: int, scheme: str) -> None:
    shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []
    requests: list[str] = []
    shown.on("console", lambda message: problems.append(message.text))
    shown.on("pageerror", lambda error: problems.append(str(error)))
    shown.on("requestfailed", lambda request: problems.append(request.url))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(report.as_uri())
    assert problems == []
    assert requests == [report.as_uri()]

    size = shown.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert size == [width, width]
    assert shown.evaluate(OVERFLOWING) == []

    boxes = shown.evaluate(BOXES)
    kinds = [kind for kind, *_ in boxes]
    assert (kinds.count("h1"), kinds.count("h2"), kinds.count("svg")) == (1, 11, 11)
    visible = [kind for kind, _, wide, high in boxes if wide > 0 and high > 0]
    folded = kinds.count("table") - visible.count("table")
    assert len(visible) == len(kinds) - folded
    figures = [(wide, high) for kind, _, wide, high in boxes if kind == "svg"][1:]
    assert all(wide > 0.8 * min(width - 32, 480) and high > 100 for wide, high in figures)

    contrasts = shown.evaluate(CONTRASTS)
    assert len(contrasts) > 300
    assert min(contrasts)[0] >= 4.5, min(contrasts)
    background = shown.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    smallest = shown.evaluate(
        "() => Math.min(...[...document.querySelectorAll('svg text')].map(text => text.getBoundingClientRect().height))"
    )
    assert smallest >= 9
    shown.close()


def test_what_is_folded_away_opens(report: Path, browser: Any) -> None:
    shown = browser.new_page(viewport={"width": 400, "height": 900})
    shown.goto(report.as_uri())
    source = shown.locator("details", has_text="Source that needs only jax").locator("pre")
    assert not source.is_visible()
    shown.get_by_text("Source that needs only jax").click()
    assert source.is_visible()
    assert "def loss(logits, labels" in source.inner_text()
    assert shown.evaluate("() => document.documentElement.scrollWidth") == 400
    shown.close()
