"""Whether products of fewer bits, as accelerators compute them, change what losses are worth: emulated on a CPU.

Makes: test accuracy of three losses on digits, and on digits with 40% wrong training labels, where the operands of
every product are rounded to the bits of TF32 (11) and bfloat16 (8), forward and backward, and summed in 32 bits.
Command: python experiments/precision.py [--seeds 16] [--steps 500]
Time: half a minute on 2 CPU cores.
"""

import argparse
import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import glojax
from glojax import statistics, tasks

BITS = {"highest": 23, "tf32": 10, "bf16": 7}  # of the fraction, beside the leading 1
LOSSES = {"cross_entropy": 30.0, "log(y) - x / y": 3.0, "sqrt(y) * (x - y)": 30.0}  # with a scale of the task's rate


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def product(bits: int, a: jax.Array, b: jax.Array) -> jax.Array:
    """``a @ b`` of rounded operands."""
    return _rounded(bits, a) @ _rounded(bits, b)


def _rounded(bits: int, array: jax.Array) -> jax.Array:
    return jax.lax.reduce_precision(array, exponent_bits=8, mantissa_bits=bits)


def _backward(bits: int, operands: tuple[jax.Array, jax.Array], found: jax.Array) -> tuple[jax.Array, jax.Array]:
    a, b = operands
    return product(bits, found, b.T), product(bits, a.T, found)


product.defvjp(lambda bits, a, b: (product(bits, a, b), (a, b)), _backward)


def network(bits: int) -> Any:
    """The 64-64-10 network of digits as an (init, apply) pair."""
    initializer = jax.nn.initializers.lecun_normal()

    def init(key: jax.Array) -> Any:
        kernels = [
            initializer(one, shape) for one, shape in zip(jax.random.split(key), [(64, 64), (64, 10)], strict=True)
        ]
        return [(kernel, jnp.zeros(kernel.shape[1])) for kernel in kernels], {}

    def apply(params: Any, state: Any, x: jax.Array, key: jax.Array, train: bool) -> Any:
        (first, first_bias), (second, second_bias) = params
        hidden = jax.nn.relu(product(bits, x.reshape(len(x), -1), first) + first_bias)
        return product(bits, hidden, second) + second_bias, state

    return init, apply


def main() -> None:
    """Train all losses in all precisions over the same seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    for task in (tasks.digits(options.steps), tasks.noisy_digits(options.steps)):
        scores = {}
        for name, bits in BITS.items():
            emulated = dataclasses.replace(task, model=network(bits))
            rates = list(LOSSES.values())
            scores[name] = glojax.evaluate(emulated, [*LOSSES], options.seeds, split="test", rates=rates)
        for place, loss in enumerate(LOSSES):
            cells = [
                f"{name} {found[place].mean():.4f} ± {found[place].std(ddof=1):.4f}" for name, found in scores.items()
            ]
            against = [
                f"{statistics.paired_p(scores['highest'][place], scores[name][place]):.2g}" for name in ("tf32", "bf16")
            ]
            print(f"{task.name}, {loss}: " + ", ".join(cells) + f"; p {against[0]} and {against[1]}", flush=True)


if __name__ == "__main__":
    main()
