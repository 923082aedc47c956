"""The U-Net and the character model of the guide, a population of losses trained by glojax and by others, in turns.

Makes: candidate-steps per second of every side, and glojax's ratio over each of the others.
Command: python experiments/dense_side_by_side.py [--task unet|characters] [--population 16] [--rounds 5] [--json FILE]
Time: about 3 minutes on 2 CPU cores.

The tasks are those of docs/guide.md without class weights. Every candidate has its own loss and network and takes Adam
steps in float32, on minibatches of one size from one data set. Compilation counts for no side. The sides:

  glojax      one program for the whole population; the time includes initialization, drawing the minibatches and
              scoring on the validation set.
  loop        one jitted JAX step for every candidate and minibatch, of the same Flax module.
  torch.func  torch.func.vmap of the same network over all candidates, then each candidate's own loss on its slice; one
              backward pass of their sum and one update of the stacked parameters (extra: torch; left out without it).

Loop and torch.func must change the parameters alike in three steps of plain SGD.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from side_by_side import compared_speeds, measure, print_compared
from torch_sides import LOWEST, torch, torch_function

from glojax import benchmark, files, tasks
from glojax.expressions import programs
from glojax.expressions.trees import Tree
from glojax.losses.loss import Loss
from glojax.tasks.task import Task
from glojax.training.trainer import Trainer

GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"
RATES = {"unet": 1e-2, "characters": 1e-2}  # of the guide's Adam
CHECKED_STEPS, TOLERANCE = 3, 1e-2


def guide_task(name: str, folder: Path) -> Task:
    """The task of the guide's file ``NAME.py``."""
    (code,) = re.findall(rf"```python\n(# {name}\.py\n.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    (folder / f"{name}.py").write_text(code)
    return replace(tasks.task_by_name(f"{folder / name}.py:task"), class_weights=None)


class Work(NamedTuple):
    """The work of loop and torch.func."""

    task: Task
    name: str
    params: Any  # where every candidate starts
    minibatches: list[tuple[np.ndarray, np.ndarray]]  # inputs, and labels [batch, ...], -1 where unknown
    population: list[Tree]
    adam: bool = True  # else plain SGD, of which rounding stays rounding


def work_of(task: Task, name: str, population: list[Tree], steps: int) -> Work:
    """The work, with weights and minibatches drawn once."""
    (x, labels), random = task.splits["train"], np.random.default_rng(0)
    places = [random.choice(len(labels), task.batch_size, replace=False) for _ in range(steps)]
    params, _ = jax.jit(task.pure_model.init)(jax.random.key(0))
    return Work(task, name, params, [(x[chosen], labels[chosen]) for chosen in places], population)


def jax_loop(work: Work) -> Callable[[int], Iterator[Any]]:
    """A run of a number of steps that yields each candidate's parameters; its data is on the device beforehand."""
    optimizer = work.task.optimizer if work.adam else optax.sgd(RATES[work.name])

    def jitted(tree: Tree) -> Callable[..., Any]:
        loss = Loss(tree)

        def mean_loss(params: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
            logits, _ = work.task.pure_model.apply(params, {}, x, jax.random.key(0), True)
            return jnp.mean(loss(logits, jax.nn.one_hot(labels, logits.shape[-1]), where=labels >= 0))

        @jax.jit
        def step(params: Any, state: Any, x: jax.Array, labels: jax.Array) -> tuple[Any, Any]:
            updates, state = optimizer.update(jax.grad(mean_loss)(params, x, labels), state, params)
            return optax.apply_updates(params, updates), state

        return step

    steps_of = {tree: jitted(tree) for tree in set(work.population)}
    minibatches = [(jnp.asarray(x), jnp.asarray(labels)) for x, labels in work.minibatches]

    def run(steps: int) -> Iterator[Any]:
        for tree in work.population:
            params, state = work.params, optimizer.init(work.params)
            for x, labels in minibatches[:steps]:
                params, state = steps_of[tree](params, state, x, labels)
            yield jax.block_until_ready(params)

    return run


# TORCH


def unet(params: Any, x: Any) -> Any:
    """The guide's U-Net of one example, ``[height, width, 1]``; parameters are Flax's."""
    functional = torch.nn.functional

    def convolved(x: Any, layer: Any) -> Any:
        return functional.conv2d(x, layer["kernel"].permute(3, 2, 0, 1), layer["bias"], padding=1).relu()

    fine = convolved(x.permute(0, 3, 1, 2), params["Conv_0"])
    coarse = convolved(functional.max_pool2d(fine, 2), params["Conv_1"])
    upsampled = functional.interpolate(coarse, scale_factor=2, mode="nearest")
    last = convolved(torch.cat([fine, upsampled], dim=1), params["Conv_2"]).permute(0, 2, 3, 1)
    return last @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]


def characters(params: Any, x: Any) -> Any:
    """The guide's character model of tokens ``[batch, length]``."""
    x = params["Embed_0"]["embedding"][x]
    for number, dilation in enumerate((1, 2, 4)):
        layer = params[f"Conv_{number}"]
        padded = torch.nn.functional.pad(x.transpose(1, 2), (dilation, 0))
        kernel = layer["kernel"].permute(2, 1, 0)
        x = x + torch.nn.functional.conv1d(padded, kernel, layer["bias"], dilation=dilation).transpose(1, 2).tanh()
    return x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]


