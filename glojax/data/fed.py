"""Inputs that fit neither a device nor, perhaps, memory: they stay where they are, and minibatches are read from there.

train = (glojax.data.Fed("images.npy"), labels)  # memory-mapped
train = glojax.data.from_source(tfds.data_source("mnist", split="train"), "image", "label")
train = glojax.data.spooled(dataset, "folder")  # an iterator of batches, written to files once
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

_BLOCK = 4096  # examples that are read at once where all are

Part = str | int | Callable[[Any], Any]
"""What of an example is wanted: a name, a place in a tuple, or a function of the example."""


@dataclass(frozen=True, eq=False)
class Fed:
    """Inputs that are read when they are needed: a few steps of minibatches, or some examples to be scored on.

    Every training reads the same examples in the same order as if all were on the device, and gives the same scores.

    Args:
      source: what is read. An array that need not be in memory, ``[examples, ...]``, such as ``np.memmap`` or one of
        HDF5 or zarr; the path of a ``.npy`` file, which is memory-mapped; or a sequence of examples with ``len`` and
        ``[place]``, as data sources and ``MapDataset``s of grain and data sources of TensorFlow Datasets are, of arrays
        or trees. Or a dict or tuple of arrays or paths.
      digest: text that stands for the content in a run's identity. Defaults to a digest of all of it, for which
        everything is read once.
      types: the types of what is read, a tree of NumPy's. Defaults to those of the source; a task chooses its own.
      of: what of an example is read, where a sequence's examples hold more, such as labels. Defaults to all.

    Raises:
      ValueError: a source that can be read in none of these ways, or of unlike numbers of examples.
      OSError: a file that cannot be read.

    Example:
      ``glojax.Task(model, train=(glojax.data.Fed("tokens.npy"), labels), validation=validation)``
    """

    source: Any
    digest: str | None = None
    types: Any = None
    of: Part | None = None

    def __post_init__(self) -> None:
        for leaf in _flat(self.source)[0]:
            if isinstance(leaf, str | os.PathLike):
                can_be_read = Path(leaf).suffix == ".npy"
            else:
                can_be_read = hasattr(leaf, "__len__") and hasattr(leaf, "__getitem__")
            if not can_be_read:
                raise ValueError(
                    f"Fed.source has a {type(leaf).__name__}; an array, the path of a .npy file, or a sequence of "
                    "examples is expected. glojax.data.spooled writes an iterator to files."
                )
            if self.of is not None and not _has_examples(leaf):
                raise ValueError(f"Fed.of is {self.of!r}, and Fed.source has arrays; it is for sequences of examples.")
        if len(sizes := {len(opened) for opened in self._opened}) != 1:
            raise ValueError(f"Fed.source has arrays of {sorted(sizes)} examples; one number is expected.")

    @property
    def _opened(self) -> list[Any]:
        """The sources; a path is kept instead of its file, so that another process can open it too."""
        leaves, _ = _flat(self.source)
        return [np.load(leaf, mmap_mode="r") if isinstance(leaf, str | os.PathLike) else leaf for leaf in leaves]

    def __len__(self) -> int:
        return len(self._opened[0])

    def __getitem__(self, places: Any) -> Any:
        """Read examples.

        Args:
          places: a slice, or whole numbers ``[examples]``.

        Returns:
          NumPy arrays ``[examples, ...]`` of ``types``.
        """
        if isinstance(places, slice):
            places = np.arange(*places.indices(len(self)))
        wanted, back = np.unique(places, return_inverse=True)  # files are read in their order
        parts = [self._read(opened, wanted) for opened in self._opened]
        found = _tree().unflatten(_flat(self.source)[1], parts)
        found = _tree().map(lambda leaf: leaf[back], found)
        return found if self.types is None else _tree().map(lambda leaf, kind: leaf.astype(kind), found, self.types)

    def _read(self, opened: Any, places: np.ndarray) -> Any:
        if not _has_examples(opened):
            return np.asarray(opened[places])
        return _stacked([_part(example, self.of) for example in _examples(opened, places)])

    def as_types(self, types: Any) -> "Fed":
        """The same inputs, read in other types: a tree of NumPy's."""
        return replace(self, types=types)

    def astype(self, dtype: Any) -> "Fed":
        """The same array, read in another type."""
        return self.as_types(np.dtype(dtype))

    def blocks(self) -> Iterator[Any]:
        """All inputs, some thousand examples at a time."""
        for first in range(0, len(self), _BLOCK):
            yield self[first : first + _BLOCK]


def _tree() -> Any:
    """``jax.tree``; JAX takes a second to import, and reading a table has no need of it."""
    import jax

    return jax.tree


def _flat(source: Any) -> tuple[list[Any], Any]:
    """What is read, and its structure; of other containers than dicts and tuples, the examples are read."""
    return _tree().flatten(source, is_leaf=lambda part: not isinstance(part, dict | tuple))


def _has_examples(source: Any) -> bool:
    """Whether a source is a sequence of examples, and no array or path."""
    return not (isinstance(source, str | os.PathLike) or (hasattr(source, "shape") and hasattr(source, "dtype")))


def _examples(source: Any, places: np.ndarray) -> list[Any]:
    """Read examples one by one, or many at once where a source can."""
    wanted = [int(place) for place in places]
    read = source.__getitems__(wanted) if hasattr(source, "__getitems__") else [source[place] for place in wanted]
    missing = [place for place, example in zip(wanted, read, strict=True) if example is None]
    if missing:
        raise ValueError(f"Fed.source has no example at {missing[0]}, as after a filter; every place needs one.")
    return list(read)


