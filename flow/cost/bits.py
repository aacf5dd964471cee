"""Bits and effective bit operations of a design."""

from flow.design import Design
from flow.topology import Topology


def bits(topology: Topology, design: Design) -> float:
    """Bits of all kept kernel weights, biases and activations."""
    total = topology.n_in * design.input.bits
    for layer in topology.layers:
        part = design[layer.name]
        total += part.keep * layer.multiplications * part.kernel.bits + layer.n_out * part.bias.bits
        total += 0 if part.activation is None else layer.n_out * part.activation.bits
    return float(total)


def ebops(topology: Topology, design: Design) -> float:
    """Sum over the kept multiplications of weight bits times data bits.

    After HGQ (arXiv 2405.00645, eq. 5), with a layer's one width in place of widths by weight.
    """
    total = 0.0
    for layer in topology.layers:
        part = design[layer.name]
        total += part.keep * layer.multiplications * part.kernel.bits * design.data_format(layer.name).bits
    return total
