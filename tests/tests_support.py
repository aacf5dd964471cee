"""What several tests need."""

import numpy as np


def grid(form) -> np.ndarray:
    """Values on the format's grid, halfway between, beside the halves, at and beyond the ends."""
    steps = np.arange(-20, 21) * form.step / 2
    ends = np.array([form.low, form.high, form.low - form.step, form.high + form.step, 1e3, -1e3])
    values = np.concatenate([steps, steps + 1e-3 * form.step, steps - 1e-3 * form.step, ends, ends + form.step / 2])
    return values.astype(np.float32)
