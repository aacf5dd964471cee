"""What decides whether a synthesis ends: how much is unrolled in one layer.

Vivado HLS gives up partitioning an array of more than 4,096 elements, and the time of a schedule grows faster than
the operations in it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flow.cost.hls.columns import Columns, columns
from flow.cost.hls.layers import Network
from flow.cost.hls.logistic import Logistic
from flow.cost.hls.model import HlsModel
from flow.cost.hls.structure import Regime, structure

FEATURES = ("unrolled", "unrolled_octaves", "unrolled_vitis", "reused", "reused_octaves")
_UNROLLED_LIMIT, _REUSED_LIMIT = 3000.0, 1000.0

# Before any outcome: unrolled layers end below the limit and not above it, layers with reused multipliers mostly do,
# and Vitis HLS may end where Vivado HLS does not.
PRIOR = Logistic(
    FEATURES,
    (0.0, -3.0, 1.0, 3.0, -0.5),
    tuple(
        tuple(variance if i == j else 0.0 for j in range(5)) for i, variance in enumerate((4.0, 4.0, 4.0, 4.0, 0.25))
    ),
)


def feasibility_features(c: Columns) -> np.ndarray:
    """Rows of `FEATURES` (networks, 5), of each network's largest layer."""
    s = structure(c)
    kept = np.maximum(s.weights * (1 - c.zeros), 1)
    unrolled = np.isin(s.regime, (Regime.UNROLLED, Regime.PARALLEL, Regime.SHARED))
    reused = np.isin(s.regime, (Regime.REUSED, Regime.SCATTERED))
    most = np.maximum(c.largest(np.where(unrolled, kept, 0.0)), 0.0)
    at_once = np.maximum(c.largest(np.where(reused, s.multipliers, 0.0)), 0.0)
    some, other = most > 0, at_once > 0
    octaves = np.where(some, np.clip(np.log2(np.maximum(most, 1) / _UNROLLED_LIMIT), -4, 6), 0.0)
    wide = np.where(other, np.clip(np.log2(np.maximum(at_once, 1) / _REUSED_LIMIT), -8, 6), 0.0)
    vitis = c.largest(c.vitis.astype(float))
    return np.stack([some.astype(float), octaves, some * vitis, other.astype(float), wide], axis=1)


def finishes(model: HlsModel, networks: Sequence[Network]) -> np.ndarray:
    """Probabilities (networks,) that C synthesis ends."""
    return model.feasibility.probability(feasibility_features(columns(networks)))


def updated_feasibility(model: HlsModel, finished: Sequence[Network], failed: Sequence[Network]) -> HlsModel:
    """The model after the syntheses of some networks ended, and those of others did not."""
    networks = [*finished, *failed]
    if not networks:
        return model
    ended = np.array([1.0] * len(finished) + [0.0] * len(failed))
    return replace(model, feasibility=model.feasibility.updated(feasibility_features(columns(networks)), ended))
