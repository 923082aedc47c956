"""The workflows of whoever hosts the repository, and its pre-commit hooks, beside what they must agree with."""

import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from glojax import cli

ROOT = Path(__file__).parents[2]
CI, NIGHTLY, RELEASE = (f".github/workflows/{name}.yml" for name in ("ci", "nightly", "release"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def jobs(workflow: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / workflow).read_text())["jobs"]


def steps(workflow: str) -> list[dict[str, Any]]:
    return [step for job in jobs(workflow).values() for step in job.get("steps", ())]


def commands(workflow: str) -> list[str]:
    return [step["run"].strip() for step in steps(workflow) if "run" in step]


def test_every_python_that_is_promised_is_tested() -> None:
    promised = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), flags=re.MULTILINE)
    matrix = jobs(CI)["tests"]["strategy"]["matrix"]
    assert matrix == {"python": promised, "dependencies": ["lowest-direct", "highest"]}
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_what_a_change_must_pass_here_it_must_pass_there() -> None:
    here = re.findall(r"^(?:\w+=\S+ )*(\.venv/bin/.*)$", (ROOT / ".ci/run").read_text(), flags=re.MULTILINE)
    assert len(here) >= 4
    line = re.search(r"^(python3 -m venv .*) && (.venv/bin/pytest)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert line
    assert {*here, *line.groups()} <= set(commands(CI))


def test_slow_tests_are_run_by_continuous_integration_alone() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    assert options[-2:] == ["-m", "not slow"]
    assert {".venv/bin/pytest", ".venv/bin/pytest -m slow"} <= set(commands(CI))
    assert ".venv/bin/pytest -m 'slow or not slow'" in commands(NIGHTLY)
    here = (ROOT / ".ci/run").read_text().splitlines()
    assert here.index(".venv/bin/pytest -m slow") == len(here) - 2  # the README's line is last


def test_programs_are_those_that_the_extra_dev_installs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    found = [*commands(CI), *(hook["entry"] for hook in hooks)]
    names = {Path(shlex.split(command)[0]).name for command in found if command.startswith(".venv/bin/")}
    assert names == {"ruff", "pyright", "mkdocs", "pytest", "glojax"}
    required = " ".join(PROJECT["optional-dependencies"]["dev"] + PROJECT["optional-dependencies"]["docs"])
    assert all(name in required for name in names - {"glojax"})


def test_the_search_that_tries_the_wheel_is_one_that_the_command_takes() -> None:
    (search,) = (command for command in commands(CI) if command.startswith(".venv/bin/glojax"))
    _, name, *arguments = shlex.split(search)
    get_command(cli.app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


@pytest.mark.parametrize("workflow", [CI, RELEASE])
def test_actions_have_versions_and_jobs_an_end(workflow: str) -> None:
    for step in steps(workflow):
        assert "@" in step.get("uses", "@"), step
    for name, job in jobs(workflow).items():
        assert "timeout-minutes" in job or job["uses"] == f"./{CI}", name


def test_only_the_release_may_publish_and_nothing_holds_a_token() -> None:
    for workflow in (CI, RELEASE):
        text = (ROOT / workflow).read_text()
        assert "secrets." not in text
        assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    publish = jobs(RELEASE)["publish"]
    assert publish["needs"] == "ci"
    assert publish["permissions"] == {"id-token": "write"}
    assert not any("id-token" in str(job) for job in jobs(CI).values())


def test_requirements_for_a_gpu_have_the_same_bounds() -> None:
    lines = [line for line in (ROOT / "requirements-gpu.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line.replace("[cuda12]", "") for line in lines] == PROJECT["dependencies"]


def test_the_oldest_python_of_the_tools_is_that_of_the_package() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert f">=3.{tools['ruff']['target-version'].removeprefix('py3')}" == PROJECT["requires-python"]
    assert sys.version_info >= (3, int(PROJECT["requires-python"].removeprefix(">=3.")))
