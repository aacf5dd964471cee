"""QTools' energy per inference in closed form: a design's formats and its network's shape are enough.

The rules are those of QKeras' QTools (`qkeras/qtools`, process "horowitz"), whose constants are fits to
M. Horowitz, "Computing's energy problem", ISSCC 2014, pp. 10-14: a 45 nm ASIC process. They order designs;
what an FPGA spends they do not say.

Where QTools knows less than the design, its answer is kept, so that both agree:

- Pruned weights are counted like the others: QTools does not look at the values, and `keep` changes nothing.
- The scale of ternary and binary formats is not looked at. QTools gives them 2 and 1 integer bits whatever
  alpha is, so the accumulator in front of a bias of another range is a few bits too wide or too narrow.
- Ternary and binary values carry -1 fractional bits there (2 bits, 2 integer bits and a sign).
- Negative integer bits are followed as they are; a bias with far more range than the products widens
  the accumulator as it would in hardware.
- The logits' write is not counted, nor the read of an activation that waits for its quantizer.

QTools itself rounds each part to 0.01 pJ and computes in float32; nothing is rounded here.
"""

import math
from dataclasses import dataclass

from flow.design import Design
from flow.errors import BadInput
from flow.formats import Format
from flow.topology import Dense, Topology

MEMORIES = ("sram", "dram", "fixed")


@dataclass(frozen=True)
class Process:
    """Energies in pJ as polynomials, highest power first, as QTools' `config_public.py` has them."""

    name: str
    add: tuple[float, ...]  # of the bits; gates are priced as parts of an adder
    multiply: tuple[float, ...]  # of sqrt(data bits * weight bits)
    sram: tuple[float, ...]  # of log2(memory bits), for each word
    dram: tuple[float, ...]  # of the bits moved
    sram_word: int = 64  # bits


HOROWITZ = Process(
    name="horowitz",
    add=(0.003125, 0.0),
    multiply=(0.002994791667, 0.001041666667, 0.0),
    sram=(9.02427321e-04, -2.68847858e-02, 2.08900804e-01, 0.0),
    dram=(20.3125, 0.0),
)

# A gate's energy as a part of an adder's of the same width.
_BINARY_MUX, _TERNARY_MUX, _XOR, _AND = 0.3, 0.6, 0.3, 0.1


@dataclass(frozen=True)
class _Type:
    """A number as QTools sees it."""

    kind: str  # "fixed", "ternary", "binary" or "bit" (0 and 1)
    bits: int
    integer: int
    signed: bool

    @property
    def fraction(self) -> int:
        return self.bits - self.signed - self.integer


@dataclass(frozen=True)
class Multiplier:
    """What QTools multiplies with: `energy` in pJ for each product, and the product's width."""

    kind: str  # "mul", "mux", "xor" or "and"
    energy: float
    bits: int
    integer: int


def energy(
    topology: Topology,
    design: Design,
    weights_on: str = "sram",
    activations_on: str = "sram",
    min_sram_bits: int = 0,
    io_on_dram: bool = False,
) -> float:
    """Energy of one inference in pJ: QTools' sum over the layers before it is cut to a whole number.

    `weights_on`, `activations_on`: "sram", "dram" or "fixed" (wired in, free). `min_sram_bits`: a memory
    costs as much as one of this size at least. `io_on_dram`: the input comes from DRAM and the output goes
    there. Raises BadInput for another memory or for a format QTools has no multiplier for.
    """
    return sum(energy_by_layer(topology, design, weights_on, activations_on, min_sram_bits, io_on_dram).values())


