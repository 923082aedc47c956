"""How many trainings it takes to settle which finalist is the best: sequential allocation against two fixed rounds.

Makes: the trainings that each method takes, and how often it names the best finalist, by simulation on recorded scores.
Command: python experiments/allocation.py [--task noisy] [--finalists 24] [--seeds 256] [--draws 200]
Time: about 5 minutes on 2 CPU cores.

The finalists are the best of an exhaustive search to depth 2, as finals meet them. Each is trained over many seeds; the
best by all of them counts as the truth. A simulated final draws seeds from these. Two fixed rounds are n trainings for
all and three times as many more for the best quarter, won by the best lower confidence bound; for each n they have a
chance of being right, and the trainings that allocation saves are read off where the chances are equal.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from glojax import ExhaustiveConfig, exhaust, files, statistics, tasks
from glojax.discovery import allocation, scoring
from glojax.seeds import named_seed

Final = Callable[[np.ndarray], tuple[int, int]]  # scores [finalists, seeds] -> the winner, and the trainings it took


def fixed(count: int) -> Final:
    """``count`` trainings for all, three times as many more for the best quarter, the best lower bound wins."""

    def final(scores: np.ndarray) -> tuple[int, int]:
        quarter = np.argsort(-scores[:, :count].mean(axis=1), kind="stable")[: -(-len(scores) // 4)]
        best = quarter[statistics.lower_bound(scores[quarter, : 4 * count]).argmax()]
        return int(best), count * len(scores) + 3 * count * len(quarter)

    return final


def sequential(count: int, budget: int) -> Final:
    """``count`` trainings for all, then as they are allocated, up to ``budget`` times as many in all."""

    def final(scores: np.ndarray) -> tuple[int, int]:
        have = np.full(len(scores), count)
        while True:
            rows = [row[:trained].tolist() for row, trained in zip(scores, have, strict=True)]
            left = budget * count * len(scores) - int(have.sum())
            more = allocation.allocate(rows, min(24, left), 16 * count) if left > 0 else []
            if not any(more):
                return statistics.winner(rows), int(have.sum())
            have = have + more

    return final


def simulate(final: Final, scores: np.ndarray, draws: int) -> tuple[float, float, float]:
    """The chance of naming the best, the mean shortfall of what was named, and the median number of trainings."""
    random, means = np.random.default_rng(0), scores.mean(axis=1)
    found = [final(scores[:, random.permutation(scores.shape[1])]) for _ in range(draws)]
    winners, trainings = np.array(found).T
    return (
        float((winners == means.argmax()).mean()),
        float((means.max() - means[winners]).mean()),
        float(np.median(trainings)),
    )


def main() -> None:
    """Record scores of finalists, and simulate finals of both kinds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--task", choices=("noisy", "clean"), default="noisy", help="digits, with 40 %% label noise or not"
    )
    parser.add_argument("--finalists", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=256)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--scores", metavar="FILE", help="take the scores that --json wrote instead of training")
    parser.add_argument("--json", metavar="FILE", help="write the scores and the results there too")
    options = parser.parse_args()
    task = tasks.harder(tasks.digits(), label_noise=0.4 if options.task == "noisy" else 0.0)
    if options.scores:
        scores = np.array(json.loads(Path(options.scores).read_text())["scores"])
    else:
        chosen = exhaust(task, ExhaustiveConfig(depth=2, finalists=1)).ranking[: options.finalists]
        seeds = [named_seed(0, "truth", number) for number in range(options.seeds)]
        losses, rates = [task.loss(known.tree) for known in chosen], [known.rate for known in chosen]
        scores = scoring.score_losses(task, losses, seeds, rates)[..., 0].astype(float)
    ranked = np.sort(scores.mean(axis=1))[::-1]
    print(f"{task.name}: the best three have {ranked[:3].round(4)}; one training scatters by", end=" ")
    print(f"{np.median(scores.std(axis=1)):.4f}", flush=True)
    if options.json:
        files.write_atomically(options.json, json.dumps({"scores": scores.tolist()}))
    rows = [
        ("two fixed rounds", count, *simulate(fixed(count), scores, options.draws))
        for count in (1, 2, 3, 4, 6, 8, 12, 16)
    ]
    rows += [
        (f"allocated, {count} first", budget, *simulate(sequential(count, budget), scores, options.draws))
        for count in (2, 3, 4) for budget in (2, 3, 4, 6)
    ]  # fmt: skip
    for name, setting, right, shortfall, trainings in rows:
        print(f"{name:22} {setting:<5g} right {right:.3f}  shortfall {shortfall:.5f}  trainings {trainings:.0f}")
    if options.json:
        files.write_atomically(options.json, json.dumps({"scores": scores.tolist(), "rows": rows}))


if __name__ == "__main__":
    main()
