"""The shape of a network, without its framework: what cost models, spaces and firmware need to know of it.

A network is a graph of layers in the order of the data. A layer names the layers it reads; `INPUT` is the
network's input. Shapes leave out the batch; channels come last.
"""

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Union

INPUT = "input"
ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid")


@dataclass(frozen=True)
class Dense:
    """A fully connected layer. `normalized`: a batch normalization behind it is folded into its weights."""

    name: str
    n_in: int
    n_out: int
    activation: str = "linear"
    inputs: tuple[str, ...] = ()
    bias: bool = True
    normalized: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.n_out,)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        return (self.n_in, self.n_out)

    @property
    def terms(self) -> int:
        """Products in one sum."""
        return self.n_in

    @property
    def multiplications(self) -> int:
        return self.n_in * self.n_out


@dataclass(frozen=True)
class Conv:
    """A convolution over one or two dimensions; `depthwise` ones have a filter for each channel.

    `input_shape` is (steps, channels) or (rows, columns, channels); `padding` is "valid" or "same".
    The kernel has the shape (*window, channels, filters), a depthwise one (*window, channels, 1).
    """

    name: str
    input_shape: tuple[int, ...]
    filters: int
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str = "valid"
    activation: str = "linear"
    inputs: tuple[str, ...] = ()
    bias: bool = True
    normalized: bool = False
    depthwise: bool = False

    @property
    def channels(self) -> int:
        return self.input_shape[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = zip(self.input_shape, self.window, self.strides)
        return (*(output_size(n, w, s, self.padding) for n, w, s in sizes), self.filters)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        return (*self.window, self.channels, 1 if self.depthwise else self.filters)

    @property
    def terms(self) -> int:
        """Products in one sum."""
        return math.prod(self.window) * (1 if self.depthwise else self.channels)

    @property
    def multiplications(self) -> int:
        """Products of one inference, those with padded zeros among them."""
        return math.prod(self.shape) * self.terms


@dataclass(frozen=True)
class Scale:
    """A batch normalization that stands on its own: a factor (its kernel) and a shift (its bias) for each channel."""

    name: str
    shape: tuple[int, ...]
    activation: str = "linear"
    inputs: tuple[str, ...] = ()
    bias = True
    normalized = True
    terms = 1

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        return self.shape[-1:]

    @property
    def multiplications(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Pool:
    """Largest value or mean of each window; `operation` is "max" or "average".

    A global pooling has the whole input for its window, and `flat` set: its output is (channels,).
    """

    name: str
    input_shape: tuple[int, ...]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    operation: str = "max"
    flat: bool = False
    inputs: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = zip(self.input_shape, self.window, self.strides)
        sides = () if self.flat else tuple(output_size(n, w, s, "valid") for n, w, s in sizes)
        return (*sides, self.input_shape[-1])


@dataclass(frozen=True)
class Merge:
    """Sum of layers of one shape (`operation` "add"), or their channels side by side ("concatenate")."""

    name: str
    shape: tuple[int, ...]
    operation: str
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reshape:
    """The same values in another shape; a flattening too."""

    name: str
    shape: tuple[int, ...]
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Activation:
    """An activation function that stands on its own, as behind a sum of branches."""

    name: str
    shape: tuple[int, ...]
    activation: str
    inputs: tuple[str, ...] = ()


Layer = Union[Dense, Conv, Scale, Pool, Merge, Reshape, Activation]
Weighted = (Dense, Conv, Scale)
LAYERS: dict[str, type] = {
    "dense": Dense,
    "conv": Conv,
    "scale": Scale,
    "pool": Pool,
    "merge": Merge,
    "reshape": Reshape,
    "activation": Activation,
}


@dataclass(frozen=True)
class Topology:
    """The layers in the order of the data; the last one gives the logits.

    A layer without `inputs` reads the one in front of it. `input_shape` is what the first layers see; the
    firmware's words are its values in one row.
    """

    layers: tuple[Layer, ...]
    shape_in: tuple[int, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        if self.shape_in:
            return self.shape_in
        first = self.layers[0]
        return getattr(first, "input_shape", None) or (first.n_in,)

    @property
    def n_in(self) -> int:
        return math.prod(self.input_shape)

    @property
    def n_out(self) -> int:
        return self.layers[-1].shape[-1]

    @property
    def output(self) -> str:
        """The name of the layer that gives the logits."""
        return self.layers[-1].name

    @property
    def weighted(self) -> tuple[Layer, ...]:
        """The layers with a kernel, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Weighted))

    @property
    def designed(self) -> tuple[Layer, ...]:
        """The layers that have a format to choose, in order: those with a kernel, and activations on their own."""
        return tuple(layer for layer in self.layers if isinstance(layer, (*Weighted, Activation)))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the designed layers."""
        return tuple(layer.name for layer in self.designed)

    @cached_property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """Layer name → the names of what it reads, `INPUT` among them."""
        before, found = INPUT, {}
        for layer in self.layers:
            found[layer.name] = layer.inputs or (before,)
            before = layer.name
        return found

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Output shape by layer name, `INPUT` among them."""
        return {INPUT: self.input_shape} | {layer.name: layer.shape for layer in self.layers}

    def __getitem__(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)

    def quantized(self, layer: Layer) -> bool:
        """Whether a layer has an activation format: none where it gives the logits, nor behind a linear one.

        A linear `Activation` on its own is a point at which the user asks for a format.
        """
        if layer.name == self.output:
            return False
        return isinstance(layer, Activation) or (isinstance(layer, Weighted) and layer.activation != "linear")

    def to_json(self) -> dict:
        kinds = {kind: name for name, kind in LAYERS.items()}
        return {
            "input_shape": list(self.input_shape),
            "layers": [{"kind": kinds[type(layer)]} | asdict(layer) for layer in self.layers],
        }

    @staticmethod
    def from_json(row: dict) -> "Topology":
        layers = []
        for item in row["layers"]:
            values = {k: tuple(v) if isinstance(v, list) else v for k, v in item.items() if k != "kind"}
            layers.append(LAYERS[item["kind"]](**values))
        return Topology(tuple(layers), tuple(row["input_shape"]))


def output_size(size: int, window: int, stride: int, padding: str) -> int:
    """Positions of a window along one dimension."""
    return -(-size // stride) if padding == "same" else (size - window) // stride + 1


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Zeros in front of and behind one dimension under "same" padding, as TensorFlow puts them."""
    total = max((output_size(size, window, stride, "same") - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def accumulator_bits(terms: int, data_bits: int, weight_bits: int) -> int:
    """Bits that hold any sum of `terms` products and a bias: never overflows, whatever the weights are."""
    return data_bits + weight_bits + math.ceil(math.log2(terms + 1))