def _part(example: Any, of: Part | None) -> Any:
    try:
        return example if of is None else of(example) if callable(of) else example[of]
    except (KeyError, IndexError, TypeError):
        has = f"a dict of {', '.join(map(str, example))}" if isinstance(example, Mapping) else type(example).__name__
        raise ValueError(f"{of!r} is wanted of an example, which is {has}.") from None


def _stacked(examples: list[Any]) -> Any:
    return _tree().map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *examples)


def from_source(source: Any, inputs: Part, labels: Part, *, digest: str | None = None) -> tuple[Fed, Any]:
    """Inputs and labels of a source whose examples hold both.

    Labels are kept in memory, and read with their examples once. Where reading all takes long, keep them in a file and
    give a task ``(Fed(source, of=...), labels)``.

    Args:
      source: a sequence of examples with ``len`` and ``[place]``, such as a data source or ``MapDataset`` of grain, or
        ``tensorflow_datasets.data_source``.
      inputs: what of an example are its inputs: a name, such as ``"image"``, a place, or a function of the example.
      labels: what of it is its label.
      digest: as for ``Fed``.

    Raises:
      ValueError: no such source, or examples that lack what is wanted.
    """
    fed = Fed(source, digest, of=inputs)
    blocks = [Fed(source, of=labels)[first : first + _BLOCK] for first in range(0, len(fed), _BLOCK)]
    if not blocks:
        raise ValueError("Fed.source has no examples.")
    return fed, _tree().map(lambda *parts: np.concatenate(parts), *blocks)


def spooled(
    batches: Iterable[Any], folder: str | os.PathLike[str], *, inputs: Part = 0, labels: Part = 1
) -> tuple[Fed, Any]:
    """Write what an iterator gives to files, once, so that it can be read at any place.

    Args:
      batches: arrays ``[batch, ...]``, or trees of them, of inputs and labels: a batched ``tf.data`` data set, a
        ``DataLoader`` or ``IterDataset`` of grain, or any other iterable that ends. The first says shapes and types.
      folder: where the files are kept; if it is there, it is read, and the iterator is not.
      inputs: what of a batch are its inputs: a name, a place, or a function. Defaults to the first of a pair.
      labels: what of it are its labels. Defaults to the second.

    Returns:
      The inputs, and the labels as arrays in memory.

    Raises:
      ValueError: no batch, or batches that differ in names, shapes or types.
    """
    folder, made = Path(folder), Path(f"{folder}.part")
    if not folder.is_dir():
        given: Iterable[Any] = batches.as_numpy_iterator() if hasattr(batches, "as_numpy_iterator") else batches  # type: ignore[attr-defined]
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        _write(((_part(batch, inputs), _part(batch, labels)) for batch in given), made)
        made.rename(folder)
    x, kept = _paths(json.loads((folder / "trees.json").read_text()), folder)
    return Fed(x), _tree().map(np.load, kept)


def _write(batches: Iterable[tuple[Any, Any]], folder: Path) -> None:
    files: list[Any] = []
    like: Any = None
    count = 0
    try:
        for batch in batches:
            inputs, labels = _tree().map(np.asarray, batch)
            leaves, structure = _tree().flatten((inputs, labels))
            if any(leaf.ndim == 0 for leaf in leaves):
                raise ValueError("an example was given without an axis of examples; batches of them are expected.")
            kinds = structure, [(leaf.dtype, leaf.shape[1:]) for leaf in leaves]
            if like is None:
                like, files = kinds, [(folder / f"{place}.npy").open("wb") for place in range(len(leaves))]
                for file in files:
                    file.write(bytes(_HEADER))
            if kinds != like or len({len(leaf) for leaf in leaves}) != 1:
                raise ValueError(
                    f"the batch after {count} examples is {kinds}; the first was {like}. All must be alike."
                )
            for file, leaf in zip(files, leaves, strict=True):
                file.write(np.ascontiguousarray(leaf).data)
            count += len(leaves[0])
        if like is None:
            raise ValueError("there is no batch to write; pairs (inputs, labels) are expected.")
        for file, (dtype, shape) in zip(files, like[1], strict=True):
            file.seek(0)
            file.write(_header(dtype, (count, *shape)))
    finally:
        for file in files:
            file.close()
    named = _tree().unflatten(like[0], [f"{place}.npy" for place in range(len(files))])
    (folder / "trees.json").write_text(json.dumps(_plain(named)))


_HEADER = 256


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The header of a ``.npy`` file of version 1.0, padded to a length that is known before the shape is."""
    text = repr({"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11).encode() + b"\n"


def _paths(tree: Any, folder: Path) -> Any:
    """What ``_plain`` made, with paths for names and tuples for lists."""
    if isinstance(tree, dict):
        return {name: _paths(part, folder) for name, part in tree.items()}
    return tuple(_paths(part, folder) for part in tree) if isinstance(tree, list) else str(folder / tree)


def _plain(tree: Any) -> Any:
    """A tree for JSON, where a tuple is a list."""
    if isinstance(tree, Mapping):
        return {name: _plain(part) for name, part in tree.items()}
    return [_plain(part) for part in tree] if isinstance(tree, tuple | list) else tree
