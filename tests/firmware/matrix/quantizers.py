"""The quantizers of the matrix: every one that QKeras has, and ours, by the role that they take in a network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantizer:
    """A quantizer by its class and arguments, made when it is needed: Keras is heavy."""

    name: str
    arguments: tuple[tuple[str, object], ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.arguments)})"

    def make(self):
        import qkeras

        from flow.train import hardware

        return getattr(hardware if hasattr(hardware, self.name) else qkeras.quantizers, self.name)(
            **dict(self.arguments)
        )


def _q(name: str, **arguments) -> Quantizer:
    return Quantizer(name, tuple(arguments.items()))


_REFUSED = (
    _q("quantized_linear", bits=4, integer=0),
    _q("quantized_ulaw", bits=4, integer=0),
    _q("bernoulli", alpha=1.0),
    _q("quantized_hswish", bits=4, integer=1),
)

KERNELS = (
    _q("quantized_bits", bits=4, integer=0, alpha=1),
    _q("quantized_bits", bits=4, integer=0, symmetric=1, alpha=1),
    _q("quantized_bits", bits=3, integer=0, keep_negative=False, alpha=1),
    _q("quantized_bits", bits=4, integer=0, alpha=0.25),
    _q("quantized_bits", bits=4, integer=0, alpha="auto_po2"),
    _q("quantized_bits", bits=4, integer=0, alpha="auto"),
    _q("quantized_bits", bits=4, integer=0),
    _q("quantized_linear", bits=4, integer=0, alpha=1),
    _q("ternary", alpha=0.5, threshold=0.25),
    _q("ternary", alpha="auto_po2"),
    _q("ternary", alpha="auto"),
    _q("binary", alpha=0.5),
    _q("binary", alpha="auto_po2"),
    _q("binary", use_01=True, alpha=1),
    _q("stochastic_ternary", alpha=0.5, threshold=0.25),
    _q("stochastic_ternary", alpha="auto_po2"),
    _q("stochastic_binary", alpha=0.25),
    _q("stochastic_binary", alpha="auto_po2"),
    _q("quantized_po2", bits=4),
    _q("quantized_po2", bits=4, max_value=1),
    _q("quantized_po2", bits=4, quadratic_approximation=True),
    *_REFUSED,
)

BIASES = (
    _q("quantized_bits", bits=5, integer=0, alpha=1),
    _q("quantized_bits", bits=5, integer=1, symmetric=1, alpha=1),
    _q("quantized_bits", bits=4, integer=0, keep_negative=False, alpha=1),
    _q("quantized_bits", bits=4, integer=0, alpha=0.5),
    _q("quantized_po2", bits=4),
    _q("ternary", alpha=0.5, threshold=0.25),
    _q("binary", alpha=0.5),
    *_REFUSED,
)

ACTIVATIONS = (
    _q("quantized_bits", bits=3, integer=1, alpha=1),
    _q("quantized_bits", bits=3, integer=1, symmetric=1, alpha=1),
    _q("quantized_bits", bits=3, integer=1, keep_negative=False, alpha=1),
    _q("quantized_bits", bits=3, integer=1, alpha=0.5),
    _q("quantized_bits", bits=4, integer=0, alpha="auto_po2"),
    _q("quantized_linear", bits=4, integer=0, alpha=1),
    _q("quantized_relu", bits=3, integer=1),
    _q("quantized_relu", bits=3, integer=1, relu_upper_bound=1.5),
    _q("quantized_relu", bits=3, integer=1, negative_slope=0.25),
    _q("quantized_relu", bits=3, integer=1, use_sigmoid=1),
    _q("quantized_relu_po2", bits=4),
    _q("quantized_tanh", bits=3),
    _q("quantized_tanh", bits=3, use_real_tanh=True),
    _q("quantized_sigmoid", bits=3),
    _q("quantized_sigmoid", bits=3, use_real_sigmoid=True),
    _q("ternary", alpha=0.5, threshold=0.25),
    _q("ternary", alpha="auto_po2"),
    _q("binary", alpha=0.5),
    _q("quantized_po2", bits=4),
    _q("truncated_bits", bits=3, integer=1),
    _q("half_up_bits", bits=3, integer=1),
    _q("truncated_relu", bits=3, integer=1),
    _q("half_up_relu", bits=3, integer=-1),
    *_REFUSED,
)

ROLES: dict[str, tuple[Quantizer, ...]] = {"kernel": KERNELS, "bias": BIASES, "activation": ACTIVATIONS}
