"""Files are written whole or not at all, and read within limits."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from glojax.files import cache_directory, open_to_read, read_json, replaced, write_atomically


@pytest.mark.parametrize(("content", "expected"), [("π\r\n", b"\xcf\x80\r\n"), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path: Path, content: str | bytes, expected: bytes) -> None:
    write_atomically(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == expected


def test_missing_folders_are_made_and_the_path_may_be_a_string(tmp_path: Path) -> None:
    write_atomically(str(tmp_path / "a" / "b" / "file"), "new")
    assert (tmp_path / "a" / "b" / "file").read_text() == "new"


def test_an_old_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old and longer")
    write_atomically(tmp_path / "file", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "new")]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        write_atomically(tmp_path / "file", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def test_the_new_content_is_on_disk_beside_the_file_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor: int) -> None:
        calls.append("fsync")
        fsync(descriptor)

    def recorded_replace(source: Path, target: Path) -> None:
        assert Path(source).parent == Path(target).parent
        assert Path(source).read_text() == "new"
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    write_atomically(tmp_path / "file", "new")
    assert calls == ["fsync", "replace"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "file", "new")
    plain, written = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "file"))
    assert written == plain


def test_a_folder_in_the_place_of_the_file_is_an_error_that_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_reported_with_the_files_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/loss\.json'"):
        write_atomically(tmp_path / "loss.json", "{}")
    assert not list(tmp_path.iterdir())


def cut_off() -> Iterator[bytes]:
    yield b"new"
    raise OSError("cut off")


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OSError, match="cut off"), replaced(tmp_path / "file") as file:
        file.writelines(cut_off())
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


# READING


def test_a_file_of_the_allowed_size_is_read_and_a_larger_one_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with open_to_read(tmp_path / "file", 5) as file:
        assert file.read() == b"12345"
    with pytest.raises(ValueError, match=r"file has 5 bytes; at most 4 are allowed\.$"):
        open_to_read(tmp_path / "file", 4)


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX's")
def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=f"^{path} is not a regular file"):
            open_to_read(path, 100)


def test_a_path_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^'a\\x00b' is not a path: file names cannot have a character in it\.$"):
        open_to_read("a\0b", 100)
    with pytest.raises(OSError, match="File name too long") as raised:
        open_to_read("a" * 10_000, 100)
    assert len(str(raised.value)) < 300


def test_json_is_read_with_its_types(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"a": [1, 2.5, "π", true, null], "b": {}}')
    assert read_json(tmp_path / "file", 100) == {"a": [1, 2.5, "π", True, None], "b": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "Expecting property name"),
        (b"\xff", "'utf-8' codec can't decode"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "the entry 'c' appears 2 times"),
    ],
    ids=["cut off", "not UTF-8", "nested", "two entries of one name"],
)
def test_what_is_not_json_is_refused_with_the_files_name(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=f"{tmp_path / 'file'} is not JSON that can be read: {message}"):
        read_json(tmp_path / "file", 10**6)


def test_the_cache_is_where_the_environment_says_or_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOJAX_CACHE_DIR", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("GLOJAX_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    assert cache_directory().name == "glojax"
