"""The equivalence gate, on sides made up here."""

import json
from pathlib import Path

import numpy as np
import pytest

from flow.data.scaling import InputScaling
from flow.errors import BadInput, Mismatch
from flow.firmware.gate.command import lines
from flow.firmware.gate.comparison import NotRun, Side, compare, merged, require, vectors
from flow.firmware.precision import HlsType
from flow.formats import Fixed

WORDS = np.random.default_rng(0).integers(-16, 16, (3000, 3)) / 8.0
KERNEL = np.array([[1.0, -0.5], [0.25, 2.0], [-1.0, 0.5]])


def network(words, fault=None):
    """Two layers; `fault` changes the first one's output (rows, 2) in place."""
    first = words @ KERNEL
    if fault:
        fault(words, first)
    return {"fc0": first, "logits": np.maximum(first, 0) + 1}


def side(name="other", fault=None, layers=1000):
    def run(words):
        outputs = network(words, fault)
        return (
            {"fc0": outputs["fc0"][:layers], "logits": outputs["logits"]} if layers else {"logits": outputs["logits"]}
        )

    return Side(name, run)


def test_equal_sides():
    result = compare(network(WORDS), [side("csim"), side("rtl", layers=0)], WORDS, float32_deviation=0.5)
    require(result)
    assert result.equal and [pair.name for pair in result.pairs] == ["qkeras=csim", "qkeras=rtl"]
    assert result.pairs[0].layers == ("fc0", "logits") and result.pairs[0].layer_vectors == 1000
    assert result.pairs[1].layers == ("logits",) and result.pairs[1].layer_vectors == 0
    assert json.loads(json.dumps(result.to_json()))["float32_deviation"] == 0.5


def test_masked_difference_is_caught_in_its_layer():
    def fault(words, first):
        first[first < 0] -= 0.125

    result = compare(network(WORDS), [side(fault=fault)], WORDS, {"fc0": HlsType(8, 4)})
    first = result.pairs[0].first
    bad = (network(WORDS)["fc0"] < 0).any(axis=1)
    assert first.layer == "fc0" and first.vector == np.flatnonzero(bad)[0]
    assert result.pairs[0].mismatches == bad[:1000].sum()
    assert first.found == first.expected - 0.125 and first.found_binary.count(".") == 1
    with pytest.raises(
        Mismatch, match=r"qkeras=other fails for \d+ of 3000 vectors: vector \d+, layer fc0, element . is .*0b"
    ):
        require(result)


@pytest.mark.parametrize("layers", [1000, 5])
def test_late_difference_names_the_first_layer(layers):
    late = WORDS[2500]

    def fault(words, first):
        first[(words == late).all(axis=1), 1] += 4.0

    pair = compare(network(WORDS), [side(fault=fault, layers=layers)], WORDS).pairs[0]
    assert (WORDS[pair.first.vector] == late).all()
    assert pair.first.layer == "fc0" and pair.first.element == 1
    assert pair.first.found == pair.first.expected + 4.0


def test_nan_is_absent_in_a_layer_and_wrong_in_the_logits():
    def absent(words, first):
        pass

    def run(words):
        outputs = network(words, absent)
        outputs["fc0"][:, 0] = np.nan
        return outputs

    assert compare(network(WORDS), [Side("rtl", run)], WORDS).equal

    def broken(words):
        return {"logits": np.full((len(words), 2), np.nan)}

    result = compare(network(WORDS), [Side("rtl", broken)], WORDS)
    assert result.pairs[0].mismatches == len(WORDS) and result.pairs[0].first.found_binary == "nan"


def test_nothing_compared_is_no_success():
    with pytest.raises(BadInput, match="nothing"):
        require(compare(network(WORDS), [], WORDS))
    expected = compare(network(WORDS), [side("vectors/logits.txt")], WORDS)
    none = merged([expected], not_run=(NotRun("csim", "g++ is not installed"),))
    assert not none.equal and "nothing compared" in lines(Path("p"), none)[0]
    with pytest.raises(BadInput, match=r"compared nothing: csim: g\+\+ is not installed"):
        require(none)
    with pytest.raises(BadInput, match="at least one"):
        compare(network(WORDS[:0]), [side()], WORDS[:0])
    with pytest.raises(BadInput, match="logits is missing"):
        compare(network(WORDS), [Side("x", lambda words: {})], WORDS)
    with pytest.raises(BadInput, match="shape"):
        compare(network(WORDS), [Side("x", lambda words: {"logits": np.zeros((3, 2))})], WORDS)


def test_vectors_have_the_corners_and_are_words():
    scaling = InputScaling(("a", "b", "c"), Fixed(9, 3), (0, 0, 0), (0.5, -1.0, 0.0))
    real = np.array([[0.1, 0.2, 0.3]])
    found = vectors(scaling, real, 50, 7, grid=Fixed(4, 1), kernel=KERNEL)
    assert np.array_equal(scaling.word.quantize(found), found)
    assert np.array_equal(found, vectors(scaling, real, 50, 7, grid=Fixed(4, 1), kernel=KERNEL))
    assert not np.array_equal(found, vectors(scaling, real, 50, 8, grid=Fixed(4, 1), kernel=KERNEL))
    rows = {tuple(row) for row in found}
    for row in ([-8.0] * 3, [8 - 2**-5] * 3, [0.0] * 3, [0.5, -1.0, 0.0], [0.5 + 2**-5, -1.0, 0.0]):
        assert tuple(row) in rows
    centred = scaling.centred(found)
    assert (np.abs(centred / 0.25 % 1 - 0.5) == 0).all(axis=1).sum() > 4  # ties of the grid
    sums = centred @ KERNEL
    assert sums[:, 0].max() == (np.array([8 - 2**-5, 8 - 2**-5, -8]) - scaling.offsets) @ KERNEL[:, 0]
