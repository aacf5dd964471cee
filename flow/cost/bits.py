"""Bits and effective bit operations of a design."""

import math

from flow.design import Design, data_formats
from flow.topology import Topology, Weighted


def bits(topology: Topology, design: Design) -> float:
    """Bits of all kept kernel weights, biases and activations."""
    total = topology.n_in * design.input.bits
    for layer in topology.designed:
        part = design[layer.name]
        if isinstance(layer, Weighted):
            total += part.keep * math.prod(layer.kernel_shape) * part.kernel.bits
        total += 0 if part.bias is None else layer.shape[-1] * part.bias.bits
        total += 0 if part.activation is None else math.prod(layer.shape) * part.activation.bits
    return float(total)


def ebops(topology: Topology, design: Design) -> float:
    """Sum over the kept multiplications of weight bits times data bits.

    After HGQ (arXiv 2405.00645, eq. 5), with a layer's one width in place of widths by weight. Every product of
    an inference counts: a convolution's weight at each of its positions.
    """
    data = data_formats(topology, design)
    total = 0.0
    for layer in topology.weighted:
        part = design[layer.name]
        total += part.keep * layer.multiplications * part.kernel.bits * data[layer.name].bits
    return total
