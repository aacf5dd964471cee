"""The user's network.py: a plain Keras model, read as a topology."""

import importlib.util
import traceback
from pathlib import Path

from flow.errors import BadInput
from flow.topology import Dense, Topology
from flow.train import backend

SUPPORTED = "InputLayer, then Dense layers with activation 'relu', the last one with 'linear'"


def read_network(path: Path, n_in: int, n_out: int) -> Topology:
    """The topology of the model that `network()` in `path` returns.

    Raises BadInput, naming file and layer, for whatever the engine and firmware do not support and for a
    network that doesn't fit `n_in` features and `n_out` classes.
    """
    model = _call(path)
    layers = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        if kind != "Dense":
            raise BadInput(f"{path}: layer {layer.name}: {kind} is not supported; supported: {SUPPORTED}")
        if not layer.use_bias:
            raise BadInput(
                f"{path}: layer {layer.name}: a Dense layer without bias is not supported; leave use_bias=True"
            )
        activation = layer.activation.__name__
        layers.append(Dense(layer.name, int(layer.kernel.shape[0]), int(layer.units), activation))
    _check(layers, path, n_in, n_out)
    return Topology(tuple(layers))


def _call(path: Path):
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
    except (Exception, SystemExit) as error:  # whatever the user's own code raises is the user's to mend
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else (frames[-1].lineno if frames else 0)
        raise BadInput(
            f"{path}, line {line}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        ) from None
    import keras

    if not isinstance(model, keras.Model):
        raise BadInput(f"{path}: network() returned {type(model).__name__}, not a Keras model")
    return model


def _check(layers: list[Dense], path: Path, n_in: int, n_out: int) -> None:
    if not layers:
        raise BadInput(f"{path}: the network has no Dense layer; supported: {SUPPORTED}")
    for layer in layers[:-1]:
        if layer.activation != "relu":
            raise BadInput(
                f"{path}: layer {layer.name}: activation {layer.activation!r} is not supported; supported: {SUPPORTED}"
            )
    if layers[-1].activation != "linear":
        raise BadInput(
            f"{path}: layer {layers[-1].name}: activation {layers[-1].activation!r} on the last layer;"
            " it gives the logits: leave the activation out"
        )
    if layers[0].n_in != n_in:
        raise BadInput(f"{path}: the network takes {layers[0].n_in} inputs; data.features names {n_in}")
    if layers[-1].n_out != n_out:
        raise BadInput(f"{path}: the network has {layers[-1].n_out} outputs; data.classes names {n_out}")
    for before, after in zip(layers, layers[1:]):
        if before.n_out != after.n_in:
            raise BadInput(f"{path}: layer {after.name} does not follow {before.name}: branches are not supported")
    for layer in layers:
        if not layer.name.isidentifier() or not layer.name.isascii() or layer.name == "input":
            raise BadInput(f"{path}: layer {layer.name!r}: letters, digits and _ make a name that firmware can carry")
