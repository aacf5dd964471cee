"""Input words: powers of two, offsets on the coarse grid, nothing lost on the way."""

import json
from pathlib import Path

import numpy as np
import pytest

from flow.data.prepare import PARTS, prepare
from flow.data.scaling import Centred, InputScaling, fit, unscaled
from flow.errors import BadInput
from flow.formats import Fixed
from flow.task import Data, read

ROOT = Path(__file__).parents[2]
NAMES = ("mass", "count")


def features(n: int = 5000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([rng.normal(80, 30, n), rng.normal(0.01, 0.003, n)], axis=1)


def test_words_are_on_the_grid_and_standardised():
    scaling = fit(features(), NAMES, Fixed(13, 5), 0.25, Path("x"))
    words = scaling.words(features())
    np.testing.assert_array_equal(Fixed(13, 5).quantize(words), words)
    centred = scaling.centred(words)
    assert np.all(np.abs(centred.mean(axis=0)) < 0.15)
    assert np.all((centred.std(axis=0) > 0.68) & (centred.std(axis=0) < 1.45))
    assert all(o / 0.25 == int(o / 0.25) for o in scaling.offsets)
    np.testing.assert_allclose(
        words / np.exp2(scaling.exponents), features(), atol=0.5 * 2.0**-7 * 2.0 ** max(-e for e in scaling.exponents)
    )


def test_scaling_comes_back_from_json():
    scaling = fit(features(), NAMES, Fixed(13, 5), 0.25, Path("x"))
    assert InputScaling.from_json(json.loads(json.dumps(scaling.to_json()))) == scaling


def test_a_constant_feature_and_a_narrow_word_are_refused():
    constant = features()
    constant[:, 1] = 3.0
    with pytest.raises(BadInput, match="x.parquet: feature count"):
        fit(constant, NAMES, Fixed(13, 5), 0.25, Path("x.parquet"))
    with pytest.raises(BadInput, match="data.word.*saturates.*integer bits"):
        fit(features(), NAMES, Fixed(6, 0), 0.25, Path("x.parquet"))


def test_a_common_scaling_treats_all_features_alike():
    pixels = np.random.default_rng(0).choice([0, 3, 16], (500, 6))
    pixels[:, 0] = 0
    scaling = fit(pixels, tuple("abcdef"), Fixed(6, 2), 0.25, Path("x"), common=True)
    assert scaling.exponents == (-3,) * 6 and scaling.offsets == (0.0,) * 6
    np.testing.assert_array_equal(scaling.words(pixels), pixels / 8)
    with pytest.raises(BadInput, match="same value"):
        fit(np.full((10, 2), 3), NAMES, Fixed(6, 2), 0.25, Path("x"), common=True)


def test_the_digits_are_read_exactly():
    task = read(ROOT / "models" / "digits")
    result, arrays = prepare(task.data, ROOT / "models" / "digits")
    assert result["events"] == {"train": 1078, "validation": 360, "test": 359}
    assert set(np.unique(arrays["train.words"] * 8)) == set(range(17))
    assert arrays["train.words"].shape == (1078, 64)
    assert np.bincount(np.concatenate([arrays[f"{part}.labels"] for part in PARTS])).min() > 170


def test_the_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    with np.load(ROOT / "models" / "digits" / "digits.npz") as stored:
        np.testing.assert_array_equal(stored["X"], digits.data)
        np.testing.assert_array_equal(stored["y"], digits.target)


@pytest.fixture(scope="module")
def prepared():
    return prepare(Data(file="jets.parquet", limit=4000), ROOT / "models" / "jet_tagger")


def test_events_stay_on_one_side(prepared):
    result, arrays = prepared
    sides = [set(arrays[f"{part}.events"].tolist()) for part in PARTS]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert sum(result["events"].values()) == 4000
    assert result["events"]["train"] == pytest.approx(2400, abs=40)
    assert result["provenance"]["stand_in"] is True


def test_a_limit_takes_all_classes_alike(prepared):
    _, arrays = prepared
    labels = np.concatenate([arrays[f"{part}.labels"] for part in PARTS])
    assert np.bincount(labels).tolist() == [800] * 5


def test_values_are_centred_row_by_row():
    scaling = fit(features(), NAMES, Fixed(13, 5), 0.25, Path("x"))
    words = scaling.words(features()).astype(np.float32)
    centred = Centred(words, scaling)
    assert centred.shape == words.shape and len(centred) == len(words)
    np.testing.assert_array_equal(centred[100:200], scaling.centred(words[100:200].astype(np.float64)))
    np.testing.assert_array_equal(centred[[3, 1]], scaling.centred(words.astype(np.float64))[[3, 1]])


def test_features_may_stay_as_they_are():
    scaling = unscaled(features(), NAMES, Fixed(32, 14), Path("x"))
    assert set(scaling.exponents) == {0} and set(scaling.offsets) == {0.0}
    np.testing.assert_array_equal(scaling.words(features()), Fixed(32, 14).quantize(features()))
    constant = np.ones((100, 2))
    assert unscaled(constant, ("a", "b"), Fixed(8, 3), Path("x")).exponents == (0, 0)
    with pytest.raises(BadInput, match=r"data\.word: .* saturates 100\.00% of the values of feature a"):
        unscaled(constant * 100, ("a", "b"), Fixed(8, 3), Path("x"))


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"offsets": ["a", 0.0]}, "offsets, value 1: 'a': a finite number is needed"),
        ({"offsets": [0.0, float("inf")]}, "offsets, value 2: inf: a finite number"),
        ({"offsets": [0.0]}, "offsets has 1 values, features 2"),
        ({"offsets": None}, "offsets None: a list is needed"),
        ({"exponents": [1, 1.5]}, "exponents, value 2: 1.5: a whole number from -1000 to 1000"),
        ({"exponents": [10**9, 1]}, "exponents, value 1: 1000000000: a whole number"),
        ({"features": [1, 1]}, "features, value 1: 1: the name of a feature"),
        ({"features": "ab"}, "features 'ab': a list is needed"),
        ({"features": ["a", "a"]}, "features: 'a' is there twice"),
        ({"word": 8}, "word 8: a format is needed"),
    ],
)
def test_json_that_is_no_scaling_is_named(changes, message):
    scaling = InputScaling(("a", "b"), Fixed(8, 3), (1, -2), (0.5, 0.0))
    assert InputScaling.from_json(scaling.to_json()) == scaling
    with pytest.raises(BadInput) as caught:
        InputScaling.from_json({**scaling.to_json(), **changes})
    assert message in str(caught.value)
