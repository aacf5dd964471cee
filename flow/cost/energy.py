"""QTools' energy per inference in closed form: a design's formats and its network's shape are enough.

The rules are those of QKeras' QTools (`qkeras/qtools`, process "horowitz"), whose constants are fits to
M. Horowitz, "Computing's energy problem", ISSCC 2014, pp. 10-14: a 45 nm ASIC process. They order designs;
what an FPGA spends they do not say.

Where QTools knows less than the design, its answer is kept, so that both agree:

- Pruned weights are counted like the others: QTools does not look at the values, and `keep` changes nothing;
  nor does it leave out the padded zeros of a convolution.
- The scale of a format is not looked at. QTools gives ternary and binary formats 2 and 1 integer bits whatever
  alpha is, so the accumulator in front of a bias of another range is a few bits too wide or too narrow.
- Ternary and binary values carry -1 fractional bits there (2 bits, 2 integer bits and a sign); quantized_tanh has
  -1 integer bits.
- Negative integer bits are followed as they are; a bias with far more range than the products widens
  the accumulator as it would in hardware.
- A depthwise convolution reads one bias, not one for each channel.
- Maxima over 2-D windows and sums of branches read nothing; other poolings, reshaping and concatenating read
  their data.
- The logits' write is not counted, nor the read of an activation that waits for its quantizer.

Where QTools stops or has no answer (QKeras 1.2.1: means, layers that only scale, of which it counts the parameters of
a batch normalization, quantized_sigmoid, which it takes for 8 bits, hardware roundings) the same rules are applied: a
mean is priced as its additions, a scaling layer as one product and sum for each value, a hardware rounding as its
QKeras cousin.

QTools itself rounds each part to 0.01 pJ and computes in float32; nothing is rounded here.
"""

import math
from dataclasses import dataclass

from flow.design import Design
from flow.errors import BadInput
from flow.formats import Format
from flow.topology import INPUT, Activation, Layer, Merge, Pool, Topology, Weighted

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
    float_add: float = 0.9  # 32 bits, each
    float_multiply: float = 3.7


@dataclass(frozen=True)
class Float:
    """32-bit floating point, where a design has a format: what a network costs that nobody has quantized."""

    kind: str = "float"
    bits: int = 32


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
    """A number as QTools sees it; `limit`: the largest value of a power of two, None where none is set."""

    kind: str  # "fixed", "po2", "ternary", "binary", "bit" (0 and 1) or "float"
    bits: int
    integer: int
    signed: bool
    limit: float | None = None

    @property
    def fraction(self) -> int:
        return self.bits - self.signed - self.integer

    @property
    def exponents(self) -> tuple[int, int]:
        """Bits below and above the point that a power of two can reach."""
        half = 2 ** (self.bits - self.signed - 1)
        above = half - 1
        if self.limit is not None:
            above = min(math.ceil(math.log2(self.limit)), above) if self.limit > 0 else 0
        return half, max(above, 0)

    @property
    def fixed(self) -> "_Type":
        """The fixed-point number that holds it."""
        if self.kind != "po2":
            return self
        below, above = self.exponents
        return _Type("fixed", int(below + above + self.signed), above, self.signed)


