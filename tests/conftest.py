"""Two virtual CPU devices for every test, a task small enough to train in a moment, and small sets of images."""

import contextlib
import ctypes
import gc
import gzip
import inspect
import io
import os
import shutil
import socket
import sys
import tarfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import pytest

from glojax import data, models
from glojax.discovery.search_config import SearchConfig
from glojax.discovery.tuning import TuneConfig
from glojax.expressions.canonical import canonical
from glojax.expressions.parsing import parse
from glojax.losses.loss import Loss
from glojax.losses.spaces import coefficient_space
from glojax.records.candidates import Record, Rejected
from glojax.records.run import BASELINE, FINALS, Run
from glojax.statistics import winner
from glojax.tasks.task import Task
from glojax.training.trainer import Trainer

COMPILE_QUICKLY = "--xla_backend_optimization_level=1"
"""XLA's flags, unless the environment has others, for these tests and the processes that they start.

Most of their time is compiling, which so takes half of it; with level 0 what screening runs would take four times as
long. ``XLA_FLAGS= pytest`` compiles as users do.
"""
if jax.__version_info__ < (0, 12):  # XLA ends the process where it does not know a flag; later it has no other emitters
    COMPILE_QUICKLY += " --xla_cpu_use_fusion_emitters=false"

MOST_BYTES = 1_500_000_000
"""Of a process between two files; what one file takes comes on top, and 2 GB are the limit."""

