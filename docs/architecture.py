"""How glojax is built, read from its imports: packages, floors, arrows, circles, and one picture of them.

Shows: the counts below, and with ``--draw`` the picture of docs/architecture.md.
Command: python docs/architecture.py [--draw docs/architecture.svg] [--root DIR] [--arrows]
Time: about a second.

Nothing is imported or run: the sources are read by ``ast``, so imports inside functions and under ``TYPE_CHECKING``
count like any other. An arrow goes from what imports to what is imported. The floor of a module is the length of the
longest path below it, with each circle taken as one module; the lowest floor is 0.
"""

import argparse
import ast
import io
import textwrap
from pathlib import Path
from typing import Any

Graph = dict[str, set[str]]
"""What each module, or each package, imports. Names are without the leading ``glojax.``."""

BASE = ("defaults", "deprecation", "errors", "files", "platforms", "seeds", "statistics", "version")
"""The modules that any package may import; in the graph of packages they are one, ``base``."""

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "base": (),
    "expressions": ("base",),
    "losses": ("expressions",),
    "distributed": ("base",),
    "data": ("base",),
    "models": ("distributed",),
    "tasks": ("data", "models", "losses"),
    "training": ("tasks",),
    "executors": ("training",),
    "records": ("tasks",),
    "reporting": ("records",),
    "discovery": ("executors", "records"),
    "workflow": ("discovery", "reporting"),
    "benchmark": ("executors",),
    "compiled_step": ("training",),
    "notebooks": ("workflow",),
    "glojax": ("notebooks",),
    "cli": ("glojax", "benchmark", "compiled_step"),
}
"""The direction of imports: a package may import these and whatever these may import.

``glojax`` is the package's own ``__init__``, which lists the public names; ``cli`` includes ``__main__``.
"""

COLUMN = {
    "compiled_step": -2,
    **dict.fromkeys(("benchmark", "executors", "training", "models", "distributed"), -1),
    **dict.fromkeys(("glojax", "notebooks", "workflow", "reporting", "losses", "expressions"), 1),
}
"""Where the picture has each package: left, right, or else in the middle, so that no arrow passes behind a box."""

WIDTH, LINE, GAP = 3.6, 0.18, 0.5  # of a box, of a line of its text, and between floors
INCHES = 0.75  # of a unit


# WHAT IMPORTS WHAT


def modules_of(root: Path) -> dict[str, Path]:
    """The modules of the checkout in ``root`` by name; ``glojax`` is the top ``__init__``."""
    top = root / "glojax"
    found = {}
    for path in sorted(top.rglob("*.py")):
        parts = path.relative_to(top).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__") or "glojax"] = path
    return found


