"""The version of glojax that is installed."""

import importlib.metadata


def version() -> str:
    """The version, ``"unknown"`` of a source tree that is not installed."""
    try:
        return importlib.metadata.version("glojax")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
