"""MNIST and CIFAR-10 read from their original files: preparation, downloads, damage and the network."""

import gzip
import importlib
import json
import shutil
import socket
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from conftest import SmallSets

from glojax import data

LOADERS: dict[str, Callable[..., data.Splits]] = {"mnist": data.mnist, "cifar10": data.cifar10}
MNIST_FILES = [f"{part}-{kind}.gz" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]


def rows(*splits: tuple[np.ndarray, np.ndarray]) -> list[bytes]:
    """Every image with its label, sorted: the order is that of TensorFlow Datasets."""
    return sorted(
        image.tobytes() + bytes([label]) for x, labels in splits for image, label in zip(x, labels, strict=True)
    )


@pytest.mark.parametrize(("name", "held_out"), [("mnist", 100), ("cifar10", 120)])
def test_images_are_those_of_the_original_files_in_parts_that_share_none(
    small_sets: SmallSets, name: str, held_out: int
) -> None:
    splits = LOADERS[name](small_sets.data_dir, raw=True)
    assert [len(split.labels) for split in splits] == [1200 - held_out, held_out, 30]
    train, test = small_sets.parts[name]
    assert rows(splits.train, splits.validation) == rows(train)
    assert rows(splits.test) == rows(test)
    for split in splits:
        assert split.x.shape[1:] == train.x.shape[1:]
        assert (split.x.dtype, split.labels.dtype) == (np.uint8, np.int32)


def test_a_prepared_set_is_read_without_its_files_and_without_tensorflow(small_sets: SmallSets, tmp_path: Path) -> None:
    expected = data.mnist(small_sets.data_dir, raw=True)
    without_pixels = shutil.ignore_patterns("glojax.npz")
    shutil.copytree(small_sets.data_dir / "mnist", tmp_path / "mnist", ignore=without_pixels)
    for split, other in zip(data.mnist(tmp_path, raw=True), expected, strict=True):
        np.testing.assert_array_equal(split.x, other.x)
    assert "tensorflow" not in sys.modules


