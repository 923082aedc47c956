"""Training steps compiled for an H100 and a TPU by their real compilers, in processes that have no device."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from glojax import compiled_step, tasks

ROOT = Path(__file__).parent.parent
PROGRAM = """
import json, sys
import optax
from glojax import compiled_step, tasks
for target, candidates in json.loads(sys.argv[1]):
    for loss in (None, optax.softmax_cross_entropy):
        step = compiled_step.compile_step(tasks.digits(), target, candidates, loss=loss)
        print(json.dumps([*step[1:], compiled_step.count_operations(step.text)]))
"""

OTHERS = """
import json, sys
from functools import partial
import jax, jax.numpy as jnp, numpy as np
from glojax import benchmark, compiled_step, tasks
from glojax.discovery import cma_es, screening
from glojax.expressions import programs
from glojax.training import compiled, gradients, kernels, learner
from glojax.training.candidates import Candidates

def screened(stage, size):
    program = programs.encode([programs.Tree("y")] * size, None, 31)
    gradient = gradients.program_gradient(False, "softmax")
    stages = {"examine": partial(screening._examine, gradient)}
    stages["descend"] = partial(screening._descend, gradient, screening._goodness("softmax"))
    return jax.vmap(stages[stage], in_axes=(0, None, None, None, None)), program, *screening.probe()

def scored():
    task = tasks.digits()
    learners = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((80, *leaf.shape), leaf.dtype), learner.shapes(task))
    score = lambda learners, seed, x, labels: jax.vmap(
        lambda one: learner.score(task, one, learner.keys_of(seed), x, labels))(learners)
    return score, learners, jax.ShapeDtypeStruct((), jnp.uint32), *task.splits["validation"]

def asked():
    compiled, nothing = cma_es._cma_es(16, 8)
    return compiled, np.uint32(0), np.int32(0), np.float32(1), np.zeros(8, np.float32), np.bool_(True), *nothing

def advanced():
    task, number = tasks.digits(), jax.ShapeDtypeStruct((), jnp.int32)
    rows = lambda shapes: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, 80, *leaf.shape), leaf.dtype), shapes)
    program = jax.tree.map(lambda leaf: leaf[0], programs.encode([programs.Tree("y")], None, 31))
    given = rows(Candidates(program, np.float32(1), np.uint32(0)))
    places = jax.ShapeDtypeStruct((1, 100, task.batch_size), jnp.int32)
    options = {"at_once": compiled.STEPS_AT_ONCE["gpu"]}
    advance = partial(kernels.advance_groups, task, gradients.program_gradient(False), **options)
    data = kernels.Data(dict(task.splits), {})
    count = jax.ShapeDtypeStruct((1,), jnp.int32)
    return advance, rows(learner.shapes(task)), given, count, places, number, number, data

for name in json.loads(sys.argv[1]):
    if name == "paper":
        step = compiled_step.compile_step(benchmark.NETWORKS["paper"].task(), "h100", 80)
    else:
        made = {"examine": lambda: screened("examine", 128), "descend": lambda: screened("descend", 32),
                "score": scored, "cma": asked, "advance": advanced}[name]
        function, *arguments = made()
        step = compiled_step.compile_program(function, "h100", *arguments)
    print(json.dumps([*step[1:], compiled_step.count_operations(step.text)]))
