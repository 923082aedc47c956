"""Defaults that follow other fields of the same settings.

Nobody is refused for a field that he did not give: six elites are the default, and three where there are four
candidates.
"""


class Derived(int):
    """A number that was not given. ``dataclasses.replace`` passes it on, and ``derived`` then finds it anew."""


def derived(given: int | None, default: int) -> int:
    """A field's value: what was given, or else its default for the other fields as they are now."""
    return Derived(default) if given is None or isinstance(given, Derived) else given
