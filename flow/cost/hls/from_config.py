"""An hls4ml configuration, or a Keras model, as the network that hls4ml builds from it.

Configurations are those that hls4ml writes (`hls4ml_config.yml`, or the same as JSON). The layers are those of the
written project where there is one, else those of the Keras model that the configuration names. Files are read as
data: no model is built and nothing in them is run.
"""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from lzma import LZMAError
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from flow.cost.hls import from_keras, from_project
from flow.cost.hls.layers import IoType, Network, Tool, checked
from flow.cost.hls.settings import Settings
from flow.errors import BadInput

PROJECT_CONFIG = "hls4ml_config.yml"
_BACKENDS = {
    "vivado": Tool.VIVADO_HLS,
    "vivadoaccelerator": Tool.VIVADO_HLS,
    "vitis": Tool.VITIS_HLS,
    "vitisaccelerator": Tool.VITIS_HLS,
    "vitisunified": Tool.VITIS_HLS,
}
_LARGEST = 64 * 1024 * 1024  # bytes of a description
_MOST_VALUES = 1_000_000
_NO_ARCHIVE = (OSError, EOFError, RuntimeError, KeyError, ValueError, BadZipFile, LZMAError, zlib.error)


def read_network(path: Path, wanted: Mapping | None = None) -> Network:
    """The network of an hls4ml project's folder, its configuration (.yml, .yaml, .json), a `.keras` file or a Keras
    model's JSON. `wanted` has values that go before those of the file: part, clock_ns, strategy, reuse_factor,
    io_type, tool; None for what the file decides. BadInput names the file and what is wrong with it."""
    path = Path(path)
    path = path / PROJECT_CONFIG if path.is_dir() else path
    if path.suffix == ".keras":
        row: Mapping = {}
        model = _keras_file(path)
    else:
        row = mapping(path)
        model = row if "class_name" in row and "config" in row else None
    try:
        return checked(_with(from_config({} if model is row else row, path.parent, model), wanted or {}))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except RecursionError:
        raise BadInput(f"{path}: lists inside of lists, too deep to be a network") from None


def from_config(row: Mapping, folder: Path = Path("."), model: Mapping | None = None) -> Network:
    """The network of a configuration as hls4ml has it; `model` is a Keras model's description, else the one that the
    configuration names, sought in `folder` too. Raises BadInput naming the key."""
    backend = str(row.get("Backend") or "Vitis")
    if backend.lower() not in _BACKENDS:
        raise BadInput(f"Backend {backend!r}: costs are known for Vivado and Vitis")
    settings = Settings.of(row.get("HLSConfig") or {})
    io_type = row.get("IOType")
    if io_type not in (None, *(item.value for item in IoType)):
        raise BadInput(f"IOType {io_type!r} is not known; known: {', '.join(item.value for item in IoType)}")
    stream = io_type == IoType.STREAM.value
    if model is None and from_project.is_written(folder):
        layers = from_project.layers(folder)
    else:
        layers = from_keras.layers(_model(row, folder) if model is None else model, settings, stream)
    return Network(
        layers,
        None if io_type is None else IoType(io_type),
        _BACKENDS[backend.lower()] if row else None,
        part=_text(row, "Part", "XilinxPart", "FPGAPart"),
        clock_ns=_clock(row.get("ClockPeriod")),
        name=str(row.get("ProjectName") or ""),
    )


def _with(network: Network, wanted: Mapping) -> Network:
    """The network with the values of `wanted` that are there."""
    values = {name: value for name, value in wanted.items() if value is not None}
    own = {name: values[name] for name in ("strategy", "reuse_factor") if name in values}
    layers = tuple(replace(layer, **own) if layer.weight_bits is not None else layer for layer in network.layers)
    rest = {name: values[name] for name in ("part", "clock_ns", "io_type", "tool") if name in values}
    return replace(network, layers=layers, **rest)


