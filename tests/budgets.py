"""How many cases a property test tries: always the same few or, with ``GLOJAX_TEST_CASES=20``, 20 times as many."""

import os

from hypothesis import settings

TIMES = int(os.environ.get("GLOJAX_TEST_CASES", "1"))


def cases(count: int = 100) -> settings:
    """So many, without a limit for the time of one."""
    return settings(deadline=None, max_examples=count * TIMES, derandomize=TIMES == 1)
