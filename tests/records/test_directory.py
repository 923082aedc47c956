"""The settings of a run directory: what resumes a run, what is refused by name, and what old directories hold."""

import dataclasses
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

from glojax import ExhaustiveConfig, Kind, Loss, SearchConfig, Sharding, Task, TrainConfig, TuneConfig, parse, search
from glojax.records.directory import LENGTHS, read_settings, write_settings
from glojax.records.run import Run
from glojax.tasks import identity, metrics

RANDOM = np.random.default_rng(0)
X, LABELS = RANDOM.normal(size=(60, 5)).astype(np.float32), np.arange(60) % 3
CONFIG = SearchConfig(population=8, generations=1)


class Net(nn.Module):
    activation: str = "relu"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(3)(getattr(nn, self.activation)(nn.Dense(4)(x)))


class WithLoss(Net):
    """The same network, beside an auxiliary dict with a loss of its own."""

    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        outputs = Net.__call__(self, x)
        return outputs, {"losses": (outputs**2).mean()}


KERNELS = {"Dense_0": {"kernel": np.ones((4, 3))}, "Dense_1": {"kernel": np.ones((5, 4))}}


def made(**changes: Any) -> Task:
    settings: dict[str, Any] = {"model": Net(), "train": (X, LABELS), "validation": (X[::2], LABELS[::2])}
    return Task(**(settings | {"optimizer": optax.sgd(0.1), "batch_size": 20, "steps": 30, "name": "first"} | changes))


