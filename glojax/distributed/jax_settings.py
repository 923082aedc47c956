"""JAX's settings while glojax's own programs run, whatever the user has set for his.

A candidate that computes NaN is what a search expects, and no reason for ``jax_debug_nans`` to end it. So training,
screening and tuning run within ``standard()``. A model, metric or loss of the user is checked under his own settings.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

PRECISIONS = {"highest": "highest", "tf32": "tensorfloat32", "bf16": "bfloat16"}
"""Names of the precision of products and convolutions of 32 bits, and what JAX calls them (``Task.precision``)."""


@contextlib.contextmanager
def standard(*, wide: bool = True, products: str | None = None) -> Iterator[None]:
    """Trace and run everything inside under the settings that JAX starts with.

    That is: nothing stops for NaN or infinity, shapes and types are promoted, arrays move between host and devices,
    and tracers are not searched for. What chooses random numbers is left as it is, and so is the precision of products
    without ``products``.

    Args:
      wide: keep 64 bits where the user has enabled them. Without it all is computed in 32 bits. Defaults to True.
      products: a key of ``PRECISIONS``, of products and convolutions. Defaults to what the user has set.
    """
    import jax  # the command shows its help without it

    with (
        jax.debug_nans(False),
        jax.debug_infs(False),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.transfer_guard("allow"),
        jax.check_tracer_leaks(False),
        precision(wide),
        contextlib.nullcontext() if products is None else jax.default_matmul_precision(PRECISIONS[products]),
    ):
        yield


def precision(wide: bool) -> contextlib.AbstractContextManager[None]:
    """Trace and run everything inside in 32 bits, or with ``wide`` in 64 where the user has enabled them."""
    import jax

    return contextlib.nullcontext() if wide else jax.enable_x64(False)


def asks_for_64_bits(trace: Callable[[], Any]) -> bool:
    """Whether the user has enabled 64 bits, and a function of his names a type of 64 bits.

    A network has 32 bits as long as nobody asks for more: ``jax_enable_x64``, which may be there for another part of a
    program, then changes no score.

    Args:
      trace: traces the function; gives the shapes and types of its results.
    """
    import jax

    config: Any = jax.config  # whose attributes are made at run time
    if not config.jax_enable_x64:
        return False
    with precision(False), warnings.catch_warnings():
        # Where 64 bits are not enabled, JAX warns of a type that has them, or cannot mix it with others.
        warnings.filterwarnings("error", "Explicitly requested dtype")
        try:
            found = trace()
        except Exception:
            return True
    return any(leaf.dtype in ("float64", "complex128") for leaf in jax.tree.leaves(found) if hasattr(leaf, "dtype"))