@dataclass(frozen=True)
class Multiplier:
    """What QTools multiplies with: `energy` in pJ for each product, and the product's type."""

    kind: str  # "mul", "shifter", "add", "mux", "xor" or "and"
    energy: float
    product: _Type


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
    there. Raises BadInput for another memory.
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
    """Energy by layer in pJ. A layer reads its data and parameters and computes; `name`_`function`, the quantized
    activation behind it, writes its outputs. The words at the input are taken to be on the input grid.
    """
    memory = _Memory(min_sram_bits, io_on_dram)
    for place in (weights_on, activations_on):
        if place not in MEMORIES:
            raise BadInput(f"memory {place!r} is not known; known: {', '.join(MEMORIES)}")
    types = _types(topology, design)
    result: dict[str, float] = {}
    for layer in topology.layers:
        sources = topology.sources[layer.name]
        data = [types[name] for name in sources]
        if isinstance(layer, Activation):
            if topology.quantized(layer):
                result[layer.name] = memory.write(activations_on, math.prod(layer.shape) * types[layer.name].bits)
            continue
        place = ("dram" if io_on_dram else "sram") if INPUT in sources else activations_on
        read = 0.0
        if not _reads_nothing(layer):
            read = sum(memory.read(place, math.prod(topology.shapes[n]) * t.bits) for n, t in zip(sources, data))
        result[layer.name] = read + _operations(layer, data, design)
        if isinstance(layer, Weighted):
            part = design[layer.name]
            result[layer.name] += memory.read(weights_on, math.prod(layer.kernel_shape) * part.kernel.bits)
            if part.bias is not None:
                result[layer.name] += memory.read(weights_on, layer.kernel_shape[-1] * part.bias.bits)
            if topology.quantized(layer):
                bits = math.prod(layer.shape) * part.activation.bits
                result[f"{layer.name}_{layer.activation}"] = memory.write(activations_on, bits)
    return result


def multiplier(data: Format, kernel: Format) -> Multiplier:
    """The multiplier that QTools picks for a format of the data and one of the weights."""
    return _multiplier(_seen(data), _seen(kernel))


def _multiplier(x: _Type, w: _Type) -> Multiplier:
    signed, kinds = x.signed or w.signed, {x.kind, w.kind}
    if "float" in kinds:
        return Multiplier("mul", HOROWITZ.float_multiply, _FLOAT)
    if x.kind == "bit":
        # QTools keeps a ternary's 2 bits for the product of a bit and a binary or ternary weight.
        bits, integer = (max(x.bits, w.bits), w.integer) if w.kind in ("fixed", "po2") else (2, 2)
        kind = "po2" if w.kind == "po2" else "fixed"
        return Multiplier("and", _gate(_AND, bits), _Type(kind, bits, integer, signed, w.limit))
    if kinds == {"fixed"}:
        integer = x.integer + w.integer
        product = _Type("fixed", integer + x.fraction + w.fraction + signed, integer, signed)
        return Multiplier("mul", _polynomial(HOROWITZ.multiply, math.sqrt(x.bits * w.bits)), product)
    if kinds == {"po2"}:
        bits = max(x.bits, w.bits) + 1
        limit = None if x.limit is None or w.limit is None else x.limit * w.limit
        return Multiplier("add", _gate(1.0, bits), _Type("po2", bits, bits, signed, limit))
    if kinds == {"fixed", "po2"}:
        return _shifter(*((x, w) if w.kind == "po2" else (w, x)))
    if kinds == {"binary"}:
        return Multiplier("xor", _gate(_XOR, 1), _Type("fixed", 1, 1, True))
    selector, chosen = (w, x) if w.kind in ("ternary", "binary") else (x, w)
    bits = chosen.bits + (not chosen.signed)
    power = chosen.kind == "po2"
    product = _Type("po2" if power else "fixed", bits, bits if power else chosen.integer, True, chosen.limit)
    return Multiplier("mux", _gate(_mux(selector), chosen.bits), product)


def _shifter(shifted: _Type, power: _Type) -> Multiplier:
    below, above = power.exponents
    bits = int(shifted.bits + below + above + (power.signed and not shifted.signed))
    side = math.sqrt(2**power.bits * shifted.bits)
    product = _Type("fixed", bits, shifted.integer + above, shifted.signed or power.signed)
    return Multiplier("shifter", _gate(1.0, side * math.log10(side)), product)


def _sum(terms: int, product: _Type, bias: _Type | None) -> _Type:
    """The sum of so many products and a bias, as QTools counts its bits."""
    if product.kind == "float":
        return product
    growth, one = math.ceil(math.log2(terms)), product.fixed
    total = _Type("fixed", one.bits + growth, one.integer + growth, one.signed)
    if bias is None:
        return total
    integer = max(total.integer, bias.integer) + 1
    signed = total.signed or bias.signed
    return _Type("fixed", integer + signed + max(total.fraction, bias.fraction), integer, signed)


