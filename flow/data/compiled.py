"""Numba's compiler, with its disk cache where there is a folder to keep it in."""

from collections.abc import Callable

import numba


def compiled(function: Callable) -> Callable:
    """Compile `function` on first use; cached between runs unless neither the package's folder nor the
    user's cache folder can be written.

    A cached function does not notice a change in a function that it calls from another file, so compiled
    functions call only those of their own file.
    """
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # numba: "no locator available"
        return numba.njit()(function)
