"""Several processes: what is refused, and what one alone does. Real ones are in ``tests/integration``."""

from typing import Any

import numpy as np
import pytest

from glojax.distributed import processes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("host:80", None, 0), "processes not given; coordinator, processes and process go together"),
        ((None, 2, None), "coordinator and process not given"),
        (("host", 2, 0), "coordinator is 'host'; HOST:PORT"),
        (("host:", 2, 0), "coordinator is 'host:'"),
        (("host:80", 2, 2), "process is 2 and processes is 2; 0 <= process < processes"),
        (("host:80", 2, -1), "process is -1"),
        (("host:80", 2, 1, 0.5), "heartbeat is 0.5; 1 to 3600 seconds"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        processes.check(*given)


def test_a_process_alone_exchanges_nothing() -> None:
    assert processes.is_first()
    assert processes.count() == 1
    kept = object()  # which JSON does not know
    assert processes.first(lambda: kept) is kept
    assert processes.first_arrays(kept) is kept
    np.testing.assert_array_equal(processes.gathered(np.arange(3)), [0, 1, 2])
    processes.agree("candidates", "anything")
