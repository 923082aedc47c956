"""Checkpoints of a training under way, by Orbax: written whole or not at all, the newest kept."""

import os
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint.options import MultiprocessingOptions

from glojax.distributed import processes


class Checkpoint:
    """The newest checkpoint in a folder; of several processes that joined, only the first one's is written and read.

    Args:
      directory: of this training alone; made when the first is saved.
      identity: of what is trained. A checkpoint of something else is refused.
    """

    def __init__(self, directory: str | os.PathLike[str], identity: str):
        self.directory, self.identity = Path(directory).absolute(), identity

    def save(self, number: int, arrays: Any) -> None:
        """Keep a checkpoint in place of the one before.

        Args:
          number: of the checkpoint, above that of the one before.
          arrays: pytree of NumPy arrays.

        Raises:
          OSError: the folder cannot be written; the one before is still there.
        """
        content = ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays),  # type: ignore[call-arg]
            identity=ocp.args.JsonSave({"identity": self.identity}),  # type: ignore[call-arg]
        )
        if processes.is_first():
            self.directory.mkdir(parents=True, exist_ok=True)
            with self._manager() as manager:
                manager.save(number, args=content)

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """The number and the arrays of the newest checkpoint; none if nothing was saved.

        Args:
          like: a pytree of arrays with the structure, shapes and types of the one that was saved.

        Raises:
          ValueError: a checkpoint of something else, or a damaged one; the message names the folder.
        """
        kept: tuple[int, Any] | None = None

        def read() -> int | None:
            nonlocal kept
            kept = self._read(like)
            return None if kept is None else kept[0]

        number = processes.first(read)
        return None if number is None else (number, processes.first_arrays(like if kept is None else kept[1]))

    def _read(self, like: Any) -> tuple[int, Any] | None:
        if not self.directory.is_dir():
            return None
        with self._manager() as manager:
            number = manager.latest_step()
            if number is None:
                return None
            try:
                wanted = ocp.args.Composite(identity=ocp.args.JsonRestore())  # type: ignore[call-arg]
                identity = manager.restore(number, args=wanted)["identity"]["identity"]
                if identity != self.identity:
                    raise ValueError("it is of another training")
                wanted = ocp.args.Composite(arrays=ocp.args.StandardRestore(like))  # type: ignore[call-arg]
                return number, manager.restore(number, args=wanted)["arrays"]
            except Exception as error:  # Orbax and TensorStore raise all kinds where files are damaged.
                reason = str(error).partition("\n")[0]
                raise ValueError(f"the checkpoint {self.directory / str(number)} cannot be used: {reason}.") from error

    def _manager(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=1, enable_async_checkpointing=False, cleanup_tmp_directories=True, create=False,
            multiprocessing_options=MultiprocessingOptions(primary_host=0, active_processes={0}),
        )  # fmt: skip
        return ocp.CheckpointManager(self.directory, options=options)
