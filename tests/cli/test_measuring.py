"""The command ``glojax bench``, on figures that were not measured here."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from as_typed import cells, run

from glojax import benchmark
from glojax.cli import measuring


@pytest.mark.parametrize(("value", "shown"), [(123456.7, "123,457"), (10, "10"), (9.87, "9.9"), (0.0123, "0.012")])
def test_rates_are_shown_to_two_digits_below_10(value: float, shown: str) -> None:
    assert measuring._rate(value) == shown


def test_every_network_is_measured_at_every_size_and_shown_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[Any, ...]] = []

    def planned(name: str, size: int | None, **options: Any) -> tuple[Any, ...]:
        asked.append((name, size, options["nodes"], options["steps"], options["rounds"], options["group"]))
        return asked[-1]

    def measure(plan: tuple[Any, ...]) -> Any:
        return SimpleNamespace(
            network=plan[0],
            population=plan[1],
            group=5,
            compilations=1,
            compile_seconds=2.5,
            memory_bytes=2**30,
            candidate_steps_per_second=SimpleNamespace(median=1500.0, lowest=1400.0, highest=1600.0),
            candidates_per_second=3.25,
            gemm_share=SimpleNamespace(median=0.25),
        )

    monkeypatch.setattr(benchmark, "planned", planned)
    monkeypatch.setattr(benchmark, "measure", measure)
    monkeypatch.setattr(benchmark, "machine", lambda: {"devices": 2})
    monkeypatch.setattr(benchmark, "as_json", lambda machine, found: {**machine, "speeds": len(found)})
    monkeypatch.setattr(measuring, "prepare", lambda devices: None)
    result = run(
        "bench", "mlp", "cnn", "--population", 4, "--population", 8, "--rounds", 3, "--json", tmp_path / "a.json"
    )
    assert result.exit_code == 0, result.output
    assert asked == [(name, size, 16, None, 3, None) for name in ("mlp", "cnn") for size in (4, 8)]
    rows = [cells(line) for line in result.output.splitlines() if line.startswith("│")]
    assert rows[0] == ["mlp", "4", "5", "1,500", "1,400 to 1,600", "3.25", "25%", "1", "2.50 s", "1.00 GiB"]
    assert len(rows) == 4
    assert json.loads((tmp_path / "a.json").read_text()) == {"devices": 2, "speeds": 4}
    assert json.loads(run("bench", "--json", "-").stdout) == {"devices": 2, "speeds": 1}
