"""What the site has beside the pages of docs/; mkdocs.yml names this file, and MkDocs calls its ``on_`` functions.

- Pages that stand elsewhere in the repository, such as the README: ``PAGES``.
- A page with the source of every module and script that a page links to.
- Each notebook as a page, without what it shows when it runs.
- The reference: a page for ``glojax`` and for each public module, from the docstrings. A public name without a
  docstring is a warning, and so an error of ``mkdocs build --strict``.
"""

import json
import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "experiments/README.md": "experiments.md",
    "experiments/accelerator.md": "accelerator.md",
}
"""From a page of the repository to a page of the site, where the repository has it outside docs/."""

MODULES = (
    "discovery.comparison", "discovery.results", "executors.protocol", "executors.ray_executor",
    "expressions.canonical", "expressions.coefficients", "reporting.opened_run",
)  # fmt: skip
"""Public modules that a user imports by name; the others are names of ``glojax``."""

_FENCED = re.compile(r"^(```.*?^```$)", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)")
_log = logging.getLogger("mkdocs.hooks.glojax")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    pages = [*PAGES, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    targets = {target for path in pages for target in links_of(path)}
    for source in sorted(target for target in targets if target.endswith(".py")):
        text = f"# {source}\n\n```python\n{(ROOT / source).read_text()}```\n"
        files.append(File.generated(config, site_path(source), content=text))
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        path = f"docs/notebooks/{notebook.name}"
        files.append(File.generated(config, site_path(path), content=notebook_page(notebook)))
    for page, text in reference_pages():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where the site has the pages."""
    place = page.file.src_uri
    path = next((path for path, there in PAGES.items() if there == place), f"docs/{place}")
    if not (ROOT / path).exists():
        return markdown

    def moved(link: re.Match[str]) -> str:
        target = in_repository(path, link[1])
        return posixpath.relpath(site_path(target), posixpath.dirname(place) or ".") if target else link[1]

    parts = _FENCED.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(moved, part) for part in parts)


# LINKS


def links_of(path: str) -> Iterator[str]:
    """The files of the repository that a page links to."""
    for part in _FENCED.split((ROOT / path).read_text()):
        if not part.startswith("```"):
            for link in _LINK.findall(part):
                if target := in_repository(path, link):
                    yield target


def in_repository(path: str, link: str) -> str | None:
    """The file that a page's link means, from the top of the repository; nothing if there is no such file."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    return target if (ROOT / target).is_file() else None


def site_path(target: str) -> str:
    """Where the site has a file of the repository."""
    if target.endswith(".py"):
        return f"source/{target.removesuffix('.py')}.md"
    if target.endswith(".ipynb"):
        target = f"{target.removesuffix('.ipynb')}.md"
    return PAGES.get(target, target.removeprefix("docs/"))


# NOTEBOOKS


def notebook_page(path: Path) -> str:
    """The text and the code of a notebook, and the notebook itself to download."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    title, *rest = parts
    return "\n\n".join([title, f'<a href="{path.name}" download>This page as a notebook</a>', *rest]) + "\n"


# REFERENCE


def reference_pages() -> Iterator[tuple[str, str]]:
    """Each page of the reference, and its text for mkdocstrings. A name is explained on the first page that has it."""
    package = griffe.load("glojax", search_paths=[ROOT], docstring_parser="google")
    modules = [name for name in public_names(package) if resolved(package[name]).is_module]
    explained: dict[str, str] = {}
    for module in ("glojax", *(f"glojax.{name}" for name in (*modules, *MODULES))):
        page = f"{module.removeprefix('glojax.')}.md"
        of_module = resolved(package[module.removeprefix("glojax.")]) if module != "glojax" else package
        text = [f"# {module}", of_module.docstring.value if of_module.docstring else ""]
        for name in sorted(public_names(of_module), key=lambda name: resolved(of_module[name]).is_attribute):
            path, found = f"{module}.{name}", resolved(of_module[name])
            if found.is_module and name in found.members:  # a function that is named like its module hides it
                path, found = f"{path}.{name}", resolved(found[name])
            if found.is_module:
                continue
            if found.path in explained:
                text.append(f"`{name}` is explained [here]({explained[found.path]}).")
            else:
                explained[found.path] = f"{page}#{path}"
                text.append(f"::: {path}")
                warn_of_missing_docstrings(found)
        yield f"reference/{page}", "\n\n".join(text)


def public_names(module: griffe.Object | griffe.Alias) -> list[str]:
    """What ``__all__`` lists, or else what the module defines."""
    if module.exports is not None:
        return [str(name) for name in module.exports]
    return [name for name, member in module.members.items() if not name.startswith("_") and not member.is_alias]


def resolved(found: griffe.Object | griffe.Alias) -> griffe.Object:
    """What an imported name stands for."""
    return found.final_target if isinstance(found, griffe.Alias) else found


def warn_of_missing_docstrings(found: griffe.Object) -> None:
    """Warn of a public name, or a method of a class, without a docstring."""
    methods = [member for name, member in found.members.items() if member.is_function and not name.startswith("_")]
    for member in (found, *(methods if found.is_class else ())):
        if not member.has_docstring:
            _log.warning(f"{member.path} is public and has no docstring.")
