"""The input words that the equivalence gate tries: corners, real events, random words on the grid."""

import numpy as np

from flow.data.scaling import InputScaling
from flow.formats import Format

_SINGLE = 100  # at most so many features are moved on their own


def vectors(
    scaling: InputScaling,
    real_words: np.ndarray,
    n_random: int,
    seed: int,
    grid: Format | None = None,
    kernel: np.ndarray | None = None,
) -> np.ndarray:
    """Input words (n, n_in) for the gate: corners first, then real events, then random words on the grid.

    `grid` is the format of the network's first quantizer: its ties and both ends of its range are then among the
    corners. With the `kernel` (n_in, n_out) of a fully connected first layer so are the words that drive its sums to
    their ends.
    """
    word, n_in = scaling.word, len(scaling.features)
    offsets = np.asarray(scaling.offsets, dtype=np.float64)
    zero = np.zeros(n_in)
    rows = [zero + word.low, zero + word.high, zero, offsets, offsets + word.step, offsets - word.step]
    moved = np.unique(np.linspace(0, n_in - 1, min(n_in, _SINGLE)).astype(int))
    rows += [row for sign in (1, -1) for row in offsets + sign * word.step * np.eye(n_in)[moved]]
    if grid is not None:
        rows += [offsets + value for value in _grid_points(grid, word.step)]
    if kernel is not None:
        rows += [row for up in (kernel > 0, kernel < 0) for row in np.where(up.T, word.high, word.low)]
    random = np.random.default_rng(seed).integers(
        round(word.low / word.step), round(word.high / word.step), (n_random, n_in), endpoint=True
    )
    real = np.asarray(real_words, dtype=np.float64).reshape(-1, n_in)
    return np.concatenate([word.quantize(np.stack(rows)), word.quantize(real), random * word.step])


def _grid_points(grid: Format, step: float) -> np.ndarray:
    """Values (m,) around ties and ends of a quantizer's range, before the offset is added, `step` apart and more."""
    whole = np.arange(-4.0, 4.0) * grid.step
    ties = np.concatenate([whole, whole + grid.low, whole + grid.high]) + grid.step / 2
    ends = np.array([grid.low, grid.low - grid.step, grid.high, grid.high + grid.step, 2 * grid.low, 2 * grid.high])
    return np.concatenate([ties, ties - step, ties + step, ends, ends - step, ends + step])
