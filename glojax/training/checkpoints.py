"""A checkpoint of a training under way, written by Orbax: whole or not at all, and only the newest is kept.

What is saved is a pytree of NumPy arrays (``Trainer.on_host``) and the identity of the training. A checkpoint is
restored only for a training of the same identity.
"""

import os
from pathlib import Path
from typing import TypeVar

import orbax.checkpoint as ocp
from orbax.checkpoint.options import MultiprocessingOptions

from glojax.distributed import processes

Arrays = TypeVar("Arrays")


class Checkpoint:
    """The newest checkpoint in a folder. Of several processes that joined, only the first reads and writes it.

    Args:
      directory: folder of this training alone; it is made by the first ``save``.
      identity: digest of what is trained.
    """

    def __init__(self, directory: str | os.PathLike[str], identity: str):
        self.directory, self.identity = Path(directory).absolute(), identity

    def save(self, number: int, arrays: object) -> None:
        """Save a checkpoint in place of the previous one.

        Args:
          number: number of the checkpoint, above that of the previous one.
          arrays: pytree of NumPy arrays.

        Raises:
          OSError: the folder cannot be written; the previous checkpoint is still there.
        """
        content = ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays),  # type: ignore[call-arg]
            identity=ocp.args.JsonSave({"identity": self.identity}),  # type: ignore[call-arg]
        )
        if processes.is_first():
            self.directory.mkdir(parents=True, exist_ok=True)
            with self._manager() as manager:
                manager.save(number, args=content)

    def restore(self, like: Arrays) -> tuple[int, Arrays] | None:
        """Read the newest checkpoint.

        Args:
          like: a pytree of arrays with the structure, shapes and types of the saved one.

        Returns:
          Its number and its arrays, the same in all processes; None if nothing was saved.

        Raises:
          ValueError: the checkpoint is of another training, or damaged; the message names its folder.
        """
        kept: tuple[int, Arrays] | None = None

        def read() -> int | None:
            nonlocal kept
            kept = self._read(like)
            return None if kept is None else kept[0]

        number = processes.first(read)
        return None if number is None else (number, processes.first_arrays(like if kept is None else kept[1]))

    def _read(self, like: Arrays) -> tuple[int, Arrays] | None:
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
            max_to_keep=1,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
            create=False,
            multiprocessing_options=MultiprocessingOptions(primary_host=0, active_processes={0}),
        )
        return ocp.CheckpointManager(self.directory, options=options)