def _model(row: Mapping, folder: Path) -> Mapping:
    """The Keras model that a configuration names: in a file beside it where the named place is gone."""
    named = _text(row, "KerasModel", "KerasJson")
    if not named:
        raise BadInput("names no network: neither KerasModel nor KerasJson, and no written project is beside it")
    for place in (Path(named), folder / named, folder / Path(named).name):
        if _is_file(place):
            return _keras_file(place) if place.suffix == ".keras" else mapping(place)
    raise BadInput(f"KerasModel {named}: no such file, nor {folder / Path(named).name}")


def _keras_file(path: Path) -> Mapping:
    """The description of the model in a `.keras` file, its `config.json`; what unpacks to more than that is refused."""
    try:
        with ZipFile(path) as archive, archive.open("config.json") as file:
            text = file.read(_LARGEST + 1)
    except _NO_ARCHIVE as error:
        raise BadInput(f"{path}: no Keras model ({type(error).__name__}: {error})") from None
    return _json(_text_of(text, path), path)


def mapping(path: Path) -> Mapping:
    """A JSON or YAML file that holds a mapping."""
    try:
        with open(path, "rb") as file:
            text = _text_of(file.read(_LARGEST + 1), path)
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    if path.suffix == ".json":
        return _json(text, path)
    row = _yaml(text, path)
    if not isinstance(row, Mapping):
        raise BadInput(f"{path}: a mapping is expected, not {type(row).__name__}")
    return row


def _text_of(content: bytes, path: Path) -> str:
    if len(content) > _LARGEST:
        raise BadInput(f"{path}: larger than any description of a network ({_LARGEST} bytes)")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{path}: can't be read (no text in UTF-8)") from None


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except OSError:  # a name that no file can have
        return False


def _json(text: str, path: Path) -> Mapping:
    try:
        row = json.loads(text)
        row = json.loads(row) if isinstance(row, str) else row  # `to_json()` written with json.dump
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: no JSON ({error})") from None
    if not isinstance(row, dict):
        raise BadInput(f"{path}: an object is expected, not {type(row).__name__}")
    return row


def _yaml(text: str, path: Path):
    import yaml

    class Loader(yaml.SafeLoader):
        """Plain values; hls4ml's own tags, such as !keras_model, stand for the text behind them.

        An alias stands for all that it repeats, so that a short text can mean more than fits into memory.
        """

        def __init__(self, stream):
            super().__init__(stream)
            self.sizes: dict[int, int] = {}

        def compose_node(self, parent, index):
            repeated = self.check_event(yaml.AliasEvent)
            node = super().compose_node(parent, index)
            if repeated and id(node) not in self.sizes:
                raise yaml.YAMLError("an alias stands for what it is inside of")
            if not repeated:
                items = () if isinstance(node, yaml.ScalarNode) else node.value
                inner = [item for pair in items for item in (pair if isinstance(pair, tuple) else (pair,))]
                self.sizes[id(node)] = 1 + sum(self.sizes[id(item)] for item in inner)
                if self.sizes[id(node)] > _MOST_VALUES:
                    raise yaml.YAMLError(f"aliases make more than {_MOST_VALUES} values of it")
            return node

    def plain(loader, _, node):
        return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None

    Loader.add_multi_constructor("!", plain)
    try:
        return yaml.load(text, Loader)
    # A value with a tag that it does not fit, such as !!int "", is any of these errors to the library.
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        said = re.sub(r"\s+", " ", str(error))
        raise BadInput(f"{path}: no YAML ({said})") from None


def _text(row: Mapping, *names: str) -> str | None:
    return next((str(row[name]) for name in names if row.get(name)), None)


def _clock(value) -> float | None:
    if value is None:
        return None
    try:
        clock = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        clock = 0.0
    if not 0.1 <= clock <= 1000:
        raise BadInput(f"ClockPeriod {value!r} is no period from 0.1 to 1000 ns")
    return clock
