"""Arrays of float64 are for the tests that enable 64 bits; all others hand in float32.

JAX 0.10 now and then takes a NumPy array of float64 for what it was under the other setting, when a process uses one of
the same shape under both.
"""

import inspect

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def arrays_of_32_bits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "enable_x64" in inspect.getsource(request.function):
        return
    for name, value in list(vars(request.module).items()):
        if isinstance(value, np.ndarray) and value.dtype == np.float64:
            monkeypatch.setattr(request.module, name, value.astype(np.float32))
