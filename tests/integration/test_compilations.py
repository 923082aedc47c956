"""A search of any length compiles the same programs."""

import subprocess
import sys

import pytest

SCRIPT = """
import jax, sys
import optax
from glojax import data, models, search
from glojax.search import SearchConfig
from glojax.tasks import Task
events = []
jax.monitoring.register_event_duration_secs_listener(lambda event, seconds, **_: events.append(event))
train, validation, _ = data.digits()
task = Task(models.MLP((4, 10)), train, validation, optimizer=optax.sgd(0.1), batch_size=20, steps=5)
search(task, SearchConfig(population=10, generations=int(sys.argv[1]), elites=2))
print(events.count("/jax/core/compile/backend_compile_duration"))
"""


def compilations(generations: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(generations)], capture_output=True, text=True, timeout=300, check=True
    )
    return int(done.stdout)


@pytest.mark.slow
def test_a_search_of_20_generations_compiles_no_more_programs_than_one_of_2() -> None:
    short = compilations(2)
    assert short >= 1
    assert compilations(20) == short