os.environ.setdefault("XLA_FLAGS", COMPILE_QUICKLY)
if "device_count" not in os.environ["XLA_FLAGS"] and "JAX_NUM_CPU_DEVICES" not in os.environ:
    jax.config.update("jax_num_cpu_devices", 2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of losses come first, and the cases that ``few`` leaves out are slow.

    Those of losses switch 64 bits on and off most. In a process that has compiled thousands of programs, JAX 0.10 now
    and then converts a NumPy array for the former setting.
    """
    items.sort(key=lambda item: "losses" not in item.path.parts)
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for of_one in cases.values():
        (count,) = of_one[0].get_closest_marker("few").args  # type: ignore[union-attr]
        kept = {place * len(of_one) // count for place in range(count)}
        for place, item in enumerate(of_one):
            if place not in kept:
                item.add_marker("slow")


@pytest.fixture(autouse=True)
def arrays_of_32_bits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of losses that does not enable 64 bits hands in float32.

    JAX 0.10 now and then takes a NumPy array of float64 for what it was under the other setting, when a process uses
    one of the same shape under both.
    """
    if "losses" not in request.path.parts or "enable_x64" in inspect.getsource(request.function):
        return
    for name, value in list(vars(request.module).items()):
        if isinstance(value, np.ndarray) and value.dtype == np.float64:
            monkeypatch.setattr(request.module, name, value.astype(np.float32))


@pytest.fixture(scope="session", autouse=True)
def cache_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is kept between processes stays out of the user's own cache; all of pytest's processes share it.

    ``GLOJAX_TEST_CACHE`` names a folder for it, which later runs share, too. Compiled programs are kept beside it,
    without the upper limit of ``keep_programs``: it costs a lock and a look at all that is kept for every program.
    """
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    shared = Path(os.environ.get("GLOJAX_TEST_CACHE") or shared)
    os.environ["GLOJAX_CACHE_DIR"] = str(shared / "cache")
    jax.config.update("jax_compilation_cache_dir", str(shared / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory() -> Iterator[None]:
    """A process that has grown large forgets its compiled programs between two files."""
    yield
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if sys.platform == "linux" else 0
    if pages * os.sysconf("SC_PAGE_SIZE") > MOST_BYTES:
        jax.clear_caches()
        gc.collect()
        with contextlib.suppress(AttributeError):  # glibc alone keeps what was freed
            ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory for hostile input, whose code would leave the file ``mark`` there."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("hostile")
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        yield folder
        assert not (folder / "mark").exists()


@pytest.fixture(scope="session")
def tiny_task() -> Task:
    """200 digits for training, 100 for validation and test, a small network, 30 steps."""
    splits = [(split.x[:200], split.labels[:200]) for split in data.digits()]
    train, validation, test = splits
    return Task(
        models.MLP((16, 10)), train, (validation[0][:100], validation[1][:100]), (test[0][:100], test[1][:100]),
        optimizer=optax.sgd(0.05), batch_size=20, steps=30, name="tiny",
    )  # fmt: skip


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many candidates each call of the trainer got."""
    sizes: list[int] = []
    train = Trainer.train

    def counted(self: Trainer, candidates: Any, *given: Any, **options: Any) -> Any:
        sizes.append(len(candidates.seed))
        return train(self, candidates, *given, **options)

    monkeypatch.setattr(Trainer, "train", counted)
    return sizes


# A RUN


def _make_run(directory: Path, task: Task, losses: dict[str, Loss] | None = None) -> Path:
    """The record of a search, a tuning, a random search and a comparison, of which nothing was trained."""
    random = np.random.default_rng(0)

    def record(expression: str, fate: str, parents: tuple[int, ...] = (), low: float = 0.5, **fields: Any) -> Record:
        count = {"cached": 0, "invalid": 0}.get(fate, fields.pop("count", 2))
        scores = tuple(random.uniform(low, low + 0.1, count).tolist())
        fitness = float(np.mean(scores)) if scores else low
        form = str(canonical(parse(expression)))
        known = Record(expression, form, (), fitness, scores, 3.0, fate, parents, 7, 30 * count, 0.5 * count)
        return known._replace(**fields)

    first = [record("x * log(y)", "trained"), record("y - x", "dropped", low=0.2), record("x / y", "trained", low=0.3)]
    second = [
        record("x * log(y)", "elite", (0,)), record("x * log(y + x)", "trained", (0, 1), low=0.6),
        record("y - x", "cached", (1,), low=0.2),
    ]  # fmt: skip
    third = [
        record("x * log(y + x)", "elite", (1,), low=0.6), record("(x - 1) * log(y + x)", "trained", (1,), low=0.7),
        record("x * log(y - 1)", "trained", (0, 2), low=0.0)._replace(fitness=0.0, scores=(0.0, 0.0)),
    ]  # fmt: skip
    found, rejected = task.loss("(x - 1) * log(y + x)"), [Rejected("y * y", "y * y", "guided")]
    sizes = dict(population=3, generations=3, elites=1, finalists=2, final_seeds=2)
    with Run(directory, "search", task, SearchConfig(**sizes), False) as run:  # type: ignore[arg-type]
        run.save(BASELINE, [record("x * log(y)", "trained", count=4)])
        for number, records in enumerate((first, second, third)):
            run.save_generation(number, records, {"drawn": 9, "valid": 5, "trained": 3, "finished": 2}, rejected)
        finalists = [record(third[1].expression, "trained", low=0.7, count=8), record(third[0].expression, "trained")]
        run.save(FINALS, finalists)
    space = coefficient_space(found.tree)
    vectors = [space.start, *(space.start + random.normal(0, 0.1, (6, len(space.start))))]
    tuned = [record(str(found.tree), "trained", low=0.7)._replace(coefficients=tuple(row.tolist())) for row in vectors]
    with Run(directory, "tune", task, TuneConfig(generations=2, finalists=2, final_seeds=2), False) as run:
        for number, records in enumerate((tuned[:1], tuned[1:4], tuned[4:])):
            run.save_generation(number, records)
        finalists = [one._replace(scores=tuple(random.uniform(0.7, 0.8, 8).tolist())) for one in tuned[:3]]
        run.save(FINALS, [one._replace(fitness=float(np.mean(one.scores))) for one in finalists])
        best = run.finals()[winner([one.scores for one in run.finals()])]
    loss = task.loss(found.tree, space.coefficients(np.array(best.coefficients)))
    loss.save(directory / "loss.json")
    with Run(directory, "random search", task, SearchConfig(**sizes, breeding=False), False) as run:  # type: ignore[arg-type]
        for number in range(2):
            run.save_generation(number, [record("x * log(y)", "trained", low=0.4 + 0.2 * number)], {"drawn": 9})
        run.save(FINALS, [record("y / x", "trained", count=8)])
    rows = {task.problem.baseline_name: task.problem.baseline} | (
        {"found": found, "found, tuned": loss, "random search": task.loss("y / x")} if losses is None else losses
    )
    asked = {
        "losses": {name: [str(one.tree), list(one.coefficients), one.protected] for name, one in rows.items()},
        "found_at": {}, "seeds": 5, "seed": 0,
    }  # fmt: skip
    names = [(name, 1.0) for name in rows] + [(f"{name}, best rate", 30.0) for name in rows]
    low = {1.0: np.array([0.5, 0.6]), 30.0: np.array([0.6, 0.6])}  # of validation and test scores at each rate
    scores = [
        {"name": name, "rate": rate, "scores": random.uniform(low[rate], low[rate] + 0.1, (5, 3, 2)).tolist()}
        for name, rate in names
    ]
    with Run(directory, "comparison", task, {}, False) as run:
        run.save("rates", {"asked": asked, "best": dict.fromkeys(rows, 30.0)})
        run.save("scores", {"asked": asked, "steps": [10, 20, 30], "rows": scores})
    return directory


@pytest.fixture(scope="session")
def make_run(tiny_task: Task) -> Callable[..., Path]:
    """``make_run(directory)`` writes a whole run of the tiny task, whose scores are drawn and not trained for."""
    return lambda directory, task=tiny_task, **options: _make_run(directory, task, **options)


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
    from glojax.reporting import style

    monkeypatch.setattr(style, "save", lambda figure, path: None)


# IMAGES


@pytest.fixture(scope="session")
def real_images() -> Path:
    """A folder of real images, ``$GLOJAX_TEST_DATA`` or beside the repository; the test is skipped without it."""
    folder = Path(os.environ.get("GLOJAX_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; GLOJAX_TEST_DATA may name another folder")
    return folder


def _seed_cache(data_dir: Path, name: str, contents: dict[str, bytes]) -> None:
    """Put files where TensorFlow Datasets keeps its downloads, as if they had the checksums of the original ones."""
    resource = pytest.importorskip("tensorflow_datasets").core.download.resource
    from glojax.data import images

    for url, info in images._BUILDERS[name].url_infos.items():
        path = data_dir / "downloads" / name / resource.get_dl_fname(url, info.checksum)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[info.filename])
        resource.write_info_file(url, path, name, info.filename, info)


@pytest.fixture(scope="session")
def seed_cache() -> Callable[[Path, str, dict[str, bytes]], None]:
    """``seed_cache(data_dir, name of the set, contents of its files by name)``."""
    return _seed_cache


class SmallSets(NamedTuple):
    """Random images in the original formats of MNIST and CIFAR-10, in a folder of TensorFlow Datasets."""

    data_dir: Path
    parts: dict[str, list[data.Split]]  # by name of the set: training and test images, uint8


@pytest.fixture(scope="session")
def small_sets(tmp_path_factory: pytest.TempPathFactory) -> SmallSets:
    """1,200 training and 30 test images of each set."""
    data_dir, random = tmp_path_factory.mktemp("tfds"), np.random.default_rng(0)

    def drawn(*shape: int) -> list[data.Split]:
        sizes = (1200, 30)
        images = [random.integers(0, 256, (size, *shape)).astype(np.uint8) for size in sizes]
        return [data.Split(x, random.integers(0, 10, len(x)).astype(np.uint8)) for x in images]

    parts = {"mnist": drawn(28, 28, 1), "cifar10": drawn(32, 32, 3)}
    mnist, cifar10 = {}, io.BytesIO()
    for prefix, (x, labels) in zip(("train", "t10k"), parts["mnist"], strict=True):
        mnist[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(bytes(16) + x.tobytes(), 1)
        mnist[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(bytes(8) + labels.tobytes(), 1)
    (x, labels), test = parts["cifar10"]
    batches = {f"data_batch_{i + 1}": data.Split(x[240 * i :][:240], labels[240 * i :][:240]) for i in range(5)}
    with tarfile.open(fileobj=cifar10, mode="w:gz", compresslevel=1) as archive:
        files = {"batches.meta.txt": "\n".join("abcdefghij").encode()}
        for name, (x, labels) in (batches | {"test_batch": test}).items():
            files[f"{name}.bin"] = np.c_[labels, x.transpose(0, 3, 1, 2).reshape(len(x), -1)].tobytes()
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    _seed_cache(data_dir, "mnist", mnist)
    _seed_cache(data_dir, "cifar10", {"cifar-10-binary.tar.gz": cifar10.getvalue()})
    return SmallSets(data_dir, parts)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection can be made."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
