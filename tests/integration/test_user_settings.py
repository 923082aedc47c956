"""The tests of ``user_settings.py``, in a process of their own: they change JAX's settings for all of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_settings_of_a_user_change_nothing() -> None:
    folder = Path(__file__).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "--tb=short", str(folder / "user_settings.py")]
    ran = subprocess.run(command, cwd=folder.parent.parent, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) >= 15, ran.stdout
