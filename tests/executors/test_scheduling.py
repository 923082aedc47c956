"""Which batch a free worker gets, by a clock that the tests move."""

import random

import pytest

from glojax.executors import scheduling
from glojax.executors.scheduling import Dispatch


def test_batches_go_out_in_order_and_are_complete_when_all_are_done() -> None:
    batches = Dispatch[str]([0, 1, 2])
    assert [batches.next(worker, 0.0) for worker in "abcd"] == [0, 1, 2, None]
    for batch, worker in enumerate("abc"):
        assert not batches.is_complete
        assert batches.finished(batch, worker, 0.5)
    assert batches.is_complete
    assert batches.next("a", 100.0) is None


def test_a_worker_prefers_a_batch_that_it_holds_then_one_that_nobody_holds_then_the_last_of_anothers() -> None:
    batches = Dispatch(range(4), {0: "a", 1: "b", 3: "a"})
    assert [batches.next("b", 0.0), batches.next("b", 0.0), batches.next("b", 0.0)] == [1, 2, 3]
    assert batches.next("a", 0.0) == 0


def test_a_lost_workers_batch_is_the_next_and_nobody_holds_its_networks() -> None:
    batches = Dispatch(range(3), {2: "a"})
    assert batches.next("b", 0.0) == 0
    assert batches.next("a", 0.0) == 2
    assert not batches.lost("a", 2)
    assert batches.next("c", 0.0) == 2
    assert not batches.lost("c")
    assert batches.next("b", 0.0) == 1


def test_a_batch_that_is_lost_more_often_than_the_retries_is_reported() -> None:
    batches = Dispatch[int]([0])
    for worker in range(scheduling.RETRIES + 1):
        assert batches.next(worker, 0.0) == 0
        assert batches.lost(worker, 0) == (worker == scheduling.RETRIES)


def _one_of_three_runs() -> Dispatch[str]:
    """Two batches took 4 seconds; worker c still has the third, which it started at 0."""
    batches = Dispatch[str]([0, 1, 2])
    for worker in "abc":
        batches.next(worker, 0.0)
    batches.finished(0, "a", 4.0)
    batches.finished(1, "b", 4.0)
    return batches


def test_a_late_batch_is_started_once_more_after_twice_the_median_and_the_first_result_counts() -> None:
    batches = _one_of_three_runs()
    assert batches.next("a", 8.0) is None
    assert batches.next("a", 8.1) == 2
    assert batches.next("b", 100.0) is None
    assert batches.finished(2, "a", 12.0)
    assert batches.is_complete
    assert not batches.finished(2, "c", 13.0)


def test_a_batch_that_two_workers_have_is_lost_only_with_both() -> None:
    batches = _one_of_three_runs()
    batches.next("a", 9.0)
    assert not batches.lost("c", 2)
    assert batches.waiting == []
    assert not batches.lost("a", 2)
    assert batches.waiting == [2]


@pytest.mark.parametrize(("expected", "late"), [(0.1, 1.0), (3.0, 6.0), (float("inf"), None)])
def test_before_a_batch_is_done_late_is_twice_what_is_expected_and_at_least_a_second(
    expected: float, late: float | None
) -> None:
    batches = Dispatch[str]([0], expected=expected)
    batches.next("a", 0.0)
    assert batches.next("b", (late or 1e9) - 0.01) is None
    assert batches.next("b", (late or 1e9) + 0.01) == (None if late is None else 0)


def test_whatever_is_lost_and_late_every_batch_is_done_once() -> None:
    for seed in range(200):
        drawn, now = random.Random(seed), 0.0
        workers, busy = list(range(4)), dict[int, int]()
        batches = Dispatch(range(7), {batch: drawn.choice(workers) for batch in range(3)})
        results = 0
        while not batches.is_complete:
            now += drawn.expovariate(1.0)
            for worker in workers:
                if worker not in busy and (batch := batches.next(worker, now)) is not None:
                    busy[worker] = batch
            worker = drawn.choice(list(busy))
            batch = busy.pop(worker)
            if drawn.random() < 0.15:
                workers[workers.index(worker)] = max(workers) + 1
                if batches.lost(worker, batch):
                    break
            else:
                results += batches.finished(batch, worker, now)
        assert results == len(batches.done)
        assert sorted([*batches.done, *set(batches.waiting), *set(busy.values()) - batches.done]) == list(range(7))
