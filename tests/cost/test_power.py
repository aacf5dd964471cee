"""Power and energy of FPGA designs: the coefficients' origin, what scales with what, and learning from reports."""

import json

import numpy as np
import pytest

from flow.cost import power
from flow.errors import BadInput
from flow.metrics import METRICS, Fidelity
from flow.parts import find

VU9P, Z020, KU115 = "xcvu9p-flga2104-2-e", "xc7z020clg400-1", "xcku115-flvb2104-2-e"
DESIGN = {"lut": 20_000, "ff": 30_000, "dsp": 500, "bram_18k": 20}
NONE = dict.fromkeys(power.RESOURCES, 0)

# Public reports: family, MHz, V over the family's, LUTs, FFs, DSPs, BRAM18s, and mW of logic with signals, of clocks
# with registers, of DSPs, of memories. Half of the last digit stands for what the tool rounds to nothing.
REPORTS = (
    ("7series", 142.9, 1.0, 18_590, 17_979, 0, 37, 414.0, 94.0, 0.0, 27.0),
    ("7series", 50.0, 1.0, 7_725, 8_605, 148, 4, 4.0, 13.0, 0.0, 2.0),
    ("7series", 125.0, 1.0, 25_294, 28_212, 0, 54, 186.0, 159.0, 0.0, 65.0),
    ("7series", 50.0, 1.0, 21_917, 36_708, 0, 0, 34.5, 32.5, 0.0, 0.0),
    ("7series", 100.0, 1.0, 1_011, 1_129, 3, 6, 12.0, 5.0, 3.0, 4.0),
    ("7series", 25.0, 1.0, 1_939, 1_944, 16, 19, 2.0, 2.0, 0.5, 2.0),
    ("ultrascale+", 100.0, 0.72 / 0.85, 10_282, 12_301, 6, 6, 33.0, 18.5, 0.5, 0.5),
    ("ultrascale+", 147.0, 1.0, 29_992, 25_689, 376, 133, 101.0, 158.0, 57.0, 25.0),
)


def picojoules(position: int, family: str) -> list[float]:
    """Energy per cycle of a resource in each report of a family that has it; resources are counted from 0."""
    rows = [row for row in REPORTS if row[0] == family and row[3 + position] and row[7 + position]]
    return [row[7 + position] / row[2] ** 2 / row[3 + position] / row[1] * 1e3 for row in rows]


@pytest.mark.parametrize("family", ["7series", "ultrascale+"])
def test_coefficients_are_the_geometric_means_of_the_reports(family):
    known = power.FAMILIES[family]
    for position, name in enumerate(("lut", "ff")):
        mean = np.exp(np.mean(np.log(picojoules(position, family))))
        assert getattr(known, name) == pytest.approx(mean, rel=0.1), name
    assert known.bram_18k == pytest.approx(np.exp(np.mean(np.log(picojoules(3, family)))), rel=0.1)


def test_the_factor_two_holds_six_of_the_eight_reports():
    inside = 0
    for family, mhz, volts, *rest in REPORTS:
        counts, said = rest[:4], sum(rest[4:]) / volts**2
        known = power.FAMILIES[family]
        each = (known.lut, known.ff, known.dsp, known.bram_18k)
        inside += 0.5 <= said / (sum(e * n for e, n in zip(each, counts)) * mhz * 1e-3) <= 2.0
    assert inside == 6


def test_ultrascale_lies_between_its_neighbours():
    older, middle, newer = (power.FAMILIES[name] for name in ("7series", "ultrascale", "ultrascale+"))
    for name in ("lut", "ff", "dsp", "bram_18k"):
        assert getattr(middle, name) == pytest.approx((getattr(older, name) * getattr(newer, name)) ** 0.5, rel=0.03)


def test_power_by_hand():
    """200 MHz; static power is 2.7 µW for each of 1,182,240 LUTs times the share of DSPs, the largest."""
    value, low, high = power.power(power.prior(), DESIGN, VU9P, 5.0)
    dynamic = (20_000 * 0.033 + 30_000 * 0.029 + 500 * 1.0 + 20 * 1.3) * 200e6 * 1e-12
    static = 2.7e-6 * 1_182_240 * 500 / 6_840
    assert value == pytest.approx(dynamic + static)
    assert low < value < high and high / value == pytest.approx(value / low)


def test_dynamic_power_alone_is_known_within_a_factor_two():
    """Static power, of which the share is small here, is known better."""
    device = find(VU9P)
    counts = {"lut": 100_000, "ff": 100_000, "dsp": 0, "bram_18k": 0}
    value, low, high = power.power(power.prior(), counts, VU9P, 0.001)
    assert high / value == pytest.approx(2.0, rel=0.03) and value / low == pytest.approx(2.0, rel=0.03)
    idle, _, most = power.power(power.prior(), {**NONE, "lut": device.lut}, VU9P, 1e9)
    assert idle == pytest.approx(2.7e-6 * device.lut, rel=1e-3) and most / idle == pytest.approx(1.5, rel=0.03)


def test_energy_is_power_times_interval():
    watts = power.power(power.prior(), DESIGN, Z020, 5.0)
    for interval in (1, 8):
        joules = power.energy(power.prior(), DESIGN, Z020, 5.0, interval)
        np.testing.assert_allclose(joules, np.array(watts) * 5.0 * interval)


