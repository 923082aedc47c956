"""The sections of a report on what was set, and on the time it took."""

from collections.abc import Iterator, Mapping

from glojax.data.tables import load_transform
from glojax.records.summary import RunSummary
from glojax.reporting.blocks import Block, Table, Text


def settings_blocks(run: RunSummary) -> Iterator[Block]:
    """The task, and the settings of every phase."""
    task = run.task
    rows = [
        ["name", task.name],
        ["examples", ", ".join(f"{count} {name}" for name, count in task.examples.items())],
        ["steps of a training", f"{task.steps:,}"],
        ["batch size", f"{task.batch_size:,}"],
        ["metric", task.metric],
        ["score, which is maximized", task.score],
        ["prediction", task.output],
        ["baseline", task.baseline],
        ["fingerprint", task.fingerprint],
    ]
    caption = "The fingerprint is computed from the data, the shapes of the network and the length of training."
    yield Table(["task", ""], rows, caption)
    if run.phases:
        configs = {name: flattened(phase.config) for name, phase in run.phases.items()}
        names = dict.fromkeys(name for config in configs.values() for name in config)
        rows = [[name, *(config.get(name, "") for config in configs.values())] for name in names]
        yield Table(["setting", *configs], rows, "The settings of every phase, from settings.json.")


def table_blocks(run: RunSummary) -> Iterator[Block]:
    """What the columns of a table were taken for, where the task is one."""
    if (path := run.directory / "table.json").exists():
        rows = [[title, text] for title, text in load_transform(path).about]
        yield Table(["data", ""], rows, "What each column of the table was taken for, from table.json.")


def flattened(config: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Settings as text by name; those of a group have the group's name and a dot before their own."""
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flat[prefix + name] = ", ".join(map(str, value)) or "none"
        elif isinstance(value, bool) or value is None:
            flat[prefix + name] = {True: "yes", False: "no", None: "none"}[value]
        else:
            flat[prefix + name] = f"{value:.6g}" if isinstance(value, float) else str(value)
    return flat


def time_blocks(run: RunSummary) -> Iterator[Block]:
    """How long trainings took, and when each phase ran."""
    yield Text(f"The run directory is {run.directory.resolve()}. Only this section depends on time and place.")
    rows = []
    for phase in run.phases.values():
        trained = [record for record in [*phase.candidates, *phase.finals] if record.steps]
        steps, seconds = sum(record.steps for record in trained), sum(record.seconds for record in trained)
        speed = f"{steps / seconds:,.0f}" if seconds else ""
        rows.append([phase.name, f"{len(trained):,}", f"{steps:,}", f"{seconds:,.1f}", speed])
    head = ["phase", "candidates trained", "candidate-steps", "seconds of training", "steps a second"]
    yield Table(head, rows, "Finals are included, the baseline is not; seconds include compiling.")
    rows = [
        [session.phase, _moment(session.started), _moment(session.last_event), session.outcome or "no end recorded"]
        for session in run.sessions
    ]
    if rows:
        yield Table(["phase", "started", "last event", "outcome"], rows, "When phases ran, from events.jsonl, in UTC.")


def _moment(time: str) -> str:
    return time.partition(".")[0].replace("T", " ")
