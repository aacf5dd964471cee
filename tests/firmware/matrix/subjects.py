"""What the matrix compares: small networks with their words, and the layer that each row of a table is about."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np

from flow.data.scaling import InputScaling
from flow.errors import BadInput
from flow.formats import Fixed
from tests.designs import example_design, example_scaling, example_words
from tests.firmware.matrix.quantizers import ROLES, Quantizer
from tests.networks import NETWORKS
from tests.weights import example_weights

SCALING = InputScaling(tuple(f"x{i}" for i in range(4)), Fixed(8, 3), (0,) * 4, (0.5, -0.5, 0.0, 1.0))
IMAGE = (4, 4, 2)
IMAGE_SCALING = InputScaling(tuple(f"x{i}" for i in range(32)), Fixed(6, 2), (0,) * 32, (0.0,) * 32)
WORDS = 300  # words drawn at random, beside the corners
AT_ONCE = 7  # quantizers in one network: hls4ml copies a stream no more often
PLAIN = (Fixed(4, 0), Fixed(5, 0))  # kernels of the second design of each layer kind


@dataclass(frozen=True)
class Subject:
    """A network: its QKeras model (None where all its rows are refused), words (n, n_in), and by row of the table the
    layer that the row is about (None: all of them). `refused`: rows that are refused whatever they are built for, and
    why. `alone`: hls4ml's stages of a row's network, where several rows share one."""

    model: object | None
    word: Fixed
    words: np.ndarray
    rows: dict[str, str | None]
    refused: dict[str, str] = field(default_factory=dict)
    alone: dict[str, tuple] = field(default_factory=dict)


def layer_subject(name: str, design: str) -> Subject:
    """A network of `tests.networks`, its formats drawn at random: "mixed" ones of every kind, or "plain" fixed point."""
    from flow.firmware.gate.comparison import vectors
    from flow.firmware.gate.corner_words import deep, first_kernel
    from flow.train import qkeras_model

    topology = NETWORKS[name]
    scaling = example_scaling(topology)
    chosen = {"kernels": PLAIN} if design == "plain" else {}
    seed = 1 + (design == "plain")
    formats = example_design(topology, seed, **chosen)
    model = qkeras_model.build(topology, formats, scaling, example_weights(topology, seed))
    real = example_words(topology, scaling, WORDS, seed)
    corners = np.concatenate([deep(model, real), real])
    words = vectors(scaling, corners, WORDS, seed, formats.input, first_kernel(model))
    return Subject(model, scaling.word, words, {f"{name}, {design}": None})


def quantizer_subject(kind: str, role: str, number: int, way: str, without: Collection[str] = ()) -> Subject:
    """The `number`-th few quantizers of a role side by side in one network of dense layers or convolutions.

    Those that the `way` to firmware, "hls" or "rtl", refuses stay out of it, and so do the rows `without`.
    """
    from flow.firmware.gate.comparison import vectors

    followed, refused, alone = {}, {}, {}
    for quantizer in chunks(role)[number]:
        row = f"{role} {quantizer}"
        if row in without:
            continue
        try:
            alone[row] = _stages(kind, role, quantizer, way)
            followed[f"q{len(followed)}"] = quantizer
        except BadInput as error:
            refused[row] = str(error)
    scaling = SCALING if kind == "dense" else IMAGE_SCALING
    words = vectors(scaling, np.zeros((0, len(scaling.features))), WORDS, 5, Fixed(5, 2))
    model = _network(kind, role, followed) if followed else None
    rows = {f"{role} {quantizer}": layer for layer, quantizer in followed.items()}
    return Subject(model, scaling.word, words, rows, refused, alone)


def chunks(role: str) -> list[tuple[Quantizer, ...]]:
    """The quantizers of a role, as many together as one network takes."""
    found = ROLES[role]
    return [found[i : i + AT_ONCE] for i in range(0, len(found), AT_ONCE)]


def _stages(kind: str, role: str, quantizer: Quantizer, way: str) -> tuple:
    """hls4ml's stages of a network with this quantizer (() on the way to RTL); raises BadInput where that way, or the
    reference, refuses it."""
    from flow.firmware import hls4ml_qkeras, rtl
    from flow.train import qkeras_model

    model = _network(kind, role, {"q0": quantizer})
    found = hls4ml_qkeras.stages(model) if way == "hls" else ()
    if way == "rtl":
        rtl.trace(model, (SCALING if kind == "dense" else IMAGE_SCALING).word)
    qkeras_model.reference(model, np.zeros((1, model.input_shape[-1])))
    return found


def _network(kind: str, role: str, quantizers: dict[str, Quantizer]):
    """Layers of one kind that read the same values, one for each quantizer, joined behind."""
    from flow.train import backend

    backend.start()
    import keras
    from qkeras import QActivation

    keras.utils.set_random_seed(11)
    scaling = SCALING if kind == "dense" else IMAGE_SCALING
    inputs = keras.Input((len(scaling.features),), name="words")
    mean, variance = np.asarray(scaling.offsets), np.ones(len(scaling.features))
    values = keras.layers.Normalization(axis=-1, mean=mean, variance=variance, name="input_offset")(inputs)
    values = QActivation(Quantizer("quantized_bits", _bits(5, 2)).make(), name="input_grid")(values)
    if kind == "conv2d":
        values = keras.layers.Reshape(IMAGE, name="input_shape")(values)
    build: Callable = _dense if kind == "dense" else _convolution
    if role == "activation":
        values = build("front", 4, _kernel(), _bias())(values)
        branches = [QActivation(quantizer.make(), name=name)(values) for name, quantizer in quantizers.items()]
    elif role == "kernel":
        branches = [build(name, 2, quantizer.make(), _bias())(values) for name, quantizer in quantizers.items()]
    else:
        branches = [build(name, 2, _kernel(), quantizer.make())(values) for name, quantizer in quantizers.items()]
    joined = keras.layers.Concatenate(name="joined")(branches) if len(branches) > 1 else branches[0]
    flat = joined if kind == "dense" else keras.layers.Flatten(name="flat")(joined)
    model = keras.Model(inputs, _dense("out", 3, _kernel(), _bias())(flat))
    random = np.random.default_rng(7)
    for layer in model.layers:
        if layer.get_weights() and layer.name != "input_offset":
            layer.set_weights([random.normal(0, 0.5, value.shape).astype(np.float32) for value in layer.get_weights()])
    return model


def _bits(bits: int, integer: int) -> tuple[tuple[str, object], ...]:
    return (("bits", bits), ("integer", integer), ("alpha", 1))


def _kernel():
    return Quantizer("quantized_bits", _bits(4, 0)).make()


def _bias():
    return Quantizer("quantized_bits", _bits(5, 0)).make()


def _dense(name: str, n_out: int, kernel, bias):
    import qkeras

    return qkeras.QDense(n_out, kernel_quantizer=kernel, bias_quantizer=bias, name=name)


def _convolution(name: str, filters: int, kernel, bias):
    import qkeras

    return qkeras.QConv2D(filters, (3, 3), kernel_quantizer=kernel, bias_quantizer=bias, name=name)
