"""What a jet is to this program: sixteen numbers, a class, and the event that it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FEATURES: tuple[str, ...] = (
    "zlogz",
    "c1_b0_mmdt",
    "c1_b1_mmdt",
    "c1_b2_mmdt",
    "c2_b1_mmdt",
    "c2_b2_mmdt",
    "d2_b1_mmdt",
    "d2_b2_mmdt",
    "d2_a1_b1_mmdt",
    "d2_a1_b2_mmdt",
    "m2_b1_mmdt",
    "m2_b2_mmdt",
    "n2_b1_mmdt",
    "n2_b2_mmdt",
    "mass_mmdt",
    "multiplicity",
)
"""The features of OpenML set 42468, in its order. `d2_a1_b1_mmdt` repeats `d2_b1_mmdt`."""

CLASSES: tuple[str, ...] = ("g", "q", "t", "w", "z")
"""Gluon, light quark, top, W and Z; sorted, so that an index is what scikit-learn's LabelEncoder gives."""


@dataclass(frozen=True)
class Jets:
    """Labelled jets in memory.

    features:      (n, k) float32, one column for each of `feature_names`; the mass in GeV, all else without unit
    labels:        (n,) int64, index into `class_names`
    events:        (n,) int64, equal for jets of one event, which must not be split apart
    provenance:    plain JSON values; at least `source` (str), `stand_in` (bool: not the public set) and
                   `event_ids` (bool: False where the file has none, so that each row counts as an event)
    """

    features: np.ndarray
    labels: np.ndarray
    events: np.ndarray
    provenance: Mapping[str, Any] = field(default_factory=dict)
    feature_names: tuple[str, ...] = FEATURES
    class_names: tuple[str, ...] = CLASSES

    def __len__(self) -> int:
        return len(self.features)
