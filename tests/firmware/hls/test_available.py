"""What hls4ml has not is refused by name, all reasons at once, and nothing else is."""

import re
from dataclasses import replace

import numpy as np
import pytest

from flow.errors import BadInput
from flow.firmware.hls.available import STRATEGIES, csim_caveat, csim_unavailable, require, unavailable
from flow.firmware.precision import HlsType, Linear, Quantize
from flow.firmware.settings import Backend, IoType, Strategy, Target
from flow.topology import Conv, Dense, Pool

TARGET = Target("xcvu13p-flga2577-2-e", 5.0)
WEIGHT = HlsType(4, 1)


def linear(layer):
    """The stage of a layer with a kernel, all ones."""
    return Linear(layer, np.ones(layer.kernel_shape), np.zeros(layer.shape[-1]), WEIGHT, WEIGHT)


def convolution(name, padding="valid", stride=1, **more):
    return linear(Conv(name, (6, 6, 2), 2, (3, 3), (stride, stride), padding, inputs=("input",), **more))


DENSE = linear(Dense("fc0", 6, 4, inputs=("input",)))


@pytest.mark.parametrize("io_type", IoType)
@pytest.mark.parametrize("backend", Backend)
def test_plain_layers_are_there_on_every_backend(backend, io_type):
    for strategy in STRATEGIES[backend]:
        target = replace(TARGET, backend=backend, strategy=strategy, io_type=io_type)
        assert unavailable(target, (DENSE, convolution("conv"))) == []
        assert csim_unavailable(target) is None
        assert (csim_caveat(target) is None) == (backend in ("Vitis", "Vivado"))


@pytest.mark.parametrize(
    "backend,strategy",
    [(b, s) for b in Backend for s in Strategy if s not in STRATEGIES[b]],
)
def test_strategies_that_a_backend_has_not(backend, strategy):
    (reason,) = unavailable(replace(TARGET, backend=backend, strategy=strategy), (DENSE,))
    assert f"backend {backend} has no strategy {strategy}" in reason and "it has: " in reason


def test_all_reasons_come_at_once():
    stages = (DENSE, convolution("wide", depthwise=True))
    target = replace(TARGET, strategy="Resource", fifo_depth=4, reuse=(("fc0", 5), ("fc9", 2)))
    with pytest.raises(BadInput) as refused:
        require(target, stages)
    text = str(refused.value)
    assert "\n" not in text
    assert "fifo_depth 4: there are no FIFOs in io_parallel" in text
    assert "reuse: no layer with a kernel is called fc9; there are: fc0, wide" in text
    assert "layer fc0: reuse factor 5 of 6 x 4 weights; the nearest that hls4ml takes: 3 and 6" in text
    assert "layer wide: a depthwise convolution needs the strategy Latency" in text


def test_reuse_factors():
    def reasons(factor, **more):
        return unavailable(replace(TARGET, reuse=(("fc0", factor),), **more), (DENSE,))

    for factor in (1, 2, 3, 6, 12, 24):
        assert reasons(factor, strategy="Resource") == []
    assert reasons(5) == [] and reasons(24) == []  # without sharing weights, any number of turns will do
    assert "the nearest that hls4ml takes: 12 and 24" in reasons(25 - 2, strategy="Resource")[0]
    for strategy in ("Latency", "Resource"):
        assert (
            "reuse factor 25 of 6 x 4 weights; the nearest that hls4ml takes: 24" in reasons(25, strategy=strategy)[0]
        )
    assert "layer fc0: reuse factor 2; distributed arithmetic" in reasons(2, strategy="distributed_arithmetic")[0]
    everywhere = replace(TARGET, strategy="Resource", reuse_factor=5)
    assert len(unavailable(everywhere, (DENSE, linear(Dense("out", 4, 3, inputs=("fc0",)))))) == 2


def test_reuse_factors_that_hls4ml_takes_are_those_of_its_own_rule():
    hls4ml = pytest.importorskip("hls4ml")
    backend = hls4ml.backends.get_backend("Vitis")
    for n_in, n_out in ((6, 4), (7, 3), (16, 5)):
        stage = linear(Dense("fc0", n_in, n_out, inputs=("input",)))
        for factor in range(1, n_in * n_out + 2):
            target = replace(TARGET, strategy="Resource", reuse=(("fc0", factor),))
            taken = factor in backend.get_valid_reuse_factors(n_in, n_out)
            assert (unavailable(target, (stage,)) == []) == taken, (n_in, n_out, factor)


@pytest.mark.parametrize("backend", [b for b in Backend if b != Backend.CATAPULT])
def test_depths_of_fifos(backend):
    strategy = STRATEGIES[backend][-1] if backend == Backend.ONEAPI else Strategy.LATENCY
    target = replace(TARGET, backend=backend, strategy=strategy, fifo_depth=16)
    assert len(unavailable(target, (DENSE,))) == 1
    assert unavailable(replace(target, io_type="io_stream"), (DENSE,)) == []


def test_catapult_takes_no_depths():
    target = replace(TARGET, backend="Catapult", io_type="io_stream", fifo_depth=16)
    assert "sets no depths for Catapult" in unavailable(target, (DENSE,))[0]


def test_activations_of_one_bit_in_oneapi():
    stage = Quantize("sign", (4,), ("fc0",), HlsType(1, 1, True, "TRN", "SAT"))
    target = replace(TARGET, backend="oneAPI", strategy="Resource")
    assert "layer sign: rounds to one bit" in unavailable(target, (DENSE, stage))[0]
    for backend in ("Vitis", "Vivado", "Catapult"):
        assert unavailable(replace(target, backend=backend), (DENSE, stage)) == []


@pytest.mark.parametrize(
    "backend,io_type,stage,message",
    [
        (
            "Catapult",
            "io_parallel",
            convolution("wide", "same", depthwise=True),
            "wide: .* padding or strides needs io_stream",
        ),
        (
            "Catapult",
            "io_parallel",
            convolution("wide", stride=2, depthwise=True),
            "wide: .* padding or strides needs io_stream",
        ),
        ("Catapult", "io_stream", convolution("wide", "same", 2, depthwise=True), None),
        ("oneAPI", "io_stream", convolution("wide", depthwise=True), "wide: .* needs io_parallel"),
        ("oneAPI", "io_parallel", convolution("wide", "same", 2, depthwise=True), None),
        ("Catapult", "io_parallel", Pool("mean", (4, 4, 2), (2, 2), (2, 2), "average"), "mean: .* loses bits"),
        ("Catapult", "io_stream", Pool("mean", (4, 4, 2), (2, 2), (2, 2), "average"), "mean: .* loses bits"),
        ("Catapult", "io_stream", Pool("mean", (4, 4, 2), (4, 4), (4, 4), "average", True), None),
        ("Catapult", "io_parallel", Pool("most", (4, 4, 2), (2, 2), (2, 2)), None),
    ],
)
def test_layers_that_a_backend_has_not(backend, io_type, stage, message):
    strategy = "Resource" if backend == "oneAPI" else "Latency"
    found = unavailable(replace(TARGET, backend=backend, strategy=strategy, io_type=io_type), (DENSE, stage))
    assert len(found) == (message is not None)
    assert message is None or re.search(message, found[0])
