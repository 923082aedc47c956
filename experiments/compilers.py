"""Fetch the compilers of accelerators that this machine does not have.

Shows: nothing; makes a folder that ``glojax bench --compile-for`` and the tests use.
Command: python experiments/compilers.py cuda|tpu DIR, then PYTHONPATH=DIR glojax bench mlp --compile-for h100|v5e
Time: a minute or two; 0.5 GB.

The packages are put into the folder without what they depend on, so the environment of glojax stays as it is. They are
of the version of the jaxlib that is installed.
"""

import argparse
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path


def packages(platform: str) -> list[str]:
    """The packages of a platform's compiler, ``"cuda"`` or ``"tpu"``, with their versions."""
    jaxlib = version("jaxlib")
    if platform == "cuda":
        plugins = [f"jax-cuda12-{part}=={jaxlib}" for part in ("plugin", "pjrt")]
        return [*plugins, "nvidia-cuda-nvcc-cu12", "nvidia-cuda-runtime-cu12"]
    return [line.split(";")[0].strip() for line in requires("jax") or [] if line.startswith("libtpu")][:1]


def fetch(platform: str, directory: Path) -> None:
    """Put the compiler of a platform into a folder.

    Raises:
      subprocess.CalledProcessError: a package cannot be had.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(directory)]
    subprocess.run([*command, *packages(platform)], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("platform", choices=("cuda", "tpu"))
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    fetch(arguments.platform, arguments.directory)
