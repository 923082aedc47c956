"""Atomic writing: whole files, or the old ones."""

import errno
import os
import stat
from pathlib import Path

import pytest

from glojax.files import write_atomically


@pytest.mark.parametrize(("content", "expected"), [("π\r\n", b"\xcf\x80\r\n"), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path: Path, content: str | bytes, expected: bytes):
    write_atomically(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == expected


def test_missing_folders_are_made_and_the_path_may_be_a_string(tmp_path: Path):
    write_atomically(str(tmp_path / "a" / "b" / "file"), "new")
    assert (tmp_path / "a" / "b" / "file").read_text() == "new"


def test_an_old_file_is_replaced_and_nothing_else_is_left(tmp_path: Path):
    (tmp_path / "file").write_text("old and longer")
    write_atomically(tmp_path / "file", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "new")]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
):
    def fail(*_: object) -> None:
        raise error

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        write_atomically(tmp_path / "file", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def test_the_new_content_is_on_disk_beside_the_file_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
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
def test_permissions_are_those_of_any_new_file(tmp_path: Path):
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "file", "new")
    plain, written = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "file"))
    assert written == plain


def test_a_folder_in_the_place_of_the_file_is_an_error_that_leaves_it(tmp_path: Path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_told_with_the_file_s_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/loss\.json'"):
        write_atomically(tmp_path / "loss.json", "{}")
    assert not list(tmp_path.iterdir())
