"""What a network is made of: by layer its inputs that are read, the weights that matter, and their signed digits."""

from collections.abc import Sequence

import numpy as np
from networks import Layer

from flow.cost.rtl.digits import canonical_digits

FRACTION = 24  # binary places, more than any format here has


def anatomy(layers: Sequence[Layer]) -> dict[str, list[int]]:
    """`inputs`, `weights` and `digits` (non-zero canonical signed digits) of each layer. A weight matters where a path of
    weights leads from an input to it, and from it to an output; no logic is made of others."""
    found = [layer.kernel != 0 for layer in layers]
    for before, after in zip(found, found[1:]):
        after &= before.any(axis=0)[:, None]
    for before, after in reversed(list(zip(found, found[1:]))):
        before &= after.any(axis=1)[None]
    digits = [canonical_digits(np.rint(layer.kernel * 2.0**FRACTION)) for layer in layers]
    return {
        "inputs": [int(matters.any(axis=1).sum()) for matters in found],
        "weights": [int(matters.sum()) for matters in found],
        "digits": [int(row[matters].sum()) for row, matters in zip(digits, found)],
    }
