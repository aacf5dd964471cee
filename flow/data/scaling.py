"""From physical features to the words that the firmware receives.

Feature j arrives as a fixed-point word; read in the common format `word`, its value is
``u_j = x_j * 2**exponent_j``, so its least significant bit weighs ``step * 2**-exponent_j`` units of the
feature. The exponent brings the standard deviation to between 0.7 and 1.4: scaling costs no logic.
Subtracting the offset (the mean, on a coarse grid) is the firmware's first layer and is priced with it.
Features of one kind, as pixels are, share one exponent and have no offset: windows slide over them.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.errors import BadInput
from flow.formats import Fixed, parse


@dataclass(frozen=True)
class InputScaling:
    """The input interface of a task. `offsets` are in units of u, multiples of `word.step`."""

    features: tuple[str, ...]
    word: Fixed
    exponents: tuple[int, ...]
    offsets: tuple[float, ...]

    def words(self, features: np.ndarray) -> np.ndarray:
        """Physical features (n, n_features) → the words' values u (float64), rounded and saturated."""
        return self.word.quantize(np.asarray(features, dtype=np.float64) * np.exp2(self.exponents))

    def centred(self, words: np.ndarray) -> np.ndarray:
        """What the network's first quantizer sees: u - offset, exact in float64."""
        return words - np.asarray(self.offsets)

    def to_json(self) -> dict:
        return {
            "features": list(self.features),
            "word": str(self.word),
            "exponents": list(self.exponents),
            "offsets": list(self.offsets),
            "least_significant_bit": [self.word.step * 2.0**-e for e in self.exponents],
        }

    @staticmethod
    def from_json(row: dict) -> "InputScaling":
        """Raises KeyError for a missing key, BadInput (key, value, what is allowed) for a value that is none."""
        if not isinstance(row, dict):
            raise BadInput(f"an object with the keys features, word, exponents and offsets is needed, not {row!r:.40}")
        features, word, exponents, offsets = (row[key] for key in ("features", "word", "exponents", "offsets"))
        for key, values in (("features", features), ("exponents", exponents), ("offsets", offsets)):
            if not isinstance(values, (list, tuple)):
                raise BadInput(f"{key} {values!r:.40}: a list is needed")
            if len(values) != len(features):
                raise BadInput(f"{key} has {len(values)} values, features {len(features)}: one for each is needed")
            for place, value in enumerate(values):
                if not _ALLOWED[key][0](value):
                    raise BadInput(f"{key}, value {place + 1}: {value!r:.40}: {_ALLOWED[key][1]}")
        twice = next((name for name in features if features.count(name) > 1), None)
        if twice is not None:
            raise BadInput(f"features: {twice!r} is there twice; each has its own name")
        if not isinstance(word, str):
            raise BadInput(f"word {word!r:.40}: a format is needed, such as quantized_bits(8,3)")
        return InputScaling(tuple(features), parse(word), tuple(exponents), tuple(float(value) for value in offsets))


_MOST_EXPONENT = 1000  # of float64, with room for the word's own step


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value) -> bool:
    return (_is_whole(value) and abs(value) < 2**1000) or (isinstance(value, float) and math.isfinite(value))


# Key -> whether a value of its list is allowed, and what is.
_ALLOWED = {
    "features": (lambda value: isinstance(value, str), "the name of a feature is needed"),
    "exponents": (
        lambda value: _is_whole(value) and abs(value) <= _MOST_EXPONENT,
        f"a whole number from -{_MOST_EXPONENT} to {_MOST_EXPONENT} is needed",
    ),
    "offsets": (_is_finite, "a finite number is needed"),
}


class Centred:
    """Centred values (n, n_features) of words that stay where they are, in a memory-mapped file for one: rows are read,
    and offsets subtracted, when they are asked for."""

    def __init__(self, words: np.ndarray, scaling: InputScaling):
        self._words, self._scaling = words, scaling
        self.shape = words.shape

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, rows) -> np.ndarray:
        return self._scaling.centred(self._words[rows].astype(np.float64)).astype(np.float32)


def fit(
    features: np.ndarray,
    names: tuple[str, ...],
    word: Fixed,
    offset_step: float,
    source: Path,
    common: bool = False,
) -> InputScaling:
    """Fit exponents and offsets on training features (n, n_features).

    A coarse `offset_step` makes the subtraction touch the high bits only. `common`: one exponent for all,
    no offsets. Raises BadInput where a feature is constant (with `common`: where all are, together) or more
    than one of its values in a thousand would saturate.
    """
    features = np.asarray(features, dtype=np.float64)
    spread = np.full(len(names), features.std()) if common else features.std(axis=0)
    if (spread == 0).any():
        name = names[int(np.argmin(spread))]
        raise BadInput(
            f"{source}: feature {name} has the same value in every event, so it can't be standardised;"
            " leave it out, or set data.scaling to common"
        )
    exponents = np.rint(-np.log2(spread)).astype(int)
    scaled = features * np.exp2(exponents)
    offsets = np.zeros(len(names)) if common else np.rint(scaled.mean(axis=0) / offset_step) * offset_step
    scaling = InputScaling(names, word, tuple(int(e) for e in exponents), tuple(float(o) for o in offsets))
    _check_range(scaling, scaled, source)
    return scaling


def unscaled(features: np.ndarray, names: tuple[str, ...], word: Fixed, source: Path) -> InputScaling:
    """The scaling that leaves features as they are: no exponents, no offsets. Raises BadInput as `fit` for saturation
    of the training features (n, n_features)."""
    scaling = InputScaling(names, word, (0,) * len(names), (0.0,) * len(names))
    _check_range(scaling, np.asarray(features, dtype=np.float64), source)
    return scaling


def _check_range(scaling: InputScaling, scaled: np.ndarray, source: Path) -> None:
    word, names = scaling.word, scaling.features
    outside = ((scaled > word.high) | (scaled < word.low)).mean(axis=0)
    if (outside > 1e-3).any():
        name = names[int(np.argmax(outside))]
        raise BadInput(
            f"data.word: {word} saturates {outside.max():.2%} of the values of feature {name}"
            f" ({source}); give it more integer bits"
        )
