"""Pipelining to a clock, to a number of cycles, and what is refused; the simulated Verilog is as late as asked."""

import json
import re

import numpy as np
import pytest

pytest.importorskip("alkaid")
pytest.importorskip("qkeras")

from designs import example_design, example_scaling, example_words
from networks import NETWORKS
from weights import example_weights

from flow.errors import BadInput
from flow.firmware import rtl
from flow.firmware.pipeline import CUTOFF_FRACTION, MOST_CYCLES
from flow.firmware.settings import Target
from flow.train import qkeras_model

PART = "xcvu9p-flga2104-2-e"


@pytest.fixture(scope="module")
def network():
    topology = NETWORKS["dense"]
    scaling = example_scaling(topology)
    model = qkeras_model.build(topology, example_design(topology), scaling, example_weights(topology))
    return model, rtl.trace(model, scaling.word), example_words(topology, scaling, 200)


def at(network, clock_ns, cycles=None):
    return rtl._plan(network[1], Target(PART, clock_ns, cycles=cycles))


def test_the_fewest_cycles_are_what_the_clock_gives(network):
    fewest = at(network, 4.0)
    assert at(network, 4.0, fewest.latency_cycles) == fewest


def test_more_cycles_make_the_stages_shorter_and_are_met_exactly(network):
    fewest = at(network, 5.0)
    delays = [fewest.stage_delay_ns]
    for cycles in range(fewest.latency_cycles + 1, fewest.latency_cycles + 12):
        plan = at(network, 5.0, cycles)
        assert plan.latency_cycles == cycles
        stages = sorted({module.stage for module in plan.modules})
        assert stages == list(range(cycles - 1))
        delays.append(plan.stage_delay_ns)
    assert delays == sorted(delays, reverse=True)
    assert delays[-1] < 0.6 * delays[0]


def test_fewer_cycles_than_the_clock_allows_are_refused_with_what_would_do(network, tmp_path):
    fewest = at(network, 2.5).latency_cycles
    asked = fewest - 4
    with pytest.raises(BadInput, match=rf"cycles {asked}: at 400 MHz the network needs at least {fewest}; ") as refused:
        rtl.write(network[1], tmp_path / "rtl", "net", Target(PART, 2.5, cycles=asked))
    assert not (tmp_path / "rtl").exists()
    mhz = float(re.search(r"would do up to ([\d.]+) MHz", str(refused.value)).group(1))
    plan = at(network, 1e3 / mhz, asked)
    assert plan.latency_cycles == asked and plan.stage_delay_ns <= CUTOFF_FRACTION * 1e3 / mhz
    with pytest.raises(BadInput, match=f"cycles {asked}"):
        at(network, 1e3 / (mhz + 0.2), asked)


def test_cycles_that_no_clock_gives_are_refused(network):
    with pytest.raises(BadInput, match=r"cycles 1: at 100 MHz the network needs at least \d+$"):
        at(network, 10.0, 1)
    with pytest.raises(BadInput, match=f"up to {MOST_CYCLES} is supported"):
        at(network, 10.0, MOST_CYCLES + 1)


@pytest.mark.slow
def test_the_simulated_verilog_takes_the_cycles_asked_for(network, tmp_path):
    """More than there are operations on the longest path: the last stages only pass on."""
    model, traced, words = network
    cycles = at(network, 0.1).latency_cycles + 3  # at 0.1 ns every operation has a stage
    rtl.write(traced, tmp_path, "net", Target(PART, 5.0, cycles=cycles))
    assert json.loads((tmp_path / "rtl.json").read_text())["latency_cycles"] == cycles
    got = rtl.simulate_blocks(tmp_path, words)
    assert rtl.first_difference(got, qkeras_model.reference(model, words)) is None
    assert not np.isnan(got["out"]).any()
