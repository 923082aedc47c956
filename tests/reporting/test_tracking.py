"""What tells a run directory from all others."""

import re
import shutil
from pathlib import Path

from glojax.reporting import tracking


def test_a_run_directory_keeps_its_key_when_it_moves_and_no_other_has_it(tmp_path: Path) -> None:
    key = tracking.key_of(tmp_path / "one")
    assert re.fullmatch("[0-9a-f]{16}", key)
    assert tracking.key_of(tmp_path / "one") == key
    assert tracking.key_of(tmp_path / "other") != key
    shutil.move(tmp_path / "one", tmp_path / "moved")
    assert tracking.key_of(tmp_path / "moved") == key
