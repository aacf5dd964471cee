"""`.keras` files made by hand, as Keras writes them and as nobody should."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import h5py
import numpy as np

METADATA = {"keras_version": "3.15.1", "date_saved": "2024-01-01@00:00:00"}
QBITS = {
    "module": "qkeras.quantizers",
    "class_name": "quantized_bits",
    "config": {"bits": 4, "integer": 0, "symmetric": 0, "alpha": 1, "keep_negative": True},
    "registered_name": "qkeras>quantized_bits",
}


def dense(name: str = "fc", units: int = 3, **more) -> dict:
    config = {"name": name, "trainable": True, "dtype": "float32", "units": units, "activation": "linear"}
    return {"module": "keras.layers", "class_name": "Dense", "config": config | more, "registered_name": None}


def qdense(name: str = "fc", units: int = 3, **more) -> dict:
    own = {"kernel_quantizer": QBITS, "bias_quantizer": QBITS}
    row = dense(name, units, **own | more)
    return row | {"module": "qkeras.qlayers", "class_name": "QDense", "registered_name": "qkeras>QDense"}


def layer(kind: str, module: str = "keras.layers", registered=None, **config) -> dict:
    config = {"name": kind.lower()} | config
    return {"module": module, "class_name": kind, "config": config, "registered_name": registered}


def sequential(*layers: Mapping, n_in: int = 4) -> dict:
    entry = layer("InputLayer", name="entry", batch_shape=[None, n_in], dtype="float32")
    config = {"name": "net", "trainable": True, "dtype": "float32", "layers": [entry, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def functional(*calls: tuple[str, str | None], call: int = 0, output: str | None = None) -> dict:
    """Dense layers of one size, each with the layer that it reads; `call`: the call of it that is read."""
    entry = layer("InputLayer", name="entry", batch_shape=[None, 4], dtype="float32")
    rows = [entry | {"name": "entry", "inbound_nodes": []}]
    for name, source in calls:
        own = {"shape": [None, 4], "dtype": "float32", "keras_history": [source, call, 0]}
        node = {"args": [{"class_name": "__keras_tensor__", "config": own}], "kwargs": {}}
        rows.append(dense(name, 4) | {"name": name, "inbound_nodes": [] if source is None else [node]})
    ends = {"input_layers": ["entry", 0, 0], "output_layers": [output or calls[-1][0], 0, 0]}
    config = {"name": "net", "trainable": True, "layers": rows} | ends
    return {"module": "keras.models", "class_name": "Functional", "config": config, "registered_name": "Functional"}


def weights(*arrays: Sequence[np.ndarray], names: Sequence[str] = ("dense",)) -> bytes:
    """The HDF5 file of layers' weights; by default those of a single Dense layer of 4 x 3."""
    given = arrays or ((np.ones((4, 3), np.float32), np.zeros(3, np.float32)),)
    with io.BytesIO() as buffer:
        with h5py.File(buffer, "w") as file:
            for name, own in zip(names, given, strict=True):
                group = file.create_group(f"layers/{name}/vars")
                for i, values in enumerate(own):
                    group[str(i)] = values
            file.create_group("vars")
        return buffer.getvalue()


def write(path: Path, config: object, content: bytes | None = None, **members: bytes) -> Path:
    """A `.keras` file; `members` replace the usual ones, or come besides them."""
    usual = {
        "metadata.json": json.dumps(METADATA).encode(),
        "config.json": config if isinstance(config, bytes) else json.dumps(config).encode(),
        "model.weights.h5": weights() if content is None else content,
    }
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, data in (usual | members).items():
            archive.writestr(name, data)
    return path
