"""MNIST and CIFAR-10 by TensorFlow Datasets, without TensorFlow.

TensorFlow Datasets finds or downloads the original files, verifies their SHA-256 and keeps the prepared set. Its own
builders unzip and encode with TensorFlow; those here have the same names, versions and checksums, do that in Python,
and write array_record, which is read without TensorFlow too.

Importing this module needs the extra ``tfds``; ``data.mnist`` and ``data.cifar10`` import it when they are called.
"""

import contextlib
import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

# TensorFlow Datasets would look for these after a download only.
import array_record.python.array_record_module  # noqa: F401
import numpy as np
import requests
import tensorflow_datasets
from PIL import Image
from tensorflow_datasets.image_classification.cifar import Cifar10
from tensorflow_datasets.image_classification.mnist import MNIST

from glojax import files

_ANSWER_SECONDS = 4
_KEPT = "glojax.npz"  # the pixels: to decode those of MNIST takes ten seconds
_tfds: Any = tensorflow_datasets  # which finds its modules in a way that type checkers do not see


class Images(NamedTuple):
    """One part of a data set."""

    x: np.ndarray  # uint8[examples, height, width, channels]
    labels: np.ndarray  # int32[examples]


class _Mnist(MNIST, skip_registration=True):
    name = "mnist"
    url_infos: Any = MNIST.url_infos

    def _split_generators(self, dl_manager: Any) -> Any:
        paths = dl_manager.download({info.filename: url for url, info in self.url_infos.items()})

        def part(prefix: str) -> Iterator[tuple[int, dict[str, Any]]]:
            # The idx format: a header, then a byte for each pixel or label.
            images = _unzipped(paths[f"{prefix}-images-idx3-ubyte.gz"])[16:].reshape(-1, 28, 28)
            labels = _unzipped(paths[f"{prefix}-labels-idx1-ubyte.gz"])[8:]
            return _examples(images, labels)

        return {"train": part("train"), "test": part("t10k")}


def _unzipped(path: Any) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8)


class _Cifar10(Cifar10, skip_registration=True):
    name = "cifar10"
    url_infos: Any = Cifar10.url_infos

    def _split_generators(self, dl_manager: Any) -> Any:
        info: Any = self._cifar_info
        features: Any = self.info.features
        with tarfile.open(dl_manager.download(info.url)) as archive:
            content = {Path(member.name).name: _member(archive, member) for member in archive if member.isfile()}
        features["label"].names = content[info.label_files[0]].decode().split()

        def part(name: str, files: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
            # A row is the label and the planes of red, green and blue.
            rows = np.frombuffer(b"".join(content[file] for file in files), np.uint8).reshape(-1, 1 + 3 * 32 * 32)
            images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            for index, example in _examples(images, rows[:, 0]):
                yield index, example | {"id": f"{name}_{index:05}"}

        return {"train": part("train", info.train_files), "test": part("test", info.test_files)}


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


def _examples(images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
    # An array would be encoded with TensorFlow, an image of Pillow's is not. The index decides on the order.
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield index, {"image": Image.fromarray(image), "label": int(label)}


_BUILDERS: dict[str, Any] = {"mnist": _Mnist, "cifar10": _Cifar10}


def load(name: str, data_dir: str | os.PathLike[str] | None) -> tuple[Images, Images]:
    """The training and the test images of a set, in the order of TensorFlow Datasets; prepared where it is not yet.

    Args:
      name: ``"mnist"`` or ``"cifar10"``.
      data_dir: where TensorFlow Datasets keeps its data; its own default if left out.

    Raises:
      FileNotFoundError: files are neither there nor to be had.
      OSError: a download failed.
      ValueError: a file is not the original one, or the set is there in a format that needs TensorFlow.
    """
    builder = _BUILDERS[name](data_dir=None if data_dir is None else os.path.expanduser(data_dir))
    if not (builder.data_path / "dataset_info.json").exists():
        _prepare(builder)
    file_format = builder.info.file_format.value
    if file_format != "array_record":
        raise ValueError(
            f"{name}: {builder.data_dir} holds the set as {file_format}, which only TensorFlow reads; "
            "choose another data_dir, where it is prepared as array_record."
        )
    kept = Path(builder.data_dir) / _KEPT
    try:
        with open(kept, "rb") as file, np.load(file) as arrays:
            return Images(arrays["x"], arrays["labels"]), Images(arrays["test_x"], arrays["test_labels"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # not there, or damaged
        train, test = _read(builder, "train"), _read(builder, "test")
    content = io.BytesIO()
    np.savez(content, x=train.x, labels=train.labels, test_x=test.x, test_labels=test.labels)
    with contextlib.suppress(OSError):  # where nothing can be kept, it is read again
        files.write_atomically(kept, content.getvalue())
    return train, test


def _read(builder: Any, part: str) -> Images:
    # Record by record, or with the decoder of TensorFlow Datasets, this takes four times as long.
    source = builder.as_data_source(part, decoders={"image": _tfds.decode.SkipDecoding()})
    shape = builder.info.features["image"].shape
    x, labels = np.empty((len(source), *shape), np.uint8), np.empty(len(source), np.int32)
    for first in range(0, len(source), 1000):
        places = range(first, min(first + 1000, len(source)))
        for place, example in zip(places, source.__getitems__(places), strict=True):
            x[place] = np.asarray(Image.open(io.BytesIO(example["image"]))).reshape(shape)
            labels[place] = example["label"]
    return Images(x, labels)


def _prepare(builder: Any) -> None:
    missing = {url: info.filename for url, info in builder.url_infos.items() if not _is_here(builder, url, info)}
    downloads = builder.data_dir_root / "downloads"
    # TensorFlow Datasets itself tries for minutes where there is no network.
    if unreachable := next((url for url in missing if not _answers(url)), None):
        raise FileNotFoundError(
            f"{builder.name}: {', '.join(missing.values())} cannot be downloaded, as {urlsplit(unreachable).netloc} "
            f"does not answer; connect to the network, or put these files into {downloads / 'manual'}."
        )
    download = _tfds.core.download
    settings = download.DownloadConfig(try_download_gcs=False, force_checksums_validation=True)
    try:
        builder.download_and_prepare(file_format="array_record", download_config=settings)
    except download.DownloadError as error:
        raise ConnectionError(f"{builder.name}: {error}") from error
    except download.download_manager.NonMatchingChecksumError as error:
        said = " ".join(str(error).partition("To debug")[0].split())
        raise ValueError(f"{builder.name}: {said} Replace it by the original file.") from error


def _is_here(builder: Any, url: str, info: Any) -> bool:
    resource = _tfds.core.download.resource
    downloads, cached = builder.data_dir_root / "downloads", resource.get_dl_fname(url, info.checksum)
    return (downloads / "manual" / info.filename).exists() or any(
        resource.is_locally_cached(folder / cached) for folder in (downloads / builder.name, downloads)
    )


def _answers(url: str) -> bool:
    """Whether anything is heard of a URL, if need be through the user's proxy, within seconds."""
    heard = []

    def ask() -> None:
        with contextlib.suppress(OSError), requests.head(url, timeout=_ANSWER_SECONDS):
            heard.append(True)

    # The look-up of a name has no timeout, so that it may outlive us.
    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    return bool(heard)
