"""Power of an FPGA design, and its energy per inference, from its resources, its part and its clock.

Dynamic power is the sum over the resources of count * energy per cycle * clock frequency. What switches with the data
(look-up tables with their routing, DSPs) scales with the toggle rate; the clock tree that drives the flip-flops does
not, nor does a block memory, which is read in every cycle. Static power is that of the device, times the share of it
that the design takes: the largest of its shares of LUTs, flip-flops, DSPs and memories. An inference costs power
times interval, so a pipeline that starts one every interval is meant, whatever its latency.

The coefficients are from the tables "On-Chip Components" of eight public texts of Vivado's ``report_power`` (Vivado
2018.3 to 2025.2; routed designs of 1,000 to 30,000 LUTs at 25 to 147 MHz, an accelerator or interface each), without
processors, pins and transceivers, at the tool's vectorless activity. On GitHub they are, for xc7z020 and xc7a100t,
theCow61/AES-Accelerator, JustABear1210/64-conv-ecg-LSTM-GRU, picarro-kokunev/laser_board_xdma_plus_ddr_2 (of its many
clocks 125 MHz is assumed), hsiang0103/piyan-FPGA, caLypso12/SEC-G5 and JustABear1210/ecg-CNN-full-release-GRU; for
xck26 Risamp/ELEN90096-Group-2, for xczu48dr samuelkravitz/RFSOC. A coefficient is the geometric mean over the reports
that have the resource, at 0.85 V for UltraScale+ (the xck26, at 0.72 V, scaled by the square), at 1.0 V for the 7
series. UltraScale (20 nm, 0.95 V) had no report of use for dynamic power: its coefficients are the geometric means of
the other two. DSPs and, on UltraScale+, memories rest on one or two reports, the 7 series' DSPs on a guess between
reports that differ tenfold; no report had an UltraRAM, which is taken for two block memories of 36 kbit. Static power
per LUT of a device is from the same texts, and one of an xcku115.

Of those eight designs, six have a dynamic power within a factor 2 of the model's (0.35 to 2.1 times). This is the
error that it ships with: a 68 % interval from half to twice the value. It was fitted on them, and vectorless activity
is itself an estimate: how far a measured board is from it was not looked at. Reports of the user's own designs make
it smaller.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from flow.cost.calibration import Regression
from flow.errors import BadInput
from flow.metrics import Fidelity, Figure, figure
from flow.parts import Part, find

TOGGLE_RATE = 0.125
"""Transitions a cycle that the coefficients are for: the default of Vivado and of Xilinx' Power Estimator (UG907)."""

RESOURCES = ("lut", "ff", "dsp", "bram_18k")
OPTIONAL = ("uram",)
_SWITCHING = ("lut", "dsp")  # what scales with the toggle rate


@dataclass(frozen=True)
class Family:
    """Energy of one resource in a cycle, in pJ, and static power of the device for each of its LUTs, in µW."""

    lut: float
    ff: float
    dsp: float
    bram_18k: float
    uram: float
    static: float


FAMILIES: dict[str, Family] = {
    "7series": Family(lut=0.050, ff=0.034, dsp=2.5, bram_18k=6.7, uram=26.8, static=1.7),
    "ultrascale": Family(lut=0.041, ff=0.031, dsp=1.6, bram_18k=3.0, uram=12.0, static=1.9),
    "ultrascale+": Family(lut=0.033, ff=0.029, dsp=1.0, bram_18k=1.3, uram=5.2, static=2.7),
}

# Regressions of what is reported, in mW, on what the coefficients say. Half of the variance is a family's own, which
# reports of it teach; the rest is a design's. Together, with 8 degrees of freedom, ±ln 2; of static power ±ln 1.5.
_DYNAMIC = Regression(("predicted",), (1.0,), ((0.45**2,),), 0.47)
_STATIC = Regression(("predicted",), (1.0,), ((0.27**2,),), 0.27)


@dataclass(frozen=True)
class PowerModel:
    """Family -> how reports relate to the coefficients, for dynamic and for static power."""

    dynamic: Mapping[str, Regression]
    static: Mapping[str, Regression]

    def to_json(self) -> dict:
        return {name: {family: r.to_json() for family, r in rows.items()} for name, rows in vars(self).items()}

    @staticmethod
    def from_json(row: Mapping) -> "PowerModel":
        return PowerModel(
            **{name: {family: Regression.from_json(r) for family, r in rows.items()} for name, rows in row.items()}
        )


@dataclass(frozen=True)
class Observed:
    """A report of power: the design's resources, part and clock, and what Vivado said, in W; None where it did not.

    `dynamic_w` is to be without processor, pins and transceivers, as that of a design out of context is; `static_w` is
    the whole device's.
    """

    resources: Mapping[str, float]
    part: str
    clock_ns: float
    dynamic_w: float | None = None
    static_w: float | None = None
    toggle_rate: float = TOGGLE_RATE


def prior() -> PowerModel:
    """The model before any report."""
    return PowerModel(dict.fromkeys(FAMILIES, _DYNAMIC), dict.fromkeys(FAMILIES, _STATIC))


