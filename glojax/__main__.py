"""``python -m glojax`` is the command."""

from glojax.cli import main

main()
