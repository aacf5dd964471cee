"""The user's own code, called; what it raises is told by file and line."""

import importlib.util
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from flow.errors import BadInput
from flow.train import backend

if TYPE_CHECKING:
    import keras


def call(path: Path) -> "keras.Model":
    """The Keras model that `network()` in `path` returns. Raises BadInput where it returns none."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file; it must define network(), which returns a Keras model")
    backend.start()
    specification = importlib.util.spec_from_file_location("flow_user_network", path)
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
        make = getattr(module, "network", None)
        if not callable(make):
            raise BadInput(f"{path}: defines no function network()")
        model = make()
    except BadInput:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever it raises is the user's to mend)
        raise BadInput(f"{path}, line {_line(error, path)}: {type(error).__name__}: {_reason(error)}") from None
    import keras

    if not isinstance(model, keras.Model):
        raise BadInput(f"{path}: network() returned {type(model).__name__}, not a Keras model")
    return model


def _line(error: BaseException, path: Path) -> int:
    if isinstance(error, SyntaxError):
        return error.lineno or 0
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return frames[-1].lineno if frames else 0


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
