"""Quantizers that round as hardware does for free: QKeras quantizers of our own.

Dropping bits (floor) costs no logic and rounding half up one carry; QKeras' half to even costs a tie correction
at every value. Forward values saturate; gradients are those of ``quantized_bits`` and ``quantized_relu``.
Import this module before loading a saved model that has them.
"""

from flow.train import backend

backend.start()

import keras
from keras import ops
from keras.saving import register_keras_serializable
from qkeras.base_quantizer import BaseQuantizer


class _HardwareQuantizer(BaseQuantizer):
    """`bits` count the sign where there is one, `integer` does not, as in QKeras."""

    def __init__(self, bits: int = 8, integer: int = 0):
        super().__init__()
        self.bits = bits
        self.integer = integer

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.bits},{self.integer})"

    def max(self) -> float:
        """End of the range, at least 1, as QKeras has it for initializers and constraints."""
        return max(1.0, 2.0**self.integer)

    def get_config(self) -> dict:
        return {"bits": self.bits, "integer": self.integer}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)


def _half_up(words):
    below = ops.floor(words)  # floor(words + 0.5) would round the sum
    return below + ops.cast(words - below >= 0.5, words.dtype)


class _Truncated(_HardwareQuantizer):
    _integers = staticmethod(ops.floor)


class _HalfUp(_HardwareQuantizer):
    _integers = staticmethod(_half_up)


class _Bits:
    """Signed, with the gradient 1 everywhere."""

    def __call__(self, x):
        x = ops.cast(x, keras.backend.floatx())
        levels, step = 2.0 ** (self.bits - 1), 2.0 ** (self.integer - self.bits + 1)
        quantized = step * ops.clip(self._integers(x / step), -levels, levels - 1.0)
        return x + ops.stop_gradient(-x + quantized)

    def min(self) -> float:
        return -self.max()


class _Relu:
    """Unsigned, with the gradient 1 between 0 and the largest value."""

    def __call__(self, x):
        x = ops.cast(x, keras.backend.floatx())
        levels, step = 2.0**self.bits, 2.0 ** (self.integer - self.bits)
        top = step * (levels - 1.0)
        clipped = ops.where(x <= top, ops.relu(x), ops.ones_like(x) * top)
        quantized = step * ops.clip(self._integers(x / step), 0.0, levels - 1.0)
        return clipped + ops.stop_gradient(-clipped + quantized)

    def min(self) -> float:
        return 0.0


@register_keras_serializable(package="flow")
class truncated_bits(_Bits, _Truncated):
    """Signed fixed point, rounded towards minus infinity."""


@register_keras_serializable(package="flow")
class half_up_bits(_Bits, _HalfUp):
    """Signed fixed point, rounded to the nearest value, ties upwards."""


@register_keras_serializable(package="flow")
class truncated_relu(_Relu, _Truncated):
    """Unsigned fixed point behind a rectifier, rounded down."""


@register_keras_serializable(package="flow")
class half_up_relu(_Relu, _HalfUp):
    """Unsigned fixed point behind a rectifier, rounded to the nearest value, ties upwards."""
