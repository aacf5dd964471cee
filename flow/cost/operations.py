"""Operations of one inference: multiplications, and bit operations of multiplying and adding."""

import math

from flow.design import Design, data_formats
from flow.topology import Topology


def macs(topology: Topology, design: Design) -> float:
    """Multiplications of the kept weights, each at every position that it is applied at.

    A convolution's padded zeros are multiplied like other data, as in `ebops`.
    """
    return float(sum(design[layer.name].keep * layer.multiplications for layer in topology.weighted))


def bops(topology: Topology, design: Design) -> float:
    """Bit operations: b_w*b_a + b_w + b_a + log2(n) for each multiplication of a kept weight, with its addition.

    Baskin et al., UNIQ (arXiv:1804.10969): a product of b_w by b_a bits, and its addition to a sum of n
    products, which is b_w + b_a + log2(n) bits wide; n is the number of weights that a result has, pruned or not. There
    for dense kernels; a pruned weight is neither multiplied nor added here, while Hawks et al.
    (arXiv:2102.11289, eq. 1) leave its addition in.
    """
    data = data_formats(topology, design)
    total = 0.0
    for layer in topology.weighted:
        weight, value = design[layer.name].kernel.bits, data[layer.name].bits
        each = weight * value + weight + value + math.log2(layer.terms)
        total += design[layer.name].keep * layer.multiplications * each
    return total