def imported_by(source: str, module: str, known: set[str], *, is_package: bool = False) -> set[str]:
    """The modules among ``known`` that a source imports, wherever in it the import stands."""
    found = set()
    package = ["glojax", *module.split(".")] if module != "glojax" else ["glojax"]
    if not is_package:
        package = package[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {nearest(alias.name, known) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (base, node.module or "") if part)
            found |= {nearest(f"{base}.{alias.name}", known) for alias in node.names}
    return found - {"", module}


def nearest(name: str, known: set[str]) -> str:
    """The module that a dotted name leads to: itself or what holds it; nothing for other libraries."""
    parts = name.split(".")
    if parts[0] != "glojax":
        return ""
    for length in range(len(parts), 1, -1):
        if (module := ".".join(parts[1:length])) in known:
            return module
    return "glojax"


def module_graph(root: Path) -> Graph:
    """What each module of a checkout imports."""
    modules = modules_of(root)
    return {
        name: imported_by(path.read_text(), name, set(modules), is_package=path.name == "__init__.py")
        for name, path in modules.items()
    }


def package_of(module: str) -> str:
    """The package of a module; ``base`` and ``glojax`` as ``MAY_IMPORT`` has them."""
    package = module.split(".")[0]
    return {"__main__": "cli", **dict.fromkeys(BASE, "base")}.get(package, package)


def package_graph(modules: Graph) -> Graph:
    """What each package imports of the others."""
    graph: Graph = {package_of(name): set() for name in modules}
    for name, targets in modules.items():
        graph[package_of(name)] |= {package_of(target) for target in targets} - {package_of(name)}
    return graph


# FLOORS, CIRCLES, DIRECTION


def reached(graph: Graph, start: str) -> set[str]:
    """Everything below ``start``; ``start`` itself where it stands in a circle."""
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += graph[name]
    return found


def circles(graph: Graph) -> list[list[str]]:
    """The modules that import each other, directly or by way of others."""
    below = {name: reached(graph, name) for name in graph}
    found = {tuple(sorted(other for other in below[name] if name in below[other])) for name in graph}
    return sorted(list(circle) for circle in found if circle)


def floors(graph: Graph) -> dict[str, int]:
    """The length of the longest path below each, with circles contracted."""
    circle_of = {name: frozenset(circle) for circle in circles(graph) for name in circle}
    known: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in known:
            inside = circle_of.get(name, frozenset([name]))
            below = {target for member in inside for target in graph[member]} - inside
            known.update(dict.fromkeys(inside, 1 + max(map(floor, below), default=-1)))
        return known[name]

    return {name: floor(name) for name in graph}


def allowed(package: str) -> set[str]:
    """The packages that one may import by ``MAY_IMPORT``."""
    return reached({name: set(targets) for name, targets in MAY_IMPORT.items()}, package)


def against_the_direction(modules: Graph) -> list[tuple[str, str]]:
    """The arrows between modules that ``MAY_IMPORT`` does not allow; a package it does not name may import nothing."""
    found = []
    for name, targets in modules.items():
        package = package_of(name)
        may = allowed(package) | {package} if package in MAY_IMPORT else {package}
        found += [(name, target) for target in sorted(targets) if package_of(target) not in may]
    return found


# WHAT IS PRINTED AND DRAWN


def summary(modules: Graph, *, arrows: bool = False) -> str:
    """The counts of a checkout; ``arrows`` adds the ``description`` of the packages."""
    packages = package_graph(modules)
    lines = [counts("modules", modules), counts("packages", packages)]
    unknown = sorted(set(packages) - set(MAY_IMPORT))
    if unknown:
        lines.append(f"direction: not checked, as MAY_IMPORT does not name {', '.join(unknown)}")
    else:
        wrong = against_the_direction(modules)
        lines += [f"against the direction: {len(wrong)}", *(f"  {name} -> {target}" for name, target in wrong)]
    return "\n".join([*lines, description(modules)] if arrows else lines)


def description(modules: Graph) -> str:
    """What the picture shows, in words: each package with its floor, its modules, and what it imports."""
    packages = package_graph(modules)
    floor = floors(packages)
    return "\n".join(
        f"floor {floor[name]}: {name} ({members(modules, name)}) -> {', '.join(sorted(packages[name])) or 'nothing'}"
        for name in sorted(packages, key=lambda package: (-floor[package], package))
    )


def counts(title: str, graph: Graph) -> str:
    """How many of them, on how many floors, with how many arrows and circles."""
    found = circles(graph)
    line = (
        f"{title}: {len(graph)}, floors: {len(set(floors(graph).values()))}, "
        f"arrows: {sum(map(len, graph.values()))}, circles: {len(found)}"
    )
    return "\n".join([line, *("  circle: " + ", ".join(circle) for circle in found)])


def needed(graph: Graph) -> Graph:
    """A graph without the arrows that follow from others: each pair stays joined by a path."""
    return {
        name: {target for target in targets if not any(target in reached(graph, other) for other in targets - {target})}
        for name, targets in graph.items()
    }


def places(packages: Graph) -> dict[str, tuple[float, float]]:
    """The middle of each package's box: its column across, its floor up."""
    floor = floors(packages)
    found: dict[str, tuple[float, float]] = {}
    for name in sorted(packages, key=lambda name: (floor[name], name)):
        column = COLUMN.get(name, 0)
        while (at := (column * (WIDTH + 0.4), floor[name] * 1.7)) in found.values():
            column += 1
        found[name] = at
    return found


def draw(modules: Graph) -> bytes:
    """The packages as an SVG picture, each on its floor with its modules; the same bytes for the same imports.

    Arrows that follow from others are not drawn. All of them are in the picture's ``description``.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    packages = package_graph(modules)
    texts = {name: textwrap.fill(members(modules, name), 46) for name in packages}
    heights = {name: 0.55 + LINE * (text.count("\n") + 1) for name, text in texts.items()}
    place = stacked(places(packages), heights)
    across = [x for x, _ in place.values()]
    left, right = min(across) - WIDTH / 2 - 0.2, max(across) + WIDTH / 2 + 0.2
    top = max(y + heights[name] / 2 for name, (_, y) in place.items()) + GAP
    # An opaque ground, so that the picture reads the same on a light and on a dark page.
    with matplotlib.rc_context({"svg.hashsalt": "glojax", "svg.fonttype": "path", "font.size": 10}):
        figure = Figure(figsize=((right - left) * INCHES, top * INCHES), facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        text: dict[str, Any] = dict(ha="center", va="center", zorder=3)
        arrow = dict(arrowstyle="-|>", color="#6b7280", shrinkA=0, shrinkB=0)
        colors: dict[str, Any] = dict(facecolor="#eef4fa", edgecolor="#1f6fb4")
        for name, (x, y) in place.items():
            height = heights[name]
            corner = (x - WIDTH / 2, y - height / 2)
            axes.add_patch(FancyBboxPatch(corner, WIDTH, height, boxstyle="round,pad=0,rounding_size=0.12", **colors))
            axes.text(x, y + height / 2 - 0.22, name, weight="bold", color="#1b1c1e", **text)
            axes.text(x, y - 0.18, texts[name], size=7, color="#4b5057", **text)
            for target in sorted(needed(packages)[name]):
                end = (place[target][0], place[target][1] + heights[target] / 2)
                axes.annotate("", end, (x, y - height / 2), arrowprops=arrow, zorder=0)
        axes.set(xlim=(left, right), ylim=(0, top))
        axes.axis("off")
        written = io.BytesIO()
        metadata = {"Date": None, "Creator": None, "Description": description(modules)}
        figure.savefig(written, format="svg", metadata=metadata)
    return written.getvalue()


def stacked(place: dict[str, tuple[float, float]], heights: dict[str, float]) -> dict[str, tuple[float, float]]:
    """The places with floors as far apart as their highest boxes need."""
    middle, level = {}, GAP
    for floor in sorted({y for _, y in place.values()}):
        height = max(heights[name] for name, (_, y) in place.items() if y == floor)
        middle[floor] = level + height / 2
        level += height + GAP
    return {name: (x, middle[y]) for name, (x, y) in place.items()}


def members(modules: Graph, package: str) -> str:
    """The names of a package's modules."""
    names = [name.split(".")[-1] for name in modules if package_of(name) == package and name != package]
    return ", ".join(sorted(names)) or "one module"


def main() -> None:
    """Print the counts, and draw the picture if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).parents[1], help="the checkout, by default this one"
    )
    parser.add_argument("--arrows", action="store_true", help="list what each package imports")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="write the picture as SVG")
    options = parser.parse_args()
    modules = module_graph(options.root)
    print(summary(modules, arrows=options.arrows))
    if options.draw:
        options.draw.write_bytes(draw(modules))


if __name__ == "__main__":
    main()
