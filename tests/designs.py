"""Designs, scalings and words for any network, small enough for every arithmetic to be exact."""

from collections.abc import Mapping, Sequence

import numpy as np

from flow.data.scaling import InputScaling
from flow.design import Design, LayerDesign, check
from flow.formats import KINDS, Binary, Fixed, Format, Ternary
from flow.topology import Topology, Weighted

KERNELS = (Fixed(2, 0), Fixed(3, -1), Fixed(4, 0), Fixed(5, 0), Ternary(-1), Ternary(0), Binary(-2), Binary(-1))
INPUT_GRID = Fixed(5, 2)
BIASES = (Fixed(4, 0), Fixed(5, 1), Fixed(6, 0))
KIND_OF = {
    "relu": "quantized_relu",
    "linear": "quantized_bits",
    "tanh": "quantized_tanh",
    "sigmoid": "quantized_sigmoid",
}


def example_design(
    topology: Topology,
    seed: int = 0,
    *,
    kernels: Sequence[Format] = KERNELS,
    biases: Sequence[Format] = BIASES,
    activations: Mapping[str, Sequence[Format]] | None = None,
    input: Format = INPUT_GRID,
    keep: float = 1.0,
) -> Design:
    """A valid design of formats drawn at random; `activations` replaces those of some functions."""
    rng = np.random.default_rng(seed)
    choices = {function: activation_formats(function) for function in _functions(topology)} | dict(activations or {})

    def one_of(formats: Sequence[Format]) -> Format:
        return formats[int(rng.integers(len(formats)))]

    layers = []
    for layer in topology.designed:
        weighted = isinstance(layer, Weighted)
        item = LayerDesign(
            one_of(kernels) if weighted else None,
            one_of(biases) if weighted and layer.bias else None,
            one_of(choices[layer.activation]) if topology.quantized(layer) else None,
            keep if weighted else 1.0,
        )
        layers.append((layer.name, item))
    design = Design(input, tuple(layers))
    check(design, topology)
    return design


def activation_formats(function: str) -> tuple[Format, ...]:
    """Formats of 2 to 5 bits for an activation function, in QKeras' own kinds."""
    kind = KINDS[KIND_OF[function]]
    if function in ("tanh", "sigmoid"):
        return tuple(kind(bits) for bits in (2, 3, 4, 5))
    return (kind(2, 1), kind(3, 0), kind(4, 1), kind(5, 2))


def example_scaling(topology: Topology) -> InputScaling:
    """Words of quantized_bits(8,3) and offsets on a coarse grid, not all of them zero."""
    features = tuple(f"x{i}" for i in range(topology.n_in))
    offsets = tuple(0.5 * (i % 4 - 1) for i in range(topology.n_in))
    return InputScaling(features, Fixed(8, 3), (0,) * topology.n_in, offsets)


def example_words(topology: Topology, scaling: InputScaling, n: int = 200, seed: int = 0) -> np.ndarray:
    """Words (n, n_in) on the scaling's grid; the first four rows hold its ends, where inputs saturate."""
    rng = np.random.default_rng(seed)
    words = scaling.word.quantize(rng.normal(0.0, 2.0, (n, topology.n_in)) + scaling.offsets)
    low, high = scaling.word.low, scaling.word.high
    corners = np.stack([np.full(topology.n_in, low), np.full(topology.n_in, high)] * 2)
    corners[2, ::2], corners[3, ::2] = high, low
    words[:4] = corners[:n]
    return words


def _functions(topology: Topology) -> set[str]:
    return {layer.activation for layer in topology.designed if topology.quantized(layer)}