def test_decoded_pixels_are_kept_and_decoded_again_where_they_are_damaged(
    small_sets: SmallSets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: Any
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(small_sets.data_dir, folder)
    expected = rows(*data.mnist(folder, raw=True))
    (kept,) = folder.glob("mnist/*/glojax.npz")
    whole = kept.read_bytes()
    decoded: list[str] = []
    read = images._read
    monkeypatch.setattr(images, "_read", lambda builder, part: decoded.append(part) or read(builder, part))
    assert rows(*data.mnist(folder, raw=True)) == expected
    assert decoded == []
    for damaged in (b"", whole[: len(whole) // 2], b"x" * 1000):
        kept.write_bytes(damaged)
        assert rows(*data.mnist(folder, raw=True)) == expected
        assert len(kept.read_bytes()) == len(whole)
    assert decoded == ["train", "test"] * 3


def test_the_folder_is_that_of_tensorflow_datasets(small_sets: SmallSets, monkeypatch: pytest.MonkeyPatch) -> None:
    file_utils = pytest.importorskip("tensorflow_datasets").core.utils.file_utils
    monkeypatch.setattr(file_utils.constants, "DATA_DIR", str(small_sets.data_dir))
    assert len(data.mnist(raw=True).test.labels) == 30


@pytest.mark.parametrize("name", LOADERS)
def test_without_files_and_network_the_error_is_immediate_and_says_what_goes_where(
    name: str, tmp_path: Path, offline: None
) -> None:
    pytest.importorskip("tensorflow_datasets")
    expected = MNIST_FILES if name == "mnist" else ["cifar-10-binary.tar.gz"]
    started = time.perf_counter()
    with pytest.raises(FileNotFoundError, match=f"^{name}: .* cannot be downloaded") as raised:
        LOADERS[name](tmp_path)
    assert time.perf_counter() - started < 5
    assert str(tmp_path / "downloads" / "manual") in str(raised.value)
    assert all(file in str(raised.value) for file in expected)


def test_only_files_that_are_missing_are_asked_for(tmp_path: Path, offline: None) -> None:
    pytest.importorskip("tensorflow_datasets")
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for file in MNIST_FILES[:3]:
        (manual / file).touch()
    with pytest.raises(FileNotFoundError, match=r"^mnist: t10k-labels-idx1-ubyte\.gz cannot be downloaded"):
        data.mnist(tmp_path)


def test_a_file_that_is_not_the_original_one_is_refused_by_name(tmp_path: Path, offline: None) -> None:
    pytest.importorskip("tensorflow_datasets")
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    (manual / "cifar-10-binary.tar.gz").write_bytes(b"something else")
    with pytest.raises(ValueError, match=f"^cifar10: .*{manual}/cifar-10-binary.tar.gz, has wrong checksum") as raised:
        data.cifar10(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_set_in_a_format_that_needs_tensorflow_is_refused(small_sets: SmallSets, tmp_path: Path) -> None:
    data.mnist(small_sets.data_dir)
    shutil.copytree(small_sets.data_dir / "mnist", tmp_path / "mnist")
    (info,) = tmp_path.glob("mnist/*/dataset_info.json")
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(ValueError, match=r"holds the data set as tfrecord, .* choose another data_dir"):
        data.mnist(tmp_path)


# THE NETWORK


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder of ``server``'s files."""
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Any:
    for variable in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    pytest.importorskip("tensorflow_datasets")
    return importlib.import_module("glojax.data.images")


def test_a_server_is_asked_itself_or_through_the_users_proxy(
    images: Any, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert images._answers(f"{server}/file")
    monkeypatch.setenv("http_proxy", server)
    assert images._answers("http://nowhere.invalid/file")


def test_files_are_downloaded_verified_and_prepared(
    images: Any, small_sets: SmallSets, served: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checksums = pytest.importorskip("tensorflow_datasets").core.download.checksums
    infos = {}
    for path in (small_sets.data_dir / "downloads" / "mnist").glob("*.gz"):
        file = json.loads(path.with_name(f"{path.name}.INFO").read_text())["original_fname"]
        shutil.copyfile(path, served / file)
        infos[f"{server}/{file}"] = checksums.compute_url_info(served / file)
    assert sorted(info.filename for info in infos.values()) == sorted(MNIST_FILES)
    monkeypatch.setattr(images._Mnist, "url_infos", infos)
    splits = data.mnist(tmp_path, raw=True)
    assert rows(*splits[:2]) == rows(small_sets.parts["mnist"][0])
    assert rows(splits.test) == rows(small_sets.parts["mnist"][1])

    content = (served / MNIST_FILES[0]).read_bytes()
    (served / MNIST_FILES[0]).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=f"{MNIST_FILES[0]}, .* has wrong checksum"):
        data.mnist(tmp_path / "wrong")
    (served / MNIST_FILES[0]).unlink()
    with pytest.raises(ConnectionError, match=f"^mnist: Failed to get url {server}/{MNIST_FILES[0]}. HTTP code: 404"):
        data.mnist(tmp_path / "missing")


def test_what_refuses_a_connection_does_not_answer(images: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert not images._answers(f"http://127.0.0.1:{port}/file")


def test_what_says_nothing_is_waited_for_briefly_and_once(
    images: Any, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert images._ANSWER_SECONDS < 5
    monkeypatch.setattr(images, "_ANSWER_SECONDS", 0.3)
    for protocol in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(protocol, silent)
    started = time.perf_counter()
    with pytest.raises(FileNotFoundError, match="does not answer"):
        data.mnist(tmp_path)
    assert time.perf_counter() - started < 1


# REAL IMAGES


def idx(path: Path, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


@pytest.mark.slow
def test_mnist_is_that_of_its_files(real_images: Path, tmp_path: Path, offline: None) -> None:
    pytest.importorskip("tensorflow_datasets")
    manual = shutil.copytree(real_images / "mnist", tmp_path / "downloads" / "manual", copy_function=shutil.copyfile)
    splits = data.mnist(tmp_path)
    assert [split.x.shape for split in splits] == [(55_000, 28, 28, 1), (5000, 28, 28, 1), (10_000, 28, 28, 1)]
    for part, found in (("train", splits[:2]), ("t10k", splits[2:])):
        x = idx(manual / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
        original = data.Split(x, idx(manual / f"{part}-labels-idx1-ubyte.gz", 8))
        pixels = [data.Split((split.x * 255).round().astype(np.uint8), split.labels) for split in found]
        assert rows(*pixels) == rows(original)
    # The order of TensorFlow Datasets' own builder.
    assert splits.train.labels[:10].tolist() == [4, 1, 0, 7, 8, 1, 2, 7, 1, 6]
    assert splits.test.labels[:10].tolist() == [2, 0, 4, 8, 7, 6, 0, 6, 3, 1]
    assert splits.validation.labels[:10].tolist() == [4, 4, 8, 3, 4, 7, 5, 8, 3, 1]


def test_mnist_with_one_wrong_byte_is_refused(real_images: Path, tmp_path: Path, offline: None) -> None:
    pytest.importorskip("tensorflow_datasets")
    manual = shutil.copytree(real_images / "mnist", tmp_path / "downloads" / "manual", copy_function=shutil.copyfile)
    content = bytearray((manual / MNIST_FILES[2]).read_bytes())
    content[1000] ^= 1
    (manual / MNIST_FILES[2]).write_bytes(content)
    with pytest.raises(ValueError, match=f"{MNIST_FILES[2]}, has wrong checksum"):
        data.mnist(tmp_path)
    assert not list(tmp_path.glob("mnist/*"))


def test_the_subset_of_cifar10_is_that_of_its_file(
    real_images: Path, tmp_path: Path, seed_cache: Callable[..., None], offline: None
) -> None:
    path = real_images / "cifar10-subset" / "cifar-10-binary.tar.gz"
    seed_cache(tmp_path, "cifar10", {path.name: path.read_bytes()})
    splits = data.cifar10(tmp_path, raw=True)
    assert [split.x.shape for split in splits] == [(4500, 32, 32, 3), (500, 32, 32, 3), (1000, 32, 32, 3)]
    original: dict[bool, list[data.Split]] = {True: [], False: []}
    with tarfile.open(path) as archive:
        for member in archive.getnames():
            if member.endswith(".bin"):
                content = np.frombuffer(archive.extractfile(member).read(), np.uint8).reshape(-1, 3073)  # type: ignore[union-attr]
                x = np.stack(
                    [content[:, 1 + 1024 * colour :][:, :1024].reshape(-1, 32, 32) for colour in range(3)], axis=-1
                )
                original["test" in member].append(data.Split(x, content[:, 0]))
    assert rows(*splits[:2]) == rows(*original[False])
    assert rows(splits.test) == rows(*original[True])
