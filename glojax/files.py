"""Files that are written whole or not at all and read within size limits, and the folder of the user's cache."""

import contextlib
import json
import os
import secrets
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from glojax.errors import quoted, short


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` on success and is deleted on failure.

    Args:
      path: file to write or replace. Missing folders are created.

    Yields:
      The temporary file, open for writing bytes.

    Raises:
      OSError: the file cannot be written, for example because the disk is full; an existing file is left as it was.

    Example:
        with replaced("scores.npz") as file:
            np.savez(file, scores=scores)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # tempfile's files are readable by their owner alone; this one gets the permissions of any new file.
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
    """Write a file so that a reader, or a crash, sees its old content or the new, never a part of it.

    Args:
      path: file to write or replace. Missing folders are created.
      content: bytes, or text that is written as UTF-8.

    Raises:
      OSError: the file cannot be written; an existing file is left as it was.
    """
    with replaced(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def open_to_read(path: str | os.PathLike[str], max_bytes: int) -> BinaryIO:
    """Open a regular file for reading bytes.

    Args:
      path: file to read.
      max_bytes: the largest size that is accepted.

    Raises:
      ValueError: the file is larger than ``max_bytes``, or the path cannot be one of a file.
      OSError: the file cannot be read, or is not a regular file (a pipe or a device may never end).
    """
    path = Path(path)
    try:
        status = path.stat()
        file = path.open("rb") if stat.S_ISREG(status.st_mode) and status.st_size <= max_bytes else None
    except OSError as error:
        raise OSError(error.errno, error.strerror, short(path)) from None  # the same error with a shortened path
    except ValueError:
        raise ValueError(f"{quoted(str(path))} is not a path: file names cannot have a character in it.") from None
    if file is not None:
        return file
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{short(path)} is not a regular file.")
    raise ValueError(f"{short(path)} has {status.st_size:,} bytes; at most {max_bytes:,} are allowed.")


def read_json(path: str | os.PathLike[str], max_bytes: int) -> Any:
    """Read a JSON file.

    Args:
      path: file to read, UTF-8.
      max_bytes: the largest size that is accepted.

    Returns:
      Its content as dicts, lists, strings, numbers, booleans and None.

    Raises:
      ValueError: the file is too large, is not JSON in UTF-8, is nested too deeply for the parser, or has an object
        with two entries of the same name. The message names the file.
      OSError: the file cannot be read, or is not a regular file.
    """
    with open_to_read(path, max_bytes) as file:
        content = file.read(max_bytes + 1)  # some files are longer than their reported size
    try:
        if len(content) > max_bytes:
            raise ValueError(f"more than {max_bytes:,} bytes")
        return json.loads(content.decode(), object_pairs_hook=_unique_entries)
    except RecursionError:
        raise ValueError(f"{short(path)} is not JSON that can be read: it is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"{short(path)} is not JSON that can be read: {error}.") from None


def _unique_entries(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    ((name, count),) = Counter(name for name, _ in entries).most_common(1) or [("", 0)]
    if count > 1:
        raise ValueError(f"the entry {quoted(name)} appears {count} times")
    return dict(entries)


def cache_directory() -> Path:
    """Folder of compiled programs and timings kept between runs: ``$GLOJAX_CACHE_DIR``, or the user's own cache."""
    return Path(os.environ.get("GLOJAX_CACHE_DIR") or platformdirs.user_cache_dir("glojax", appauthor=False))
