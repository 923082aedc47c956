"""Where the progress of a run is tracked, beside its own record: what a tracker's writer is."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Writer(Protocol):
    """Writes scalars for one tracker. A run directory has several runs there, one for each phase and each curve.

    Files in the run directory are made by the first scalar, not before.
    """

    def write(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """Write scalars of a step.

        Args:
          run: the name of the run, such as ``"search"`` or ``"comparison found"``.
          step: a generation from 0 on, or optimizer steps. What is written once more from the start of a run, after an
            interruption, takes the place of what was there.
          values: scalars by name, such as ``"fitness/best"``.
        """
        ...

    def close(self) -> None:
        """End all runs, and release files and connections."""
        ...


def key_of(run_dir: Path) -> str:
    """16 hexadecimal digits that tell a run directory from all others; they stay with it, in ``tracking-key``."""
    path = run_dir / "tracking-key"
    if not path.exists():
        run_dir.mkdir(parents=True, exist_ok=True)
        path.write_text(secrets.token_hex(8) + "\n")
    return path.read_text().strip()
