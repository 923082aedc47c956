"""The simulation of many devices, against what can be said without one."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
import scaling

FREE = scaling.Costs(group_step=1.0, call=0.0, exchange=0.0, host=0.0, spread=0.0, losses=0.0)
SIZE = scaling.Generation(candidates=80, rates=3, seeds=2, steps=900, halving=3)


def _draw() -> np.random.Generator:
    return np.random.default_rng(0)


def test_rungs_are_a_ninth_a_third_and_all_of_the_steps_and_groups_hold_one_seed() -> None:
    assert SIZE.rungs == [(240, 100), (80, 200), (27, 600)]
    assert SIZE.groups == 60
    assert SIZE.group_steps == 60 * 100 + 20 * 200 + 8 * 600


@pytest.mark.parametrize("devices", [1, 2, 7, 8, 60, 61, 1000])
def test_without_overheads_spmd_takes_the_steps_of_the_busiest_device(devices: int) -> None:
    steps = sum(-(-groups // devices) * steps for groups, steps in ((60, 100), (20, 200), (8, 600)))
    assert scaling.spmd(devices, SIZE, FREE, _draw()) == pytest.approx(steps)


def test_without_overheads_ray_takes_the_same_on_one_device_and_on_one_for_each_group() -> None:
    whole = replace(SIZE, halving=1)
    assert scaling.ray(1, whole, FREE, _draw()) == pytest.approx(60 * 900)
    for devices in (60, 1000):
        assert scaling.ray(devices, SIZE, FREE, _draw()) == pytest.approx(900)


def test_more_devices_than_groups_gain_generations_nothing_and_asynchronous_evolution_much() -> None:
    rows = {row["devices"]: row for row in scaling.table([60, 600], SIZE, FREE, generations=50)}
    for side in ("bound", "SPMD", "Ray"):
        assert rows[600][side] == pytest.approx(rows[60][side])
    assert rows[600]["asynchronous"] == pytest.approx(600)


@pytest.mark.parametrize("devices", [1, 4, 16, 60, 200])
def test_asynchronous_evolution_is_idle_no_longer_than_generations(devices: int) -> None:
    costs = replace(FREE, spread=0.3)
    work = SIZE.group_steps
    idle = [
        1 - work / devices / np.mean([scaling.ray(devices, SIZE, costs, _draw()) for _ in range(5)]),
        1 - work / devices / scaling.asynchronous(devices, SIZE, costs, _draw(), 50),
    ]
    assert idle[1] <= idle[0] + 0.02


def test_the_host_bounds_what_ray_can_serve() -> None:
    costs = replace(FREE, call=2.0)
    assert scaling.asynchronous(1000, SIZE, costs, _draw(), 50) >= 60 * 2.0


def test_lost_batches_cost_ray_their_time_and_spmd_a_restart() -> None:
    costs = replace(FREE, losses=3600 / 20_000, restart=1000.0)
    taken = {
        side: np.mean([simulate(8, SIZE, costs, np.random.default_rng(seed)) for seed in range(200)])
        for side, simulate in (("SPMD", scaling.spmd), ("Ray", scaling.ray))
    }
    free = {"SPMD": scaling.spmd(8, SIZE, FREE, _draw()), "Ray": scaling.ray(8, SIZE, FREE, _draw())}
    losses = costs.losses / 3600 * 8 * free["SPMD"]
    assert taken["SPMD"] == pytest.approx(free["SPMD"] + losses * (1000 + free["SPMD"] / 2), rel=0.15)
    assert free["Ray"] < taken["Ray"] < 1.5 * free["Ray"]
