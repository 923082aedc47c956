"""Cores as devices, compiled programs kept on disk, and what an import loads: each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from glojax.distributed import devices


def output(code: str, **environment: str) -> str:
    """The output of a fresh process, started without the settings of this one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


COUNT = "import jax; from glojax.distributed import devices; {} print(len(devices.all_devices()))"
CORES = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("before", "environment", "expected"),
    [
        ("", {}, CORES),
        ("devices.use_cores(3);", {}, "3"),
        ("", {"XLA_FLAGS": "--xla_force_host_platform_device_count=5"}, "5"),
        ("", {"XLA_FLAGS": "--xla_cpu_enable_fast_math=false"}, CORES),
        ("", {"JAX_NUM_CPU_DEVICES": "4"}, "4"),
        ("jax.config.update('jax_num_cpu_devices', 6);", {}, "6"),
        ("jax.devices();", {}, "1"),
    ],
    ids=["cores", "own count", "XLA_FLAGS", "other XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "jax.config", "JAX has started"],
)
def test_cores_become_devices_where_the_user_has_set_nothing(
    before: str, environment: dict[str, str], expected: str
) -> None:
    assert output(COUNT.format(before), **environment).split() == [expected]


def test_a_command_makes_cores_devices_before_a_user_s_file_may_start_jax() -> None:
    code = "from glojax.cli.options import prepare; prepare(None); import jax; print(len(jax.devices()))"
    assert output(code).split() == [CORES]


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_1_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"devices is {count}; it must be at least 1"):
        devices.use_cores(count)


def test_training_uses_all_cores_without_a_word() -> None:
    code = """
import glojax
train, validation, test = glojax.data.digits()
task = glojax.Task(glojax.models.MLP((4, 10)), train, validation, batch_size=20, steps=2)
from glojax.training.trainer import Trainer
print(Trainer(task).plan.devices)
"""
    assert output(code).split() == [CORES]


def test_import_and_help_load_neither_jax_nor_flax() -> None:
    code = """
import sys
sys.argv = ["glojax", "search", "--help"]
import glojax
from glojax import cli
try:
    cli.app()
except SystemExit as stop:
    assert stop.code == 0
heavy = {"jax", "flax", "optax", "evosax", "numpy", "scipy", "matplotlib", "sklearn"} & set(sys.modules)
print(sorted(heavy) or "light")
"""
    assert output(code).strip().splitlines()[-1] == "light"


@pytest.mark.slow
def test_every_public_name_is_there_and_search_is_the_function_whatever_was_imported_before() -> None:
    code = """
import glojax.discovery.evolution, glojax
assert glojax.search is glojax.discovery.evolution.search
for name in glojax.__all__:
    assert getattr(glojax, name) is not None
assert set(glojax.__all__) <= set(dir(glojax))
try:
    glojax.nothing
except AttributeError as error:
    print(error)
"""
    assert output(code).strip() == "module 'glojax' has no attribute 'nothing'"


SEARCH = """
import json, sys
import jax, optax
import glojax
glojax.keep_programs()
compiled, counts = [], {}
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None)
jax.monitoring.register_event_listener(lambda event, **_: counts.update({event: counts.get(event, 0) + 1}))
train, validation, _ = glojax.data.digits()
task = glojax.Task(glojax.models.MLP((4, 10)), train, validation, optimizer=optax.sgd(0.1), batch_size=20, steps=30)
found = glojax.search(task, glojax.SearchConfig(population=10, generations=int(sys.argv[1]), elites=2))
searched = len(compiled)
glojax.tune(task, glojax.parse("log(y) - x / y"), glojax.TuneConfig(generations=3))
hits = counts.get("/jax/compilation_cache/cache_hits", 0)
print(json.dumps([searched, len(compiled), hits, str(found.best), found.fitness]))
"""


@pytest.mark.slow
def test_few_programs_are_compiled_and_kept_on_disk(tmp_path: Path) -> None:
    def ran(generations: int, cache: str) -> list:
        code = f"import sys; sys.argv[1:] = ['{generations}']\n" + SEARCH
        return json.loads(output(code, GLOJAX_CACHE_DIR=str(tmp_path / cache)))

    short, long = ran(2, "cache"), ran(8, "other")
    searched, all_of_them, hits, *found = short
    # Start, advance, score, and regroup where candidates are dropped; besides these, two of screening, one of what
    # losses do, two that try the metric and the margins that candidates are ranked by, and one for how the optimizer's
    # updates grow. A winner whose margins do not tell whether it answers one class is trained once more with the
    # metric, by three.
    assert 9 <= searched <= 13
    assert long[0] <= 13
    # CMA-ES, one that importing evosax compiles, the trainings that measure what was gained, and those that tell if
    # a kept gain answers one class.
    assert all_of_them <= searched + 2 + 3 + 3
    assert hits <= 4  # start and advance are the same for trainings that another metric scores
    assert ran(2, "cache") == [searched, all_of_them, all_of_them, *found]  # every one was found on disk


def test_the_user_s_own_compilation_cache_stays(tmp_path: Path) -> None:
    code = "import jax; from glojax import keep_programs; keep_programs(); print(jax.config.jax_compilation_cache_dir)"
    own = tmp_path / "own"
    kept = output(code, JAX_COMPILATION_CACHE_DIR=str(own), GLOJAX_CACHE_DIR=str(tmp_path / "cache"))
    assert kept.split() == [str(own)]
    kept = output(code, GLOJAX_CACHE_DIR=str(tmp_path / "cache"))
    assert kept.split() == [str(tmp_path / "cache" / "programs")]


@pytest.mark.slow
def test_importing_changes_no_setting_of_jax() -> None:
    assert output(
        "import jax; before = dict(jax.config.values); import glojax; glojax.search; glojax.tune;"
        "print(before == dict(jax.config.values))"
    ).split() == ["True"]
    assert jax.config.values  # what was compared holds something
