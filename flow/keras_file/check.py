"""A model's description, checked from end to end before any framework sees it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flow.errors import BadInput
from flow.formats import Format, parse
from flow.keras_file import allowed, sizes

_MOST_LAYERS = 2000
_LARGEST = 10**7  # of a size or a count
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_NORMALIZATIONS_OWN = ("synchronized", "renorm", "renorm_clipping", "renorm_momentum")
_WIDTH_ALONE = re.compile(r"\s*(\w+)\s*\(\s*(\d+)\s*\)\s*")


class _Refused(ValueError):
    """A part that is not allowed; the text is the reason."""


@dataclass
class Description:
    """A checked description. `config` is what Keras may read; `texts` the quantizers that it has as text, which stand
    in `config` as {TEXT: number in `texts`}."""

    config: dict
    texts: list[Format] = field(default_factory=list)


TEXT = "quantizer_as_text"


def check(config: Mapping, path: Path) -> Description:
    """The description with nothing left in it that could do harm.

    Raises BadInput that lists every layer that is not supported, with its class and the reason.
    """
    kind = config.get("class_name")
    if kind not in allowed.MODELS:
        shown = repr(kind)[:60]
        raise BadInput(
            f"{path}: the model is of the class {shown}; allowed: {', '.join(allowed.MODELS)} (a class of your own"
            " holds its network as code: rebuild it with keras.Model(inputs, outputs))"
        )
    own = config.get("config")
    layers = own.get("layers") if isinstance(own, Mapping) else None
    if not isinstance(layers, list) or not all(isinstance(layer, Mapping) for layer in layers):
        raise BadInput(f"{path}: config.json has no list of layers")
    if not 1 <= len(layers) <= _MOST_LAYERS:
        raise BadInput(f"{path}: {len(layers)} layers; allowed: 1 to {_MOST_LAYERS}")
    made = Description({})
    try:
        found, problems = _layers(layers, made, kind == "Functional")
        problems += _model_problems(config, own, found)
    except RecursionError:
        raise BadInput(f"{path}: config.json: lists inside of lists, too deep to be a network") from None
    if problems:
        several = f"{len(problems)} layers or settings: " if len(problems) > 1 else ""
        known = ", ".join((*allowed.LAYERS, *allowed.QLAYERS))
        supported = f"; supported layers: {known}" if any(text.endswith("not supported") for text in problems) else ""
        raise BadInput(f"{path}: can't be read as a .keras model: {several}{'; '.join(problems)}{supported}")
    kept = {"name": str(own.get("name", "model")), "trainable": True, "layers": found}
    if kind == "Functional":
        kept |= {key: own.get(key) for key in ("input_layers", "output_layers")}
    module = "keras" if kind == "Sequential" else "keras.src.models.functional"
    made.config = {"module": module, "class_name": kind, "config": kept,
                   "registered_name": None if kind == "Sequential" else "Functional"}  # fmt: skip
    sizes.check(made.config, path)
    return made


def _layers(layers: list, made: Description, functional: bool) -> tuple[list[dict], list[str]]:
    found, problems, names = [], [], set()
    for number, row in enumerate(layers):
        own = row.get("config")
        name = own.get("name") if isinstance(own, Mapping) else None
        kind = row.get("class_name")
        label = f"{_shown(name or f'number {number}')} ({_shown(kind)})"
        try:
            found.append(_layer(row, made, functional))
            if name in names:
                raise _Refused("another layer has its name")
            names.add(name)
        except _Refused as error:
            problems.append(f"{label}: {error}")
    return found, problems


def _layer(row: Mapping, made: Description, functional: bool) -> dict:
    kind, own = row.get("class_name"), row.get("config")
    _check_class(row)
    if not isinstance(own, Mapping):
        raise _Refused("it has no settings")
    if not isinstance(own.get("name"), str) or not 0 < len(own["name"]) <= 200 or not own["name"].isprintable():
        raise _Refused("its name is no text of 1 to 200 characters")
    settings = {key: _setting(kind, key, value, made) for key, value in own.items()}
    if kind.endswith("Batchnorm"):  # QKeras writes these four and can't read them
        dropped = {key: settings.pop(key, None) for key in _NORMALIZATIONS_OWN}
        if dropped["synchronized"] or dropped["renorm"]:
            raise _Refused("synchronized and renorm are not supported")
    module = allowed.QLAYERS.get(kind, "keras.layers")
    found = {"module": module, "class_name": kind, "config": settings,
             "registered_name": allowed.registered(kind)}  # fmt: skip
    if functional:  # in a sequence each layer reads the one in front of it, whatever the file says
        found |= {"name": own["name"], "inbound_nodes": _inbound(kind, row.get("inbound_nodes"))}
    return found


def _check_class(row: Mapping) -> None:
    kind, module, registered = (row.get(key) for key in ("class_name", "module", "registered_name"))
    if not isinstance(kind, str):
        raise _Refused("its class has no name")
    if kind in (*allowed.MODELS, "Model"):
        raise _Refused("a model inside of the model; put its layers into the model itself")
    if kind in ("Lambda", "TFOpLambda", "SlicingOpLambda"):
        raise _Refused("it carries code; nothing of a file is executed")
    if kind not in allowed.LAYERS and kind not in allowed.QLAYERS:
        raise _Refused("not supported")
    home = allowed.QLAYERS.get(kind)
    modules = ("keras.layers",) if home is None else (home, "qkeras")
    if module not in modules:
        raise _Refused(f"it comes from the module {_shown(module)}; allowed: {modules[0]}")
    names = (None,) if home is None else (None, kind, f"qkeras>{kind}")
    if registered not in names:
        raise _Refused(f"it is registered as {_shown(registered)}; allowed: {_shown(names[-1])}")


def _setting(kind: str, key: str, value: Any, made: Description) -> Any:
    if key == "name":
        return value
    if key == "dtype":
        return _dtype(value)
    if key == "activation":
        return _activation(kind, value, made)
    if key in allowed.QUANTIZED:
        return None if value is None else _quantizer(key, value, made)
    if key in allowed.OBJECTS:
        return _training(key, value, made)
    if key in allowed.WORDS:
        return _one_of(key, value, (None, *allowed.WORDS[key]))
    if key in allowed.NUMBERS:
        return _numbers(key, value)
    if key in allowed.NOTHING:
        return _one_of(key, value, (None, False))
    raise _Refused(f"its setting {_shown(key)} is not known")


def _activation(kind: str, value: Any, made: Description) -> Any:
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        if value.get("module") not in ("builtins", "keras.activations"):
            raise _Refused(f"activation: a function of the module {_shown(value.get('module'))}")
        value = value.get("config")
    if value is None or value in allowed.ACTIVATIONS:
        return value
    if isinstance(value, str) and (kind not in allowed.QLAYERS or _WORD.fullmatch(value)):
        raise _Refused(f"activation {_shown(value)}; supported: {', '.join(allowed.ACTIVATIONS)}")
    return _quantizer("activation", value, made)


def _quantizer(key: str, value: Any, made: Description) -> dict:
    """A quantizer that is an object of a known class, or a text that names a format."""
    if isinstance(value, str):
        width = _WIDTH_ALONE.fullmatch(value)
        named = width and width.group(1) in ("quantized_bits", "quantized_relu")
        try:  # QKeras' own default is no integer bits
            made.texts.append(parse(f"{width.group(1)}({width.group(2)},0)" if named else value))
        except ValueError:
            raise _Refused(
                f"{key} {_shown(value)} names no known format; known: {', '.join(allowed.QUANTIZERS)}"
            ) from None
        return {TEXT: len(made.texts) - 1}
    if not isinstance(value, Mapping):
        raise _Refused(f"{key} {_shown(value)} is no quantizer")
    kind = value.get("class_name")
    if not isinstance(kind, str) or kind not in allowed.QUANTIZERS:
        raise _Refused(f"{key} {_shown(kind)} is no quantizer that is followed; known: {', '.join(allowed.QUANTIZERS)}")
    home = allowed.QUANTIZERS[kind]
    registered = f"{'flow' if kind in allowed.HARDWARE else 'qkeras'}>{kind}"
    if value.get("module") not in (None, home, "qkeras"):
        raise _Refused(f"{key}: {kind} comes from the module {_shown(value.get('module'))}; allowed: {home}")
    if value.get("registered_name") not in (None, kind, registered):
        raise _Refused(f"{key}: {kind} is registered as {_shown(value.get('registered_name'))}; allowed: {registered}")
    own = value.get("config")
    if not isinstance(own, Mapping):
        raise _Refused(f"{key}: {kind} has no settings")
    settings = {}
    for name, item in own.items():
        if not isinstance(name, str) or not _WORD.fullmatch(name):
            raise _Refused(f"{key}: {kind} has a setting {_shown(name)}")
        words = allowed.QUANTIZER_WORDS.get(name, ())
        settings[name] = item if isinstance(item, str) and item in words else _numbers(f"{key}: {name}", item)
    return {"module": home, "class_name": kind, "config": settings, "registered_name": registered}


def _training(key: str, value: Any, made: Description) -> Any:
    """Initializers, regularizers and constraints: they matter in training alone, and are still made by Keras."""
    if value is None or isinstance(value, str) and _WORD.fullmatch(value):
        return value
    if not isinstance(value, Mapping):
        raise _Refused(f"{key} {_shown(value)} is not allowed")
    kind, module = value.get("class_name"), value.get("module")
    if kind in allowed.QUANTIZERS:
        return _quantizer(key, value, made)
    home = next((m for m, kinds in allowed.TRAINING.items() if kind in kinds and module in (m, None, "qkeras")), None)
    own = value.get("config")
    if home is None or not isinstance(own, Mapping):
        raise _Refused(f"{key}: {_shown(kind)} of the module {_shown(module)} is not allowed")
    registered = f"qkeras>{kind}" if home.startswith("qkeras") else None
    if value.get("registered_name") not in (None, kind, registered):
        raise _Refused(f"{key}: {kind} is registered as {_shown(value.get('registered_name'))}")
    nested = ("initializer", "quantizer", "constraint")
    settings = {}
    for name, item in own.items():
        if name == "distribution" or name == "mode":
            settings[name] = _one_of(f"{key}: {name}", item, ("fan_in", "fan_out", "fan_avg", "normal", "uniform",
                                                             "truncated_normal", "untruncated_normal"))  # fmt: skip
        else:
            settings[name] = _training(name, item, made) if name in nested else _numbers(f"{key}: {name}", item)
    return {"module": home, "class_name": kind, "config": settings, "registered_name": registered}


def _dtype(value: Any) -> Any:
    own = value.get("config") if isinstance(value, Mapping) else None
    named = own.get("name") if isinstance(own, Mapping) else value
    if isinstance(value, Mapping) and (value.get("class_name") != "DTypePolicy" or value.get("module") != "keras"):
        named = value.get("class_name")
    if named not in (None, "float32"):
        raise _Refused(f"dtype {_shown(named)}; supported: float32")
    return "float32"


def _inbound(kind: str, nodes: Any) -> list:
    """What a layer of a functional model is called on: tensors of other layers, once."""
    if kind != "InputLayer" and nodes == []:
        raise _Refused("it is not called")
    if not isinstance(nodes, list) or len(nodes) > 1:
        raise _Refused(
            f"it is called {len(nodes) if isinstance(nodes, list) else 'in an unknown way'} times; once is supported"
        )
    found = []
    for node in nodes:
        if not isinstance(node, Mapping) or not isinstance(node.get("args"), list):
            raise _Refused("what it is called on is not told as Keras 3 does")
        for key, value in (node.get("kwargs") or {}).items():
            if key not in ("training", "mask") or value not in (None, False):
                raise _Refused(f"it is called with {_shown(key)}={_shown(value)}; supported: a layer's inputs alone")
        found.append({"args": [_tensors(item) for item in node["args"]], "kwargs": {}})
    return found


def _tensors(value: Any) -> Any:
    if isinstance(value, list):
        if any(isinstance(item, list) for item in value):
            raise _Refused("it is called on lists of lists")
        return [_tensors(item) for item in value]
    own = value.get("config") if isinstance(value, Mapping) else None
    if not isinstance(own, Mapping) or value.get("class_name") != "__keras_tensor__":
        shown = value.get("class_name") if isinstance(value, Mapping) else value
        raise _Refused(f"it is called on {_shown(shown)}; supported: outputs of layers")
    history = own.get("keras_history")
    if not (isinstance(history, list) and len(history) == 3 and isinstance(history[0], str)):
        raise _Refused("it is called on a tensor of no layer")
    if history[1:] != [0, 0]:
        raise _Refused(f"it is called on the tensor {_shown(history)}; supported: layers that are called once")
    return {"class_name": "__keras_tensor__",
            "config": {"shape": _numbers("shape", own.get("shape")), "dtype": _dtype(own.get("dtype")),
                       "keras_history": [history[0], 0, 0]}}  # fmt: skip


def _numbers(key: str, value: Any, depth: int = 0) -> Any:
    """Numbers, truth values and None, alone or in lists."""
    if isinstance(value, (list, tuple)) and depth < 3:
        return [_numbers(key, item, depth + 1) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and math.isfinite(value) and (abs(value) <= _LARGEST or isinstance(value, float)
                                                                     or key.endswith("seed")):  # fmt: skip
        return value
    raise _Refused(f"{key} {_shown(value)} is not allowed; allowed: numbers")


def _one_of(key: str, value: Any, options: tuple) -> Any:
    if not (value is None or isinstance(value, (str, bool))) or value not in options:
        raise _Refused(f"{key} {_shown(value)}; allowed: {', '.join(map(str, options))}")
    return value


def _model_problems(config: Mapping, own: Mapping, found: list[dict]) -> list[str]:
    """What is wrong with the model around its layers; ends of functional models are [name, call, tensor]."""
    problems = []
    if config.get("class_name") == "Functional":
        names = [row["config"]["name"] for row in found]
        for key in ("input_layers", "output_layers"):
            for end in _ends(own.get(key)):
                if not (isinstance(end, list) and end[1:] == [0, 0] and end[0] in names):
                    problems.append(f"{key}: {_shown(end)} is no layer that is called once")
    if not isinstance(own.get("name", ""), str) or not own.get("name", "model").isprintable():
        problems.append("the model's name is no text")
    if config.get("registered_name") not in (None, *allowed.MODELS):
        problems.append(f"the model is registered as {_shown(config.get('registered_name'))}")
    return problems


def _ends(value: Any) -> list:
    """The ends of a functional model: one, [name, call, tensor], or a list of them."""
    return value if isinstance(value, list) and value and isinstance(value[0], list) else [value]


def _shown(value: Any) -> str:
    """A value of the file in a message: one short line of printable characters."""
    text = repr(value) if not isinstance(value, str) or not _WORD.fullmatch(value) else value
    return text if len(text) <= 80 else f"{text[:77]}..."