def test_what_switches_with_the_data_follows_the_toggle_rate():
    lut, ff, memory = ({**NONE, name: 1000} for name in ("lut", "ff", "bram_18k"))
    at = {
        rate: [power.power(power.prior(), r, VU9P, 1e-3, rate)[0] for r in (lut, ff, memory)] for rate in (0.125, 0.5)
    }
    ratios = np.array(at[0.5]) / np.array(at[0.125])
    np.testing.assert_allclose(ratios, [4.0, 1.0, 1.0], rtol=0.01)


def test_a_faster_clock_takes_more_power_and_the_same_dynamic_energy():
    slow, fast = (power.power(power.prior(), DESIGN, Z020, clock)[0] for clock in (10.0, 5.0))
    assert slow < fast < 2 * slow
    joules = [power.energy(power.prior(), DESIGN, Z020, clock, 1)[0] for clock in (1e-3, 2e-3)]
    assert joules[0] == pytest.approx(joules[1], rel=1e-3)


def test_newer_families_take_less():
    values = [power.power(power.prior(), {**DESIGN, "dsp": 100}, part, 0.1)[0] for part in (Z020, KU115, VU9P)]
    assert values[0] > values[1] > values[2]


def test_arrays_equal_one_by_one():
    rng = np.random.default_rng(0)
    counts = {name: rng.integers(0, 10_000, 50).astype(float) for name in power.RESOURCES}
    clocks, intervals = rng.uniform(2, 10, 50), rng.integers(1, 100, 50)
    many = power.energy(power.prior(), counts, VU9P, clocks, intervals)
    for i in range(50):
        one = power.energy(power.prior(), {n: c[i] for n, c in counts.items()}, VU9P, clocks[i], intervals[i])
        np.testing.assert_allclose(one, [item[i] for item in many])
    assert power.power(power.prior(), {**DESIGN, "lut": np.ones((2, 3))}, VU9P, 5.0)[0].shape == (2, 3)
    assert [float(item) for item in power.power(power.prior(), NONE, VU9P, 5.0)] == [0.0, 0.0, 0.0]


def test_figures_are_declared():
    found = power.figures(power.prior(), DESIGN, VU9P, 5.0, 2)
    value, low, high = power.energy(power.prior(), DESIGN, VU9P, 5.0, 2)
    assert found["energy_fpga"].value == value and found["energy_fpga"].unit == METRICS["energy_fpga"].unit == "nJ"
    assert found["energy_fpga"].error == pytest.approx((high - low) / 2) and found["power_w"].unit == "W"
    assert {figure.fidelity for figure in found.values()} == {Fidelity.MODEL}


def test_a_report_takes_the_place_of_the_model():
    found = power.reported(1.5, 2.0, DESIGN, VU9P, 5.0, 4, Fidelity.ROUTE, "vivado 2024.1")
    watts = 1.5 + 2.0 * 500 / 6_840
    assert found["power_w"].value == pytest.approx(watts) and found["energy_fpga"].value == pytest.approx(watts * 20)
    assert found["power_w"].fidelity is Fidelity.ROUTE and found["power_w"].tool == "vivado 2024.1"


def test_reports_move_their_family_and_make_it_surer():
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(20):
        counts = {name: float(n) for name, n in zip(power.RESOURCES, rng.integers(1_000, 50_000, 4))}
        truth = 1.7 * (power.power(power.prior(), counts, VU9P, 1e-3)[0]) * 1e-3 / 5.0
        rows.append(power.Observed(counts, VU9P, 5.0, float(truth * rng.normal(1, 0.05)), 3.0))
    after = power.updated(power.prior(), rows)
    for part, least, most in ((VU9P, 1.5, 1.8), (Z020, 0.999, 1.001)):
        before, now = (power.power(model, rows[0].resources, part, 1e-3) for model in (power.prior(), after))
        assert least < now[0] / before[0] < most, part
        assert (now[2] / now[0] < before[2] / before[0]) == (part == VU9P)
    static = after.static["ultrascale+"]
    assert static.reports == 20 and static.mean[0] == pytest.approx(3000 / (2.7e-3 * 1_182_240), rel=0.05)
    assert after.static["7series"].reports == 0


def test_one_report_shifts_and_does_not_decide():
    value = power.power(power.prior(), DESIGN, VU9P, 1e-3)[0]
    row = power.Observed(DESIGN, VU9P, 1e-3, dynamic_w=float(2 * value))
    after = power.power(power.updated(power.prior(), [row]), DESIGN, VU9P, 1e-3)[0]
    assert 1.2 * value < after < 1.95 * value


def test_the_state_is_readable_json():
    state = power.updated(power.prior(), [power.Observed(DESIGN, VU9P, 5.0, 1.0, 2.5)])
    assert power.PowerModel.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(
    "change, said",
    [
        ({"lut": -1}, "lut is -1"),
        ({"ff": float("nan")}, "ff is nan"),
        ({"luts": 3}, "'luts' is not known; known: lut, ff, dsp, bram_18k, uram"),
    ],
)
def test_nonsense_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        power.power(power.prior(), {**DESIGN, **change}, VU9P, 5.0)


def test_a_missing_resource_is_not_zero():
    with pytest.raises(BadInput, match="no dsp and no bram_18k among the resources"):
        power.power(power.prior(), {"lut": 1, "ff": 1}, VU9P, 5.0)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ((DESIGN, "xc9z999", 5.0), "part 'xc9z999' is not known"),
        ((DESIGN, VU9P, 0.0), "clock_ns is 0"),
        ((DESIGN, VU9P, 5.0, 1.5), "toggle_rate 1.5 is more than one transition"),
    ],
)
def test_what_cannot_be_is_refused(arguments, said):
    with pytest.raises(BadInput, match=said):
        power.power(power.prior(), *arguments)
