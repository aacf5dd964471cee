"""Batch normalization as arithmetic on weights: what a network deploys of it.

At inference it is y = gamma * (x - mean) / sqrt(variance + EPSILON) + beta, which a layer in front of it takes
into its kernel and bias (Jacob et al., arXiv:1712.05877, section 3.2).
"""

from dataclasses import dataclass

import numpy as np

from flow.topology import Layer, Scale

EPSILON = 1e-3  # Keras' own


@dataclass(frozen=True)
class Norm:
    """What a batch normalization has learnt, each (channels,) float32; mean and variance are the moving ones."""

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @property
    def factor(self) -> np.ndarray:
        """What it multiplies each channel by, gamma / sqrt(variance + EPSILON), float32."""
        return (self.gamma / np.sqrt(self.variance + np.float32(EPSILON))).astype(np.float32)


def fold(layer: Layer, kernel: np.ndarray | None, bias: np.ndarray | None, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    """The deployed kernel (`layer.kernel_shape`) and bias (channels,) of a layer and the normalization behind it.

    A bias of None counts as 0. A `Scale` has no weights but those of its normalization: its kernel and bias
    are not looked at. All float32; the same inputs give the same bits.
    """
    factor = norm.factor
    if isinstance(layer, Scale):
        return factor, (norm.beta - norm.mean * factor).astype(np.float32)
    depthwise = getattr(layer, "depthwise", False)
    kernel = np.asarray(kernel, np.float32) * (factor[:, None] if depthwise else factor)
    shift = -norm.mean if bias is None else np.asarray(bias, np.float32) - norm.mean
    return kernel.astype(np.float32), (norm.beta + shift * factor).astype(np.float32)
