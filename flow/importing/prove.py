"""Proof that what was made of a file computes what the file computes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flow.data.scaling import InputScaling
from flow.errors import BadInput
from flow.formats import Fixed
from flow.importing.design import Quantized
from flow.importing.pieces import Network, function_of, is_plain
from flow.topology import Topology

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-5  # of float networks, relative to the largest output
EVENTS, GRID_EVENTS, SEED = 200, 400, 1


@dataclass(frozen=True)
class Proof:
    """How far both sides are apart on `inputs` inputs: the largest |difference| of the logits, `deviation`.

    `exact`: no difference at all. `rounding`: bit for bit the same in float32, whose sums round where the exact ones,
    which firmware computes, don't.
    """

    inputs: int
    deviation: float
    exact: bool
    rounding: bool = False

    def to_json(self) -> dict:
        return {
            "inputs": self.inputs,
            "deviation": self.deviation,
            "exact": self.exact,
            "float32_rounds": self.rounding,
        }


def logits_model(original: "keras.Model", network: Network) -> "keras.Model":
    """The model of the file up to its logits: what stands behind them, also in their own layer, is taken off."""
    import keras

    layer = original.get_layer(network.logits)
    if network.function is not None and getattr(layer, "activation", None) is not None:
        layer.activation = keras.activations.linear
    return keras.Model(original.inputs[0], layer.output)


def grid_words(word: Fixed, n_in: int) -> np.ndarray:
    """Random words (n, n_in) on a grid: half of them anywhere, half around 0, and both ends."""
    rng = np.random.default_rng(SEED)
    low, high = round(word.low / word.step), round(word.high / word.step)
    anywhere = rng.integers(low, high, (GRID_EVENTS // 2, n_in), endpoint=True) * word.step
    around = word.quantize(rng.normal(0.0, 1.0, (GRID_EVENTS // 2, n_in)))
    ends = np.stack([np.full(n_in, word.low), np.full(n_in, word.high), np.zeros(n_in)])
    return np.concatenate([ends, anywhere, around])


def scaling_of(word: Fixed, features: tuple[str, ...]) -> InputScaling:
    """Words that are the network's inputs as they are: no exponents, no offsets."""
    return InputScaling(features, word, (0,) * len(features), (0.0,) * len(features))


def prove_design(
    logits: "keras.Model", network: Network, topology: Topology, found: Quantized, rebuilt, path: Path
) -> Proof:
    """The file's own answers on the input grid against the exact ones of the design that was made of it.

    Raises BadInput with the first input and both answers where they differ by more than float32's own rounding.
    """
    from flow.train import qkeras_model

    words = grid_words(found.word, topology.n_in)
    theirs = _answers(logits, words, network.shape)
    ours = qkeras_model.reference(rebuilt, words, [topology.output])[topology.output]
    deviation = float(np.abs(theirs - ours).max(initial=0.0))
    if not deviation:
        return Proof(len(words), 0.0, True)
    in_float32 = _answers(rebuilt, words, (topology.n_in,))
    if (in_float32 == theirs).all():
        return Proof(len(words), deviation, False, True)
    row, column = np.argwhere(in_float32 != theirs)[0]
    raise BadInput(
        f"{path}: the design made of it answers {in_float32[row, column]:.9g} where the file answers"
        f" {theirs[row, column]:.9g} (input {row}, output {column}): its quantizers are not followed"
    )


def prove_network(
    original: "keras.Model", logits: "keras.Model", network: Network, made: "keras.Model", path: Path
) -> Proof:
    """The file's answers on random inputs, its quantizers taken off, against those of the network in network.py.

    The quantizers of `original` are gone after it. Raises BadInput where both differ by more than `TOLERANCE`.
    """
    _take_off_quantizers(original)
    inputs = np.random.default_rng(SEED).normal(0.0, 1.0, (EVENTS, int(np.prod(network.shape)))).astype(np.float32)
    theirs, ours = (_answers(model, inputs, network.shape) for model in (logits, made))
    deviation = float(np.abs(theirs - ours).max(initial=0.0))
    if not deviation <= TOLERANCE * max(float(np.abs(theirs).max(initial=0.0)), 1.0):
        raise BadInput(
            f"{path}: the network made of it differs by {deviation:.3g} from the file's own answers; at most"
            f" {TOLERANCE:g} of the largest is rounding"
        )
    return Proof(EVENTS, deviation, deviation == 0)


def _answers(model: "keras.Model", inputs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(inputs, np.float32).reshape(len(inputs), *shape)
    return np.asarray(model(values, training=False), np.float64)


def _take_off_quantizers(model: "keras.Model") -> None:
    """Leave a QKeras model's layers with their plain functions and unquantized weights."""
    import keras

    for layer in model.layers:
        if not type(layer).__name__.startswith("Q"):
            continue
        for name in [name for name in vars(layer) if name.endswith("_quantizer_internal")]:
            if getattr(layer, name) is not None:
                setattr(layer, name, _same)
        own = getattr(layer, "activation", None)
        if own is not None and not is_plain(own):
            layer.activation = getattr(keras.activations, function_of(own))


def _same(values):
    return values
