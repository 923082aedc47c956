"""MNIST and CIFAR-10 through TensorFlow Datasets, without TensorFlow.

TensorFlow Datasets finds or downloads the original files, verifies their SHA-256 and keeps the prepared data set. Its
own builders decompress and encode with TensorFlow. Those here have the same names, versions and checksums, do that
work in Python, and write array_record, which is read without TensorFlow.

Importing this module needs the extra ``tfds``; ``data.mnist`` and ``data.cifar10`` import it when they are called.
"""

import contextlib
import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, Protocol
from urllib.parse import urlsplit

# TensorFlow Datasets would report these missing only after a download.
import array_record.python.array_record_module  # noqa: F401
import numpy as np
import requests
import tensorflow_datasets
from PIL import Image
from tensorflow_datasets.image_classification.cifar import Cifar10
from tensorflow_datasets.image_classification.mnist import MNIST

from glojax import files
from glojax.data.splits import Split

_ANSWER_SECONDS = 4
_KEPT = "glojax.npz"  # decoded pixels: decoding MNIST's takes ten seconds
_tfds: Any = tensorflow_datasets  # it loads its modules lazily, which type checkers cannot follow

_Examples = Iterator[tuple[int, dict[str, Any]]]  # key, then image and label by the name of the feature


class _UrlInfo(Protocol):
    """What TensorFlow Datasets knows of a file to download."""

    filename: str
    checksum: str


class _DataSource(Protocol):
    """Records of a prepared data set, read many at a time."""

    def __len__(self) -> int: ...

    def __getitems__(self, places: Sequence[int]) -> Sequence[dict[str, Any]]: ...


class _Builder(Protocol):
    """The part of a TensorFlow Datasets builder that is used here; its own types are those of any builder."""

    name: str
    info: Any
    url_infos: Mapping[str, _UrlInfo]
    data_dir: str

    @property
    def data_path(self) -> Path: ...

    @property
    def data_dir_root(self) -> Path: ...

    def as_data_source(self, split: str, *, decoders: Mapping[str, Any]) -> _DataSource: ...

    def download_and_prepare(self, *, file_format: str, download_config: Any) -> None: ...


class _Mnist(MNIST, skip_registration=True):
    name = "mnist"
    url_infos: Any = MNIST.url_infos

    def _split_generators(self, dl_manager: Any) -> Any:
        paths = dl_manager.download({info.filename: url for url, info in self.url_infos.items()})

        def part(prefix: str) -> _Examples:
            # The idx format: a header, then one byte for each pixel or label.
            images = _unzipped(paths[f"{prefix}-images-idx3-ubyte.gz"])[16:].reshape(-1, 28, 28)
            labels = _unzipped(paths[f"{prefix}-labels-idx1-ubyte.gz"])[8:]
            return _examples(images, labels)

        return {"train": part("train"), "test": part("t10k")}


def _unzipped(path: str | os.PathLike[str]) -> np.ndarray:
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

        def part(name: str, members: Sequence[str]) -> _Examples:
            # A row has the label, then the red, the green and the blue plane.
            rows = np.frombuffer(b"".join(content[member] for member in members), np.uint8).reshape(-1, 1 + 3 * 32 * 32)
            images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            for index, example in _examples(images, rows[:, 0]):
                yield index, example | {"id": f"{name}_{index:05}"}

        return {"train": part("train", info.train_files), "test": part("test", info.test_files)}


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


def _examples(images: np.ndarray, labels: np.ndarray) -> _Examples:
    # TensorFlow Datasets encodes arrays with TensorFlow, but Pillow images without it. It shuffles by the index.
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield index, {"image": Image.fromarray(image), "label": int(label)}


_BUILDERS: dict[str, Any] = {"mnist": _Mnist, "cifar10": _Cifar10}


def read_images(name: str, data_dir: str | os.PathLike[str] | None) -> tuple[Split, Split]:
    """Read the training and the test part of a data set, and prepare it first where that has not been done.

    Args:
      name: ``"mnist"`` or ``"cifar10"``.
      data_dir: folder of TensorFlow Datasets, or None for its own default.

    Returns:
      Images, uint8 ``[examples, height, width, channels]``, and int32 labels, in the order of TensorFlow Datasets.

    Raises:
      FileNotFoundError: original files are missing and cannot be downloaded.
      OSError: a download failed.
      ValueError: a file differs from the original, or the data set was prepared in a format that needs TensorFlow.
    """
    builder: _Builder = _BUILDERS[name](data_dir=None if data_dir is None else os.path.expanduser(data_dir))
    if not (builder.data_path / "dataset_info.json").exists():
        _prepare(builder)
    file_format = builder.info.file_format.value
    if file_format != "array_record":
        raise ValueError(
            f"{name}: {builder.data_dir} holds the data set as {file_format}, which only TensorFlow can read; "
            "choose another data_dir, where it will be prepared as array_record."
        )
    kept = Path(builder.data_dir) / _KEPT
    try:
        with open(kept, "rb") as file, np.load(file) as arrays:
            return Split(arrays["x"], arrays["labels"]), Split(arrays["test_x"], arrays["test_labels"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # missing or damaged
        train, test = _read(builder, "train"), _read(builder, "test")
    content = io.BytesIO()
    np.savez(content, x=train.x, labels=train.labels, test_x=test.x, test_labels=test.labels)
    with contextlib.suppress(OSError):  # where nothing can be written, they are decoded every time
        files.write_atomically(kept, content.getvalue())
    return train, test


def _read(builder: _Builder, part: str) -> Split:
    # Four times as fast as reading record by record, or with the decoder of TensorFlow Datasets.
    source = builder.as_data_source(part, decoders={"image": _tfds.decode.SkipDecoding()})
    shape = builder.info.features["image"].shape
    x, labels = np.empty((len(source), *shape), np.uint8), np.empty(len(source), np.int32)
    for first in range(0, len(source), 1000):
        places = range(first, min(first + 1000, len(source)))
        for place, example in zip(places, source.__getitems__(places), strict=True):
            x[place] = np.asarray(Image.open(io.BytesIO(example["image"]))).reshape(shape)
            labels[place] = example["label"]
    return Split(x, labels)


def _prepare(builder: _Builder) -> None:
    missing = {url: info.filename for url, info in builder.url_infos.items() if not _is_present(builder, url, info)}
    downloads = builder.data_dir_root / "downloads"
    # Without a network TensorFlow Datasets would retry for minutes.
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
        raise ValueError(f"{builder.name}: {said} Replace it with the original file.") from error


def _is_present(builder: _Builder, url: str, info: _UrlInfo) -> bool:
    resource = _tfds.core.download.resource
    downloads, cached = builder.data_dir_root / "downloads", resource.get_dl_fname(url, info.checksum)
    return (downloads / "manual" / info.filename).exists() or any(
        resource.is_locally_cached(folder / cached) for folder in (downloads / builder.name, downloads)
    )


def _answers(url: str) -> bool:
    """Whether a server, or the user's proxy for it, answers within seconds."""
    heard: list[bool] = []

    def ask() -> None:
        with contextlib.suppress(OSError), requests.head(url, timeout=_ANSWER_SECONDS):
            heard.append(True)

    # Looking up a name has no timeout, so the thread may outlive this function.
    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    return bool(heard)