def _types(topology: Topology, design: Design) -> dict[str, _Type]:
    """The type of what each layer puts out, `INPUT` among them."""
    found = {INPUT: _seen(design.input)}
    for layer in topology.layers:
        data = [found[name] for name in topology.sources[layer.name]]
        if topology.quantized(layer):
            found[layer.name] = _seen(design[layer.name].activation)
        elif isinstance(layer, (Weighted, Pool)):
            found[layer.name] = _total(layer, data[0], design)
        elif isinstance(layer, Merge):
            found[layer.name] = _merged(data, layer.operation == "add")
        else:
            found[layer.name] = data[0]
    return found


def _total(layer: Layer, data: _Type, design: Design) -> _Type:
    """What a layer adds up; a maximum is as wide as its data."""
    if isinstance(layer, Pool):
        return data if layer.operation == "max" else _sum(math.prod(layer.window), data, None)
    part = design[layer.name]
    bias = None if part.bias is None else _seen(part.bias)
    return _sum(layer.terms, _multiplier(data, _seen(part.kernel)).product, bias)


def _merged(data: list[_Type], summed: bool) -> _Type:
    if len(set(data)) == 1 and (not summed or data[0].kind == "float"):
        return data[0]
    fixed = [item.fixed for item in data]
    bits, integer = max(item.bits for item in fixed), max(item.integer for item in fixed)
    return _Type("fixed", bits + summed, integer + summed, any(item.signed for item in fixed))


def _operations(layer: Layer, data: list[_Type], design: Design) -> float:
    """Energy in pJ of all products and sums of a layer."""
    if isinstance(layer, Weighted):
        product = _multiplier(data[0], _seen(design[layer.name].kernel))
        return layer.multiplications * (product.energy + _addition(_total(layer, data[0], design)))
    if isinstance(layer, Merge) and layer.operation == "add":
        return (len(data) - 1) * math.prod(layer.shape) * _addition(_merged(data, True))
    if isinstance(layer, Pool) and layer.operation == "average":
        sums = math.prod(layer.shape) * math.prod(layer.window)
        return sums * _addition(_total(layer, data[0], design))
    return 0.0


def _reads_nothing(layer: Layer) -> bool:
    """Whether QTools leaves out what a layer reads."""
    if isinstance(layer, Merge):
        return layer.operation == "add"
    return isinstance(layer, Pool) and layer.operation == "max" and len(layer.window) == 2 and not layer.flat


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


_FLOAT = _Type("float", Float.bits, Float.bits, True)


def _seen(form: Format | Float) -> _Type:
    if isinstance(form, Float):
        return _FLOAT
    if form.kind.endswith("ternary"):
        return _Type("ternary", 2, 2, True)
    if form.kind.endswith("binary"):
        return _Type("binary", 1, 1, True)
    if form.kind.endswith("po2"):
        limit = None if form.max_exponent is None else 2.0**form.max_exponent
        return _Type("po2", form.bits, form.bits, form.signed, limit)
    if form.kind == "quantized_tanh":
        return _Type("fixed", form.bits, -1, True)
    kind = "bit" if form.kind.endswith("relu") and form.bits == form.integer == 1 else "fixed"
    return _Type(kind, form.bits, getattr(form, "own_integer", form.integer), form.signed)


def _mux(selector: _Type) -> float:
    return _BINARY_MUX if selector.kind == "binary" else _TERNARY_MUX


def _gate(factor: float, bits: int) -> float:
    return factor * _polynomial(HOROWITZ.add, bits)


def _addition(total: _Type) -> float:
    """Energy in pJ to add to a sum."""
    return HOROWITZ.float_add if total.kind == "float" else _gate(1.0, total.bits)


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    value = 0.0
    for coefficient in coefficients:
        value = value * x + coefficient
    return value
