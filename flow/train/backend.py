"""TensorFlow and QKeras, started without their chatter."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

# Keras and QKeras load these where they are installed, for what is not done here; that takes seconds.
_UNUSED = ("torch", "jax", "sklearn")


@lru_cache(maxsize=1)
def start() -> None:
    """Import both once, with what their libraries write to standard error while they load thrown away."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with _hidden(_UNUSED):
            import qkeras  # noqa: F401
            import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Packages that aren't loaded yet can't be, until the block ends."""
    names = tuple(name for name in names if name not in sys.modules)
    sys.modules.update(dict.fromkeys(names))
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