def torch_vmap(work: Work) -> Callable[[int], Iterator[Any]]:
    """All candidates at once, by ``torch.func.vmap``."""
    functions: Any = [torch_function(tree) for tree in work.population]
    forward = torch.func.vmap({"unet": unet, "characters": characters}[work.name], in_dims=(0, None))
    outputs = work.task.outputs
    minibatches = [
        (torch.tensor(x), torch.tensor(np.eye(outputs, dtype=np.float32)[labels]), torch.tensor(labels >= 0)[..., None])
        for x, labels in work.minibatches
    ]

    def stacked() -> Any:
        count = len(functions)
        one = lambda leaf: torch.tensor(np.asarray(leaf)).expand(count, *leaf.shape).clone().requires_grad_()
        return jax.tree.map(one, work.params)

    def sum_of_losses(params: Any, x: Any, one_hot: Any, known: Any) -> Any:
        predictions = forward(params, x).softmax(-1).clamp(min=LOWEST).unbind()
        values = [
            torch.where(known, function(one_hot, y), 0) for function, y in zip(functions, predictions, strict=True)
        ]
        return -torch.stack(values).sum() / known.numel()

    def run(steps: int) -> Iterator[Any]:
        params = stacked()
        made = torch.optim.Adam if work.adam else torch.optim.SGD
        optimizer = made(jax.tree.leaves(params), lr=RATES[work.name])
        for minibatch in minibatches[:steps]:
            value = sum_of_losses(params, *minibatch)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        for place in range(len(functions)):
            yield jax.tree.map(lambda leaf, place=place: leaf.detach()[place].numpy(), params)

    return run


def check_equal_work(work: Work) -> None:
    """Raise RuntimeError unless both change each array of parameters alike, but for rounding, by plain SGD."""
    work = work._replace(adam=False)
    for one, other in zip(jax_loop(work)(CHECKED_STEPS), torch_vmap(work)(CHECKED_STEPS), strict=True):
        for start, ours, theirs in zip(*map(jax.tree.leaves, (work.params, one, other)), strict=True):
            difference = np.linalg.norm(ours - theirs) / np.linalg.norm(ours - start)
            if not difference <= TOLERANCE:
                raise RuntimeError(
                    f"torch.func: parameters differ from the loop's by {difference:.1e} of their change."
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=tuple(RATES), default="unet")
    parser.add_argument("--population", type=int, default=16)
    parser.add_argument("--nodes", type=int, default=16, help="nodes of each tree")
    parser.add_argument("--steps", type=int, default=60, help="of glojax; the other sides take a third")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="file for the result")
    options = parser.parse_args()
    folder = files.cache_directory() / "guide"
    folder.mkdir(parents=True, exist_ok=True)
    task = replace(guide_task(options.task, folder), steps=options.steps)
    population = list(benchmark.losses(options.population, options.nodes))
    trainer = Trainer(task, instructions=programs.room(options.nodes - 1))
    candidates = trainer.candidates(population, [0] * len(population))
    work = work_of(task, options.task, population, max(CHECKED_STEPS, options.steps // 3))
    sides: Any = {
        "glojax": (lambda _: trainer.scores(candidates), options.steps),
        "loop": (jax_loop(work), len(work.minibatches)),
    }
    if torch is not None:
        check_equal_work(work)
        sides["torch.func"] = (torch_vmap(work), len(work.minibatches))
    print(f"{len(population)} losses of {options.nodes} nodes, {options.task}, batch {task.batch_size}", flush=True)
    result = compared_speeds(measure(sides, options.rounds, len(population)))
    print_compared(result, options.rounds)
    if options.json:
        files.write_atomically(options.json, json.dumps({"options": vars(options), **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