def energy_by_layer(
    topology: Topology,
    design: Design,
    weights_on: str = "sram",
    activations_on: str = "sram",
    min_sram_bits: int = 0,
    io_on_dram: bool = False,
) -> dict[str, float]:
    """Energy by layer in pJ. A layer `name` reads its data and parameters and computes; `name`_relu,
    the activation behind it, writes its outputs. The words at the input are taken to be on the input grid.
    """
    memory = _Memory(min_sram_bits, io_on_dram)
    for place in (weights_on, activations_on):
        if place not in MEMORIES:
            raise BadInput(f"memory {place!r} is not known; known: {', '.join(MEMORIES)}")
    outside = "dram" if io_on_dram else "sram"
    result: dict[str, float] = {}
    for position, layer in enumerate(topology.layers):
        item, data = design[layer.name], design.data_format(layer.name)
        reads = memory.read(outside if position == 0 else activations_on, layer.n_in * data.bits)
        reads += memory.read(weights_on, layer.multiplications * item.kernel.bits)
        reads += memory.read(weights_on, layer.n_out * item.bias.bits)
        result[layer.name] = reads + operations(layer, data, item.kernel, item.bias)
        if item.activation is not None:
            last = position == len(topology.layers) - 1
            place = outside if last else activations_on
            result[f"{layer.name}_relu"] = memory.write(place, layer.n_out * item.activation.bits)
    return result


def operations(layer: Dense, data: Format, kernel: Format, bias: Format) -> float:
    """Energy in pJ of all products and sums of a layer."""
    product = multiplier(data, kernel)
    add = _polynomial(HOROWITZ.add, accumulator_bits(layer.n_in, product, bias))
    return layer.multiplications * (product.energy + add)


def multiplier(data: Format, kernel: Format) -> Multiplier:
    """The multiplier that QTools picks for a format of the data and one of the weights."""
    x, w = _seen(data), _seen(kernel)
    if not w.signed:
        raise BadInput(f"{kernel} as a kernel's format: QTools' multipliers are followed for signed kernels only")
    if x.kind == "bit":
        # QTools keeps a ternary's 2 bits for the product of a bit and a binary or ternary weight.
        bits, integer = (max(x.bits, w.bits), w.integer) if w.kind == "fixed" else (2, 2)
        return Multiplier("and", _gate(_AND, bits), bits, integer)
    if w.kind == "fixed" and x.kind == "fixed":
        side = math.sqrt(x.bits * w.bits)
        integer = x.integer + w.integer
        return Multiplier("mul", _polynomial(HOROWITZ.multiply, side), integer + x.fraction + w.fraction + 1, integer)
    if w.kind == "binary" and x.kind == "binary":
        return Multiplier("xor", _gate(_XOR, 1), 1, 1)
    if w.kind == "fixed":
        return Multiplier("mux", _gate(_mux(x), w.bits), w.bits, w.integer)
    return Multiplier("mux", _gate(_mux(w), x.bits), x.bits + (not x.signed), x.integer)


def accumulator_bits(n_in: int, product: Multiplier, bias: Format) -> int:
    """Bits of the sum of `n_in` products and a bias, as QTools counts them."""
    growth = math.ceil(math.log2(n_in))
    added = _seen(bias)
    integer = max(product.integer + growth, added.integer) + 1
    return integer + 1 + max(product.bits - 1 - product.integer, added.fraction)


@dataclass(frozen=True)
class _Memory:
    min_sram_bits: int
    io_on_dram: bool

    def read(self, place: str, bits: int) -> float:
        """Energy in pJ to bring so many bits to the arithmetic."""
        if place == "fixed":
            return 0.0
        if place == "sram":
            return self._sram(bits)
        # QTools passes DRAM through SRAM only where the network's input and output are in DRAM too.
        return _polynomial(HOROWITZ.dram, bits) + (self._sram(bits) if self.io_on_dram else 0.0)

    write = read  # QTools prices both alike

    def _sram(self, bits: int) -> float:
        words = math.ceil(bits / HOROWITZ.sram_word)
        return words * max(_polynomial(HOROWITZ.sram, math.log2(max(bits, self.min_sram_bits))), 0.0)


def _seen(form: Format) -> _Type:
    if form.kind == "ternary":
        return _Type("ternary", 2, 2, True)
    if form.kind == "binary":
        return _Type("binary", 1, 1, True)
    kind = "bit" if form.kind == "quantized_relu" and form.bits == form.integer == 1 else "fixed"
    return _Type(kind, form.bits, form.integer, form.signed)


def _mux(selector: _Type) -> float:
    return _BINARY_MUX if selector.kind == "binary" else _TERNARY_MUX


def _gate(factor: float, bits: int) -> float:
    return factor * _polynomial(HOROWITZ.add, bits)


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    value = 0.0
    for coefficient in coefficients:
        value = value * x + coefficient
    return value