def power(
    model: PowerModel,
    resources: Mapping[str, float | np.ndarray],
    part: str,
    clock_ns: float | np.ndarray,
    toggle_rate: float | np.ndarray = TOGGLE_RATE,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power in W: (value, low, high), low to high holding 68 %.

    `resources`: counts of lut, ff, dsp, bram_18k, and uram if any; numbers or arrays of any shapes that go together,
    as `clock_ns` and `toggle_rate` (transitions a cycle, 0 to 1) may be; so are the results.

    Raises BadInput for a part that is not known, a resource that is missing or not known, and for values below 0.
    """
    device = find(part)
    dynamic, static, share = _said(_checked(resources, clock_ns, toggle_rate), device)
    shape = dynamic.shape
    found, variance = model.dynamic[device.family].predict(dynamic.reshape(-1, 1))
    idle, idle_variance = model.static[device.family].predict(np.full((1, 1), static))
    share = share.reshape(-1)
    value = found + share * idle
    relative = np.sqrt(variance + share**2 * idle_variance) / np.maximum(value, np.finfo(float).tiny)
    watts = (value * 1e-3, value * np.exp(-relative) * 1e-3, value * np.exp(relative) * 1e-3)
    return tuple(item.reshape(shape)[()] for item in watts)


def energy(
    model: PowerModel,
    resources: Mapping[str, float | np.ndarray],
    part: str,
    clock_ns: float | np.ndarray,
    interval_cycles: float | np.ndarray,
    toggle_rate: float | np.ndarray = TOGGLE_RATE,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy of one inference in nJ: (value, low, high), as `power`, times the time between two inferences."""
    between_ns = _positive("interval_cycles", interval_cycles) * _positive("clock_ns", clock_ns)
    return tuple(watts * between_ns for watts in power(model, resources, part, clock_ns, toggle_rate))


def figures(
    model: PowerModel,
    resources: Mapping[str, float],
    part: str,
    clock_ns: float,
    interval_cycles: float,
    toggle_rate: float = TOGGLE_RATE,
) -> dict[str, Figure]:
    """`power_w` and `energy_fpga` of one design, at fidelity `model`; the error is half of the interval's width."""
    arguments = (model, resources, part, clock_ns)
    rows = {
        "power_w": power(*arguments, toggle_rate),
        "energy_fpga": energy(*arguments, interval_cycles, toggle_rate),
    }
    return {
        name: figure(name, float(value), Fidelity.MODEL, error=float(high - low) / 2)
        for name, (value, low, high) in rows.items()
    }


def reported(
    dynamic_w: float,
    static_w: float,
    resources: Mapping[str, float],
    part: str,
    clock_ns: float,
    interval_cycles: float,
    fidelity: Fidelity,
    tool: str | None = None,
) -> dict[str, Figure]:
    """The same figures from Vivado's report, in place of the model's: its dynamic power, and the share of its static
    power that the design's resources take. `fidelity` is that of the report's stage."""
    share = float(_share(_checked(resources, clock_ns, TOGGLE_RATE)[0], find(part)))
    watts = dynamic_w + share * static_w
    between_ns = float(_positive("interval_cycles", interval_cycles)) * clock_ns
    return {
        "power_w": figure("power_w", watts, fidelity, error=0.0, tool=tool),
        "energy_fpga": figure("energy_fpga", watts * between_ns, fidelity, error=0.0, tool=tool),
    }


def updated(model: PowerModel, observed: Iterable[Observed]) -> PowerModel:
    """The model after reports: those of a part move its family only."""
    for row in observed:
        device = find(row.part)
        family = device.family
        dynamic, static, _ = _said(_checked(row.resources, row.clock_ns, row.toggle_rate), device)
        for name, predicted, said in (("dynamic", dynamic, row.dynamic_w), ("static", static, row.static_w)):
            if said is not None:
                known = getattr(model, name)
                x, y = np.reshape(predicted, (1, 1)), np.array([1e3 * float(_positive(f"{name}_w", said))])
                model = replace(model, **{name: {**known, family: known[family].updated(x, y)}})
    return model


def _checked(resources: Mapping, clock_ns, toggle_rate) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    for name in resources:
        if name not in (*RESOURCES, *OPTIONAL):
            raise BadInput(f"resource {name!r} is not known; known: {', '.join((*RESOURCES, *OPTIONAL))}")
    missing = [name for name in RESOURCES if name not in resources]
    if missing:
        raise BadInput(f"no {' and no '.join(missing)} among the resources; power needs {', '.join(RESOURCES)}")
    toggle = _positive("toggle_rate", toggle_rate)
    if (toggle > 1).any():
        raise BadInput(f"toggle_rate {toggle.max():g} is more than one transition a cycle")
    clock = _positive("clock_ns", clock_ns)
    if (clock == 0).any():
        raise BadInput("clock_ns is 0; a clock has a period")
    return {name: _positive(name, count) for name, count in resources.items()}, clock, toggle


def _positive(name: str, value) -> np.ndarray:
    found = np.asarray(value, dtype=float)
    if not np.isfinite(found).all() or (found < 0).any():
        raise BadInput(f"{name} is {value!r}; allowed: finite numbers from 0")
    return found


def _said(checked: tuple, device: Part) -> tuple[np.ndarray, float, np.ndarray]:
    """What the coefficients say: dynamic and static power in mW, and the share of the device that is in use."""
    resources, clock_ns, toggle_rate = checked
    family = FAMILIES[device.family]
    picojoules = np.asarray(0.0)
    for name, count in resources.items():
        activity = toggle_rate / TOGGLE_RATE if name in _SWITCHING else 1.0
        picojoules = picojoules + getattr(family, name) * activity * count
    dynamic = picojoules / clock_ns  # pJ / ns = mW
    share = np.broadcast_to(_share(resources, device), dynamic.shape)
    return np.asarray(dynamic), family.static * device.lut * 1e-3, share


def _share(resources: Mapping[str, np.ndarray], device: Part) -> np.ndarray:
    """The largest share of a resource of the device that is in use, 1 at most."""
    share = np.asarray(0.0)
    for name, count in resources.items():
        available = getattr(device, name)
        share = np.maximum(share, count / available if available else np.where(count > 0, 1.0, 0.0))
    return np.minimum(share, 1.0)
