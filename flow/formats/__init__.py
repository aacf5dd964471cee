"""Number formats as frozen values, named as QKeras writes them.

A format knows its range, its step and how it rounds: everything that the engine, the cost models
and both ways to firmware must agree on is said here once.
"""

from flow.formats.few import Binary, StochasticBinary, StochasticTernary, Ternary
from flow.formats.grid import (
    Fixed,
    Grid,
    HalfUpBits,
    HalfUpRelu,
    Relu,
    Sigmoid,
    Tanh,
    TruncatedBits,
    TruncatedRelu,
)
from flow.formats.kinds import ACTIVATIONS_OF, BIASES, INPUTS, KERNELS, KINDS, WIDTHLESS, Format, of_width
from flow.formats.names import exponent_of, parse
from flow.formats.power import PowerOfTwo, ReluPowerOfTwo
from flow.formats.ranges import best_integer

__all__ = [
    "ACTIVATIONS_OF",
    "BIASES",
    "INPUTS",
    "KERNELS",
    "KINDS",
    "WIDTHLESS",
    "Binary",
    "Fixed",
    "Format",
    "Grid",
    "HalfUpBits",
    "HalfUpRelu",
    "PowerOfTwo",
    "Relu",
    "ReluPowerOfTwo",
    "Sigmoid",
    "StochasticBinary",
    "StochasticTernary",
    "Tanh",
    "Ternary",
    "TruncatedBits",
    "TruncatedRelu",
    "best_integer",
    "exponent_of",
    "of_width",
    "parse",
]
