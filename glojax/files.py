"""Files that are either whole or not there, that are read within limits, and where what can be made again is kept."""

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


def open_to_read(path: str | os.PathLike[str], most_bytes: int) -> BinaryIO:
    """A regular file, opened to read its bytes.

    Raises:
      ValueError: it has more than ``most_bytes``, or no file has such a path.
      OSError: it is no regular file, such as a pipe, which may never end, or it cannot be read.
    """
    path = Path(path)
    try:
        status = path.stat()
        file = path.open("rb") if stat.S_ISREG(status.st_mode) and status.st_size <= most_bytes else None
    except OSError as error:
        raise OSError(error.errno, error.strerror, short(path)) from None  # the same, but for the length of its path
    except ValueError:
        raise ValueError(f"{quoted(str(path))} is no path: it holds a character that no file's name has.") from None
    if file is not None:
        return file
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{short(path)} is not a regular file.")
    raise ValueError(f"{short(path)} has {status.st_size:,} bytes; at most {most_bytes:,} are allowed.")


def read_json(path: str | os.PathLike[str], most_bytes: int) -> Any:
    """What a JSON file holds.

    Raises:
      ValueError: it has more than ``most_bytes``, is not JSON in UTF-8, is nested too deeply for the parser, or an
        object in it has two entries of one name; the message names the file.
      OSError: as ``open_to_read``.
    """
    with open_to_read(path, most_bytes) as file:
        content = file.read(most_bytes + 1)  # not all there is: some files have more than they say
    try:
        if len(content) > most_bytes:
            raise ValueError(f"more than {most_bytes:,} bytes")
        return json.loads(content.decode(), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"{short(path)} is not JSON that can be read: it is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"{short(path)} is not JSON that can be read: {error}.") from None


def _object(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    ((name, count),) = Counter(name for name, _ in entries).most_common(1) or [("", 0)]
    if count > 1:
        raise ValueError(f"the entry {quoted(name)} is there {count} times")
    return dict(entries)


def cache_directory() -> Path:
    """Where compiled programs and timings are kept between runs: ``$GLOJAX_CACHE_DIR``, or the user's own cache."""
    return Path(os.environ.get("GLOJAX_CACHE_DIR") or platformdirs.user_cache_dir("glojax", appauthor=False))
