"""Normalizations of a file as those that the engine knows: factor and shift for each channel, one epsilon."""

import numpy as np

from flow.train.norm import EPSILON


def normalization(layer) -> dict[str, np.ndarray]:
    """The weights of a plain BatchNormalization with Keras' own epsilon that computes what `layer` does, without its
    quantizers. Another epsilon goes into the variance, and into gamma where the variance would be negative."""
    mean, variance = (np.asarray(getattr(layer, f"moving_{kind}"), np.float64) for kind in ("mean", "variance"))
    gamma = np.ones_like(mean) if layer.gamma is None else np.asarray(layer.gamma, np.float64)
    beta = np.zeros_like(mean) if layer.beta is None else np.asarray(layer.beta, np.float64)
    return _arrays(gamma, beta, mean, variance + layer.epsilon)


def of_statistics(mean: np.ndarray, variance: np.ndarray) -> dict[str, np.ndarray]:
    """The weights of a BatchNormalization that subtracts a mean (channels,) and divides by a standard deviation."""
    return _arrays(
        np.ones(len(mean)), np.zeros(len(mean)), np.asarray(mean, np.float64), np.asarray(variance, np.float64)
    )


def _arrays(gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, divisor: np.ndarray) -> dict[str, np.ndarray]:
    """`divisor`: the square of what the deviation from the mean is divided by."""
    variance = np.maximum(divisor - EPSILON, 0.0)
    found = {
        "gamma": gamma * np.sqrt((variance + EPSILON) / np.maximum(divisor, 1e-14)),
        "beta": beta,
        "moving_mean": mean,
        "moving_variance": variance,
    }
    return {name: values.astype(np.float32) for name, values in found.items()}


def not_plain(layer) -> str | None:
    """Why a QBatchNormalization is no factor and shift on a grid; None where it is."""
    if layer.mean_quantizer_internal or layer.variance_quantizer_internal or layer.inverse_quantizer_internal:
        return "QBatchNormalization quantizes mean and variance, and divides: its factors lie on no grid"
    still = not np.asarray(layer.moving_mean).any() and bool((np.asarray(layer.moving_variance) == 1).all())
    if layer.epsilon or not still:
        return f"QBatchNormalization divides by sqrt(variance + {layer.epsilon:g}): its factors lie on no grid"
    if layer.gamma is None or layer.beta is None:
        return "QBatchNormalization without gamma or beta has no factor or shift with a format"
    return None
