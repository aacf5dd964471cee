"""The scales that QKeras' ``alpha="auto_po2"`` takes from the values, a power of two for each channel.

Channels are the last axis; in an array of one axis every element has a scale of its own. The formulas are QKeras'
``quantized_bits``, ``ternary`` and ``binary``, with ``_get_least_squares_scale``, in float64.
"""

import numpy as np

EPSILON = 1e-7  # keras.config.epsilon()
ROUNDS = 5


def fixed(values: np.ndarray, bits: int, integer: int) -> np.ndarray:
    """Values (any shape) on a symmetric grid of `bits` bits whose step fits each channel."""
    scaled = values / 2.0**integer
    top = 2.0 ** (bits - 1) - 1

    def steps(scale: np.ndarray) -> np.ndarray:
        return np.sign(scaled) * np.minimum(np.floor(np.abs(scaled) / scale + 0.5), top)

    scale = _power_of_two(_largest(scaled) / top)
    for _ in range(ROUNDS):
        scale = _least_squares(scaled, steps(scale))
    return scale * steps(scale) * 2.0**integer


def ternary(values: np.ndarray) -> np.ndarray:
    """Values (any shape) as -s, 0 or s with a scale s for each channel."""
    scale = _power_of_two(2.0 * _largest(values) / 3.0)
    for _ in range(ROUNDS):
        signs = (np.rint(values / scale) != 0) * np.sign(values)
        scale = _least_squares(values, signs)
    return scale * signs


def binary(values: np.ndarray) -> np.ndarray:
    """Values (any shape) as -s or s with a scale s for each channel; zero counts as s."""
    signs = np.where(values < 0, -1.0, 1.0)
    return _least_squares(values, signs) * signs


def _largest(values: np.ndarray) -> np.ndarray:
    axes = tuple(range(max(values.ndim - 1, 1)))
    return np.abs(values).max(axis=axes, keepdims=True)


def _least_squares(values: np.ndarray, units: np.ndarray) -> np.ndarray:
    axes = tuple(range(values.ndim - 1))
    products, squares = (np.mean(a, axis=axes, keepdims=True) for a in (values * units, units * units))
    return _power_of_two(products / (squares + EPSILON))


def _power_of_two(scale: np.ndarray) -> np.ndarray:
    return np.exp2(np.rint(np.log2(scale + EPSILON)))
