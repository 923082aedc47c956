"""Options of what tracks a search."""

from pathlib import Path

import pytest
from as_typed import run

from glojax.cli import trackers
from glojax.reporting import scalars


def test_every_tracker_has_a_name_on_the_command_line() -> None:
    assert [name.value for name in trackers.TrackerName] == list(scalars.WRITERS)


def test_scalars_need_a_run_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--tensorboard needs the --run-dir"):
        trackers.scalars_of(None, True, None)
    with pytest.raises(ValueError, match="--track needs the --run-dir"):
        trackers.scalars_of([trackers.TrackerName.WANDB], False, None)
    assert trackers.scalars_of(None, False, tmp_path) is None


def test_both_options_together_write_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    made = trackers.scalars_of([trackers.TrackerName.TENSORBOARD], True, tmp_path)
    assert made is not None
    assert len(made._writers) == 1


def test_an_unknown_tracker_is_refused_with_those_that_there_are() -> None:
    result = run("tune", "digits", "baikal", "--track", "comet")
    assert result.exit_code == 2
    assert "'tensorboard', 'wandb', 'mlflow'" in " ".join(result.output.split())
