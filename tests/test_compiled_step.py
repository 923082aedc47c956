"""Training steps compiled for an H100 and a TPU by their real compilers, in processes that have no device."""

import json
import os
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


def compiler(platform: str, directory: Path) -> dict[str, str]:
    """The environment of a process that has the compiler of a platform; skips where it cannot be had."""
    kept = os.environ.get("GLOJAX_COMPILERS")
    folder = Path(kept) / platform if kept else directory / platform
    if not folder.is_dir():
        command = [sys.executable, str(ROOT / "experiments" / "compilers.py"), platform, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the compiler for {platform} cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "JAX_PLATFORMS": "cpu"}


def compiled(cases: list[tuple[str, int]], platform: str, directory: Path) -> list[Any]:
    """Of each case the step with a program for each candidate, then that with one fixed loss."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, env=compiler(platform, directory), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_on_an_h100_different_losses_take_few_kernels_more_than_a_fixed_one(tmp_path: Path) -> None:
    steps = compiled([("h100", 80), ("h100", 512)], "cuda", tmp_path)
    for more, different, fixed in zip((3, 5), steps[::2], steps[1::2], strict=True):
        (kernels, loops, copies, memory, text, _), (fixed_kernels, _, fixed_copies, *_) = different, fixed
        assert kernels <= fixed_kernels + more  # the interpreter, the packing of its programs, and sums in two parts
        assert loops == 0
        assert copies == fixed_copies
        assert memory < 80e9 / 10
        assert text.count('custom_call_target="__gpu$xla.gpu.triton"') == 1
        assert "f64[" not in text


@pytest.mark.slow
def test_on_a_tpu_the_losses_make_no_loop(tmp_path: Path) -> None:
    different, fixed = compiled([("v5e", 80)], "tpu", tmp_path)
    assert different[1] == fixed[1] == 0
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
