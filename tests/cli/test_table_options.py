"""The options of a table on the command line."""

import json
from pathlib import Path

from typer.testing import CliRunner

from glojax import cli
from glojax.data import tables


def test_options_of_a_table_reach_the_reader_and_what_was_read_is_printed_and_kept(tmp_path: Path) -> None:
    rows = [f"{i}:{'SML'[i % 3]}:{i * 7 % 50}:{('n', 'y')[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    options = ["--csv", tmp_path / "t.csv", "--target", "4", "--delimiter", ":", "--no-header", "--drop", "1"]
    options += ["--ordinal", "2=S,M,L", "--missing", "49", "--run-dir", tmp_path / "run", "--no-random-search"]
    small = {"population": 4, "generations": 1, "steps": 5, "seeds": 1, "full-steps": 0, "tune-generations": 0}
    result = CliRunner().invoke(
        cli.app, ["search", *map(str, options), *(f"--{name}={value}" for name, value in small.items())]
    )
    text = " ".join(result.output.split())
    for said in ("4: 2 classes", "2 (S < M < L)", "1 (as asked)", "3 2: filled"):
        assert said in text
    transform = tables.load_transform(tmp_path / "run" / "table.json")
    assert transform.features == ("2", "3")
    assert json.loads((tmp_path / "run" / "table.json").read_text())["about"][1][0] == "Target"
