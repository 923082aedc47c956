"""Files that are either whole or not there, and where what can be made again is kept."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import platformdirs


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when all is written and that of nothing if it is not.

    Args:
      path: of the file; missing folders are made.

    Raises:
      OSError: the file cannot be written, as where the disk is full; what was there before is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not a file of tempfile, which nobody else may read: the permissions are those of any new file.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from None
        raise


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file so that a reader, or a crash, meets the old content or the new, never a part.

    Args:
      path: of the file; missing folders are made.
      content: text, written as UTF-8, or bytes.

    Raises:
      OSError: as ``replaced``.
    """
    with replaced(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def cache_directory() -> Path:
    """Where compiled programs and timings are kept between runs: ``$GLOJAX_CACHE_DIR``, or the user's own cache."""
    return Path(os.environ.get("GLOJAX_CACHE_DIR") or platformdirs.user_cache_dir("glojax", appauthor=False))
