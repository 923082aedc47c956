"""What it costs to feed training inputs from a file instead of holding them on the device.

Makes: candidate-steps a second of the paper's network, its images on the device and fed from a memory-mapped file, and
their ratio in each round.
Command: python experiments/feeding.py [--network mlp] [--rounds 5] [--steps 20]
Time: about two minutes on two CPU cores.

Rounds take turns, so that other work on the machine slows both alike.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import optax

import glojax
from glojax.models import MLP, PaperCNN
from glojax.training.trainer import Trainer

CANDIDATES = 4


def rate(trainer: Trainer, steps: int) -> float:
    """Candidate-steps a second of one training."""
    trees = [glojax.parse("x * log(y)")] * CANDIDATES
    started = time.perf_counter()
    trainer.scores(trainer.candidates(trees, seeds=[0] * CANDIDATES), steps=steps)
    return CANDIDATES * steps / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=("paper", "mlp"), default="paper")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    x, labels = random.integers(0, 256, (20_000, 28, 28, 1)).astype(np.uint8), np.arange(20_000) % 10
    model = PaperCNN() if options.network == "paper" else MLP((64, 10))
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", x)
        kept: dict[str, Any] = {"on the device": x, "fed": glojax.data.Fed(Path(folder) / "images.npy")}
        trainers = {}
        for name, given in kept.items():
            settings: dict[str, Any] = {"optimizer": optax.sgd(0.01), "batch_size": 100, "steps": options.steps}
            task = glojax.Task(
                model, (given, labels), (x[:100], labels[:100]), **settings, preprocess=lambda x: x / 255
            )
            trainers[name] = Trainer(task, instructions=3)
            rate(trainers[name], options.steps)  # compiles
        rounds = [
            {name: rate(trainer, options.steps) for name, trainer in trainers.items()} for _ in range(options.rounds)
        ]
    for name in kept:
        print(f"{name}: {statistics.median(one[name] for one in rounds):.1f} candidate-steps a second")
    ratios = [one["fed"] / one["on the device"] for one in rounds]
    print(f"fed / on the device: {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
