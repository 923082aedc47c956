"""Which form of a computation is fastest, and how that is remembered."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glojax import files
from glojax.models import autotune


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a cache of its own."""
    monkeypatch.setenv("GLOJAX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "convolutions.json"


def waste(times: int) -> autotune.Form:
    """A sum that takes so many products of matrices more than it needs."""

    def function(a: jax.Array, b: jax.Array) -> jax.Array:
        return a + b + 0 * jax.lax.fori_loop(0, times, lambda _, value: jnp.tanh(value @ b), a)

    return function


SHAPES = [jax.ShapeDtypeStruct((64, 64), np.float32)] * 2
FORMS = {"slow": waste(1000), "quick": waste(1), "medium": waste(300)}


def test_the_fastest_form_is_found_once_and_remembered_on_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # While something is being traced, as a population's program is when it asks.
    found = []
    jax.jit(lambda: found.append(autotune.fastest("sum", FORMS, SHAPES)) or 0)()
    assert found == ["quick"]
    ((key, form),) = json.loads(cache.read_text())["fastest"].items()
    assert (key.split(": ")[1], form) == ("sum", "quick")
    assert jax.devices()[0].device_kind in key
    assert jax.__version__ in key
    monkeypatch.setattr(autotune, "seconds_of", lambda *_: pytest.fail("timed again"))
    assert autotune.fastest("sum", FORMS, SHAPES) == "quick"


def test_forms_of_other_operations_are_kept(cache: Path) -> None:
    autotune.fastest("first", FORMS, SHAPES)
    autotune.fastest("second", FORMS, SHAPES)
    assert len(json.loads(cache.read_text())["fastest"]) == 2


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "\xff", '{"schema": 99, "fastest": {}}', '{"schema": 1, "fastest": 3}', '{"schema": 1}'],
    ids=repr,
)
def test_a_damaged_file_is_made_again(content: str, cache: Path) -> None:
    files.write_atomically(cache, content.encode("latin1"))
    assert autotune.fastest("sum", FORMS, SHAPES) == "quick"
    assert list(json.loads(cache.read_text())["fastest"].values()) == ["quick"]


@pytest.mark.parametrize("form", ["unknown", ["quick"], None], ids=str)
def test_an_unknown_form_in_the_file_is_timed_again(form: Any, cache: Path) -> None:
    autotune.fastest("sum", FORMS, SHAPES)
    content = json.loads(cache.read_text())
    (key,) = content["fastest"]
    cache.write_text(json.dumps(content | {"fastest": {key: form}}))
    assert autotune.fastest("sum", FORMS, SHAPES) == "quick"


def test_where_nothing_can_be_kept_it_is_timed_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLOJAX_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert autotune.fastest("sum", FORMS, SHAPES) == "quick"


def test_a_form_without_the_memory_for_it_is_left_out(cache: Path) -> None:
    def exhausting(a: jax.Array, b: jax.Array) -> jax.Array:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    assert autotune.fastest("sum", {"exhausting": exhausting, "medium": waste(300)}, SHAPES) == "medium"


def test_another_failure_of_a_form_is_raised() -> None:
    def failing(a: jax.Array, b: jax.Array) -> jax.Array:
        raise jax.errors.JaxRuntimeError("INTERNAL")

    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        autotune.fastest("sum", {"failing": failing}, SHAPES)


def test_where_every_form_lacks_memory_the_first_is_taken() -> None:
    def exhausting(a: jax.Array, b: jax.Array) -> jax.Array:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    assert autotune.fastest("sum", {"first": exhausting, "second": exhausting}, SHAPES) == "first"