"""


def compiler(platform: str, directory: Path) -> dict[str, str]:
    """The environment of a process that has the compiler of a platform; skips where it cannot be had."""
    kept = os.environ.get("GLOJAX_COMPILERS")
    folder = Path(kept) / platform if kept else directory / platform
    if not folder.is_dir():
        command = [sys.executable, str(ROOT / "experiments" / "compilers.py"), platform, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the compiler for {platform} cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    inherited = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}  # those compile quickly
    return {**inherited, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "JAX_PLATFORMS": "cpu"}


def compiled(cases: list[Any], platform: str, directory: Path, program: str = PROGRAM) -> list[Any]:
    """Of each case the step with a program for each candidate, then that with one fixed loss."""
    command = [sys.executable, "-c", program, json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, env=compiler(platform, directory), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_on_an_h100_different_losses_take_few_kernels_more_than_a_fixed_one(tmp_path: Path) -> None:
    steps = compiled([("h100", 80), ("h100", 512)], "cuda", tmp_path)
    # The interpreter and its labels, in place of two sums; for many candidates XLA takes two more for softmax's sums.
    for more, different, fixed in zip((0, 2), steps[::2], steps[1::2], strict=True):
        (kernels, loops, copies, memory, text, _), (fixed_kernels, _, fixed_copies, *_) = different, fixed
        assert kernels <= fixed_kernels + more
        assert loops == 0
        assert copies == fixed_copies
        assert memory < 80e9 / 10
        assert text.count('custom_call_target="__gpu$xla.gpu.triton"') == 1
        assert "f64[" not in text


@pytest.mark.slow
def test_on_an_h100_what_is_not_a_step_has_no_loop_of_the_interpreter_s(tmp_path: Path) -> None:
    # Of the descent, its steps; of a training rows, rounds of steps, and steps.
    loops = {"examine": 0, "descend": 1, "score": 0, "cma": 0, "advance": 3}
    found = compiled([*loops], "cuda", tmp_path, OTHERS)
    assert [one[1] for one in found] == [*loops.values()]
    for *_, text, _ in found:
        assert "f64[" not in text
        assert "s64[" not in text
    # The innermost loop does not go back to the host, which a loop of a length that is data does in every round.
    lengths = [re.search(r'known_trip_count":{"n":"(\d+)"}', line) for line in found[-1][4].splitlines()]
    assert [found[1] for found in lengths if found] == ["10"]


@pytest.mark.slow
def test_on_an_h100_a_step_of_80_paper_networks_is_convolutions_of_cudnn_in_a_tenth_of_the_memory(
    tmp_path: Path,
) -> None:
    ((_, loops, _, memory, text, _),) = compiled(["paper"], "cuda", tmp_path, OTHERS)
    assert loops == 0
    assert text.count("__cudnn$conv") == 5  # two layers, of which the first has no gradient by its input
    assert memory < 80e9 / 10
    assert "f64[" not in text
    assert "s64[" not in text
    # Kernels of both convolutions and of the large layer, of the whole population; that of the last, a hundredth of all
    # parameters, is copied.
    shapes = ("80,5,5,1,32", "80,5,5,32,64", "80,3136,1024", "80,1024,3136")
    copied = [line for line in text.splitlines() if " copy(" in line]
    assert not [line for line in copied if any(f"f32[{shape}]" in line.split(" copy(")[0] for shape in shapes)]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["v5e", "v6e", "v5p"])
def test_on_a_tpu_the_losses_make_no_loop(target: str, tmp_path: Path) -> None:
    different, fixed = compiled([(target, 80)], "tpu", tmp_path)
    assert different[1] == fixed[1] == 0
    assert "losses" in different[4]  # the kernel
    if target == "v5e":
        assert different[5]["custom-call"] == fixed[5]["custom-call"] + 1
    assert "f64[" not in different[4]


def test_operations_are_counted_once_wherever_a_device_starts_them() -> None:
    text = """HloModule a

%fused (p: f32[2]) -> f32[2] {
  %p = f32[2]{0} parameter(0)
  ROOT %n = f32[2]{0} negate(%p)
}

%body (s: (s32[], f32[2])) -> (s32[], f32[2]) {
  %s = (s32[], f32[2]{0}) parameter(0)
  %c = f32[2]{0} copy(%s)
  ROOT %t = (s32[], /*index=1*/f32[2]{0:T(8,128)}) tuple(%c)
}

%condition (s: (s32[], f32[2])) -> pred[] {
  %s = (s32[], f32[2]{0}) parameter(0)
  ROOT %l = pred[] compare(%s, %s), direction=LT
}

ENTRY %main (a: f32[2]) -> f32[2] {
  %a = f32[2]{0} parameter(0)
  %f = f32[2]{0} fusion(%a), kind=kLoop, calls=%fused
  %k = (f32[2]{0}, /*index=1*/f32[2]{0:T(8,128)S(1)}) custom-call(%f), custom_call_target="x"
  %w = (s32[], f32[2]{0}) while(%k), condition=%condition, body=%body
  ROOT %r = f32[2]{0} get-tuple-element(%w), index=1
}
"""
    expected = {"fusion": 1, "custom-call": 1, "while": 1, "copy": 1, "compare": 1}
    assert compiled_step.count_operations(text) == Counter(expected)


@pytest.mark.parametrize(
    ("target", "candidates", "message"),
    [
        ("a100", 80, "compile-for is 'a100'; allowed are h100, v5e, v6e, v5p"),
        ("h100", 0, "candidates is 0; it must be at least 1"),
        ("h100", 80, r"whose compiler is not here .*`python experiments/compilers.py cuda DIR`"),
    ],
)
def test_what_cannot_be_compiled_is_refused(
    target: str, candidates: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(**_: Any) -> None:
        raise NotImplementedError("topology not implemented")

    monkeypatch.setattr(compiled_step.topologies, "get_topology_desc", missing)
    with pytest.raises(ValueError, match=message):
        compiled_step.compile_step(tasks.digits(), target, candidates)