@cache
def unchanged() -> Task:
    """One, whose functions are tried once."""
    return made()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with the phases "search" and "tune"."""
    path = tmp_path_factory.mktemp("begun")
    for phase in ("search", "tune"):
        write_settings(path, phase, unchanged(), dataclasses.asdict(CONFIG), False)
    return path


@pytest.fixture
def run_dir(begun: Path, tmp_path: Path) -> Path:
    """A copy of ``begun`` to write into."""
    return Path(shutil.copytree(begun, tmp_path / "run"))


# EVERY FIELD OF A TASK


def squared_accuracy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    return metrics.accuracy(outputs, labels) ** 2


CHANGES: dict[str, tuple[dict[str, Any], str | None]] = {
    "model": ({"model": Net("tanh")}, "another model"),
    "train": ({"train": (X + 1e-3, LABELS)}, "other training data"),
    "validation": ({"validation": (X[1::2], LABELS[1::2])}, "other validation data"),
    "test": ({"test": (X, LABELS)}, "other test data"),
    "optimizer": ({"optimizer": optax.sgd(1e-4)}, "another optimizer"),
    "batch_size": ({"batch_size": 21}, "another batch size"),
    "steps": ({"steps": 31}, "another number of steps"),
    "kind": ({"kind": Kind("softmax", metrics.accuracy, Loss(parse("x * y")))}, "another baseline of its kind"),
    "metric": ({"metric": squared_accuracy}, "another metric"),
    "minimize": ({"metric": lambda outputs, labels: metrics.accuracy(outputs, labels), "minimize": True}, "minimize"),
    "class_weights": ({"class_weights": (1, 2, 3)}, "other class weights"),
    "class_weight": ({"class_weight": "balanced"}, "other class weights"),
    "preprocess": ({"preprocess": lambda x: x / 2}, "another preprocess"),
    "augment": ({"augment": lambda key, x: x + jax.random.normal(key, x.shape)}, "another augment"),
    "group": ({"group": 2}, None),
    "executor": ({"executor": lambda task, **given: None}, None),
    "name": ({"name": "second"}, None),
    "ignore_label": ({"ignore_label": 2}, "other training data"),
    "where": ({"where": {"train": LABELS > 0}}, "other training data"),
    "has_aux": ({"has_aux": True, "model": WithLoss()}, None),
    "sown_weight": ({"has_aux": True, "model": WithLoss(), "sown_weight": 0.1}, "another weight of its own losses"),
    "initial": ({"initial": {"Dense_0": {"bias": np.ones(3)}}}, "other initial parameters"),
    "trainable": ({"trainable": "bias", "initial": KERNELS}, "other initial parameters and another model"),
    "averaging": ({"averaging": 0.1}, "another averaging of weights"),
    "precision": ({"precision": "highest"}, "another numerical precision"),
    "sharding": ({"sharding": Sharding(2, {"Dense_0/kernel": PartitionSpec("model")})}, None),
}


@pytest.mark.few(2)
@pytest.mark.filterwarnings("ignore:Task:DeprecationWarning")
@pytest.mark.parametrize("field", Task.__dataclass_fields__)
def test_a_task_changed_in_a_field_is_refused_where_scores_depend_on_it(run_dir: Path, field: str) -> None:
    changes, words = CHANGES[field]
    task = made(**changes)
    before = (run_dir / "settings.json").read_bytes()
    for phase, resume in (("search", True), ("comparison", False)):
        if words is None:
            write_settings(run_dir, phase, task, dataclasses.asdict(CONFIG), resume)
            continue
        with pytest.raises(ValueError, match=f"run was begun with {'.*' * (field == 'minimize')}{words}"):
            write_settings(run_dir, phase, task, dataclasses.asdict(CONFIG), resume)
        assert (run_dir / "settings.json").read_bytes() == before
    assert read_settings(run_dir)["task"] == "first"


def test_all_that_differs_is_named(run_dir: Path) -> None:
    task = made(optimizer=optax.adam(0.1), model=Net("tanh"), name="second")
    with pytest.raises(ValueError, match="begun with") as raised:
        Run(run_dir, "search", task, CONFIG, resume=True)
    assert str(raised.value) == (
        f"{run_dir} was begun with another optimizer and another model (task 'first'; this is 'second'); resume with "
        "the same ones or choose another run directory."
    )
    three = made(optimizer=optax.adam(0.1), model=Net("tanh"), batch_size=19)
    with pytest.raises(ValueError, match="with another batch size, another optimizer and another model; resume with"):
        Run(run_dir, "search", three, CONFIG, resume=True)


@pytest.mark.slow
def test_a_search_is_not_resumed_with_another_optimizer(tmp_path: Path) -> None:
    small = SearchConfig(population=4, generations=1, elites=1, seeds=1, finalists=1, halving=1, fair_rates=False)
    search(made(steps=2), small, tmp_path / "run")
    with pytest.raises(ValueError, match="begun with another optimizer; resume with the same one or choose"):
        search(made(steps=2, optimizer=optax.adam(0.1)), small, tmp_path / "run", resume=True)


# EVERY FIELD OF A CONFIGURATION

CONFIGS: list[Any] = [SearchConfig(pool=100), ExhaustiveConfig(), TuneConfig(method="gradient"), TrainConfig(steps=60)]
OTHER: dict[str, Any] = {
    "selection": "roulette",
    "schedule": "cosine",
    "averaging": 0.5,
    "rank_by": "metric",
    "start": ("x - y",),
    "aggregate": "ranks",
    "method": "cma-es",
    "operators": ("paper", "exp"),
    "leaves": ("progress",),
}


def changed(value: Any, field: str) -> Any:
    """Another value that the field allows."""
    if field in OTHER:
        return OTHER[field]
    if dataclasses.is_dataclass(value):
        name = dataclasses.fields(value)[0].name
        return dataclasses.replace(value, **{name: getattr(value, name) / 2})  # type: ignore[type-var]
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return value[:-1]
    if value is None or isinstance(value, int | float):
        return 7 if value is None else value + 1
    raise AssertionError(f"{field} has no other value; add it to OTHER")


@pytest.mark.few(17)
@pytest.mark.parametrize(
    ("config", "field"), [(config, field.name) for config in CONFIGS for field in dataclasses.fields(config)]
)
def test_a_setting_may_differ_only_where_it_is_a_length(run_dir: Path, config: Any, field: str) -> None:
    phase, task = type(config).__name__, unchanged()
    before = dataclasses.asdict(config)
    write_settings(run_dir, phase, task, before, False)
    other = dataclasses.asdict(dataclasses.replace(config, **{field: changed(getattr(config, field), field)}))
    assert [name for name in before if before[name] != other[name]] == [field]
    if field in LENGTHS:
        write_settings(run_dir, phase, task, other, True)
        assert read_settings(run_dir)["phases"][phase][field] == other[field]
        return
    with pytest.raises(ValueError, match=rf"was run with {phase} setting {field} = .*; resume with the same settings"):
        write_settings(run_dir, phase, task, other, True)


def test_a_longer_training_shows_more_of_the_optimizer(run_dir: Path) -> None:
    def task(boundary: int) -> Task:
        return made(optimizer=optax.sgd(optax.piecewise_constant_schedule(0.1, {boundary: 0.5})))

    train = dataclasses.asdict(TrainConfig(steps=300))
    write_settings(run_dir, "train", unchanged(), train, False)
    assert read_settings(run_dir)["identity"]["horizon"] == 300
    with pytest.raises(ValueError, match="begun with another optimizer;"):
        write_settings(run_dir, "train", task(200), train, True)
    write_settings(run_dir, "train", unchanged(), train, True)


# WHAT THE FILE HOLDS


def test_settings_hold_identity_and_versions(begun: Path) -> None:
    settings = read_settings(begun)
    assert settings["glojax_run"] == 5
    assert settings["versions"] == identity.versions()
    assert set(settings["versions"]) == {"glojax", "jax"}
    assert identity.differences(settings["identity"], identity.identity(made())) == []
    assert settings["about"]["baseline"] == "cross-entropy"
    assert set(settings["phases"]) == {"search", "tune"}


def test_other_versions_are_a_warning_and_a_hint(run_dir: Path) -> None:
    settings = read_settings(run_dir)
    settings["versions"]["jax"] = "0.1"
    (run_dir / "settings.json").write_text(json.dumps(settings))
    with pytest.warns(UserWarning, match=r"begun with jax '0\.1', now '.*'; scores may differ a little"):
        write_settings(run_dir, "search", made(), dataclasses.asdict(CONFIG), True)
    with pytest.raises(ValueError, match=r"with another model; .*\. It was begun with jax '0\.1', now"):
        write_settings(run_dir, "search", made(model=Net("tanh")), dataclasses.asdict(CONFIG), True)


@pytest.mark.parametrize("given", [{}, {"horizon": 10**9}, {"horizon": "5"}, {"horizon": True}])
def test_a_damaged_identity_is_named(run_dir: Path, given: dict[str, Any]) -> None:
    settings = read_settings(run_dir) | {"identity": given}
    (run_dir / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"settings\.json is damaged: identity\.horizon is"):
        write_settings(run_dir, "search", made(), dataclasses.asdict(CONFIG), True)


@pytest.mark.few(2)
@pytest.mark.parametrize("value", [None, 3, [3], [[10**400]], [["a"]], {"a": []}, [[True] * 16] * 10])
def test_an_identity_of_other_values_differs(run_dir: Path, value: Any) -> None:
    settings = read_settings(run_dir)
    settings["identity"]["optimizer"] = value
    (run_dir / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="begun with another optimizer;"):
        write_settings(run_dir, "search", made(), dataclasses.asdict(CONFIG), True)


# DIRECTORIES OF SCHEMA 4


@pytest.fixture
def old(run_dir: Path) -> Path:
    """A directory as the previous version wrote it."""
    settings = read_settings(run_dir)
    about = {{"baseline": "control"}.get(name, name): value for name, value in settings["about"].items()}
    phases = {
        "search": {"population": 80, "rates": {"crossover": 0.7}, "generations": 2},
        "train": {"steps": 60, "control": True},
    }
    kept = {name: settings[name] for name in ("task", "fingerprint")}
    (run_dir / "settings.json").write_text(json.dumps({"glojax_run": 4, **kept, "about": about, "phases": phases}))
    return run_dir


def test_old_settings_are_read_in_todays_words(old: Path) -> None:
    settings = read_settings(old)
    assert settings["about"]["baseline"] == "cross-entropy"
    assert "control" not in settings["about"]
    assert settings["phases"] == {
        "search": {"population": 80, "variation": {"crossover": 0.7}, "generations": 2},
        "train": {"steps": 60, "baseline": True},
    }


@pytest.mark.parametrize(("phase", "resume"), [("search", True), ("search", False), ("tune", False)])
def test_old_directories_are_not_written_into(old: Path, phase: str, resume: bool) -> None:
    before = (old / "settings.json").read_bytes()
    with pytest.raises(ValueError, match="did not record the optimizer and the model, so it cannot be resumed safely"):
        write_settings(old, phase, made(), dataclasses.asdict(CONFIG), resume)
    assert (old / "settings.json").read_bytes() == before
