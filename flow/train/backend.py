"""TensorFlow, started without its chatter."""

import logging
import os
from functools import lru_cache


@lru_cache(maxsize=1)
def start() -> None:
    """Import TensorFlow once, with what its libraries write to standard error while they load thrown away."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
