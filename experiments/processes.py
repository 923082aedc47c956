"""The cost of training over several processes: a batch in one process with all devices, and in a process for each.

Makes: the seconds a batch takes with both, their ratio, the time of one exchange, and whether the scores are equal to
the bit.
Command: python experiments/processes.py [--population 80] [--steps 500] [--devices 2] [--rounds 15] [--json FILE]
Time: about 2 minutes on 2 CPU cores.

Both are started at once and then take turns, so that a machine whose speed drifts favours neither.
"""

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

from glojax import benchmark, files, keep_programs, tasks, use_cores
from glojax.distributed import processes
from glojax.expressions import programs
from glojax.training.trainer import Trainer

NODES = 16  # of every candidate's own loss
EXCHANGES = 50


def work(options: argparse.Namespace) -> None:
    """Train a batch for every line of standard input, and print the seconds that it took."""
    use_cores(options.devices // options.count)
    keep_programs()
    several = processes.joined(options.coordinator, options.count, options.process)
    with several if options.count > 1 else contextlib.nullcontext():
        losses = benchmark.losses(options.population, NODES)
        trainer = Trainer(tasks.digits(options.steps), instructions=programs.room(NODES - 1))
        candidates = trainer.candidates(losses, [0] * len(losses))
        scores = trainer.scores(candidates)
        processes.agree("warming up", "")
        started = time.perf_counter()
        for _ in range(EXCHANGES):
            processes.agree("exchanges", "")
        _say({"exchange": (time.perf_counter() - started) / EXCHANGES, "scores": scores.tolist()})
        for _ in sys.stdin:
            started = time.perf_counter()
            trainer.scores(candidates)
            _say({"seconds": time.perf_counter() - started})


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


class Side:
    """Processes that train the same batch."""

    def __init__(self, options: argparse.Namespace, count: int):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        numbers = {name: getattr(options, name) for name in ("population", "steps", "devices")}
        given = [part for name, value in numbers.items() for part in (f"--{name}", str(value))]
        given += ["--coordinator", address, "--count", str(count)]
        self.processes = [
            subprocess.Popen(
                [sys.executable, __file__, *given, "--process", str(number)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for number in range(count)
        ]  # fmt: skip

    def answer(self) -> dict[str, Any]:
        """The first process's answer, as JSON; other output, such as Gloo's, is skipped."""
        answers = []
        for process in self.processes:
            assert process.stdout is not None
            answers.append(json.loads(next(line for line in process.stdout if line.startswith("{"))))
        return answers[0]

    def train(self) -> float:
        for process in self.processes:
            print(file=process.stdin, flush=True)
        return self.answer()["seconds"]

    def end(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            process.wait()


def main() -> None:
    """Let both sides train in turns, and print the seconds that they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--population", type=int, default=80)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--devices", type=int, default=2, help="devices in all, and processes of the other side")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", metavar="FILE", help="file for the figures")
    for hidden in ("coordinator", "count", "process"):  # options of the processes that this script starts
        parser.add_argument(f"--{hidden}", type=str if hidden == "coordinator" else int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count is not None:
        work(options)
        return
    sides = {f"1 process, {options.devices} devices": Side(options, 1)}
    sides[f"{options.devices} processes, 1 device each"] = Side(options, options.devices)
    begun = {name: side.answer() for name, side in sides.items()}
    rounds = [{name: side.train() for name, side in sides.items()} for _ in range(options.rounds)]
    for side in sides.values():
        side.end()
    one, several = sides
    same = begun[one]["scores"] == begun[several]["scores"]
    ratios = [taken[several] / taken[one] for taken in rounds]
    print(f"{options.population} losses of {NODES} nodes on digits, {options.steps} steps, {options.rounds} rounds")
    for name in sides:
        taken = [each[name] for each in rounds]
        print(f"{name}: {statistics.median(taken):.3f} s a batch ({min(taken):.3f} to {max(taken):.3f})")
    print(f"ratio: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    print(f"an exchange between {options.devices} processes: {1000 * begun[several]['exchange']:.1f} ms")
    print(f"scores are {'the same' if same else 'not the same'}")
    if options.json:
        found = {"options": vars(options), "begun": begun, "rounds": rounds}
        files.write_atomically(options.json, json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
