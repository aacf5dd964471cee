"""Every figure declared once: name, unit, direction, and the fidelities it can have."""

from dataclasses import asdict, dataclass
from enum import Enum


class Direction(Enum):
    """Which way is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Fidelity(Enum):
    """How a figure came to be, from the cheapest to the surest."""

    MODEL = "model"  # closed form, from the design alone
    WEIGHTS = "weights"  # closed form, with the digits and dead units of the real weights
    TRACED = "traced"  # from the real weights, by tracing the arithmetic
    CSYNTH = "csynth"  # a C synthesis report
    SYNTH = "synth"  # a logic synthesis report
    ROUTE = "route"  # a place and route report
    MEASURED = "measured"  # on data, or on a board


class Implementation(Enum):
    """Whose hardware a resource figure speaks of; figures are ordered only within one."""

    RTL = "rtl"
    HLS4ML = "hls4ml"


@dataclass(frozen=True)
class Metric:
    """The declaration of a figure."""

    name: str
    unit: str
    direction: Direction
    sentence: str


@dataclass(frozen=True)
class Figure:
    """A number with all that must be shown beside it. `error` is one standard deviation, None if unknown."""

    name: str
    value: float
    unit: str
    fidelity: Fidelity
    error: float | None = None
    implementation: Implementation | None = None
    tool: str | None = None

    def to_json(self) -> dict:
        row = asdict(self)
        row["fidelity"] = self.fidelity.value
        row["implementation"] = None if self.implementation is None else self.implementation.value
        return row

    @staticmethod
    def from_json(row: dict) -> "Figure":
        implementation = row.get("implementation")
        return Figure(
            row["name"],
            row["value"],
            row["unit"],
            Fidelity(row["fidelity"]),
            row.get("error"),
            None if implementation is None else Implementation(implementation),
            row.get("tool"),
        )


_DECLARED = (
    Metric("accuracy", "", Direction.MAXIMIZE, "Fraction of events whose largest logit is the true class."),
    Metric("auc", "", Direction.MAXIMIZE, "Area under the ROC curve, one class against the rest."),
    Metric("mean_auc", "", Direction.MAXIMIZE, "Mean of the one-against-rest areas."),
    Metric("signal_efficiency", "", Direction.MAXIMIZE, "Signal efficiency at the task's background efficiency."),
    Metric("background_efficiency", "", Direction.MINIMIZE, "Background efficiency at the threshold in use."),
    Metric(
        "forgiving_score", "", Direction.MAXIMIZE, "AutoQKeras' score: the metric times 1 + what its price forgives."
    ),
    Metric("bits", "bit", Direction.MINIMIZE, "Bits of all kernels, biases and activations."),
    Metric("ebops", "", Direction.MINIMIZE, "Sum over the kept multiplications of weight bits times data bits."),
    Metric("macs", "", Direction.MINIMIZE, "Multiplications of the kept weights in one inference."),
    Metric("bops", "", Direction.MINIMIZE, "Bit operations of the kept multiplications and their additions."),
    Metric("energy", "pJ", Direction.MINIMIZE, "Energy per inference by QTools' 45 nm tables."),
    Metric("lut", "LUT", Direction.MINIMIZE, "Look-up tables."),
    Metric("ff", "FF", Direction.MINIMIZE, "Flip-flops."),
    Metric("dsp", "DSP", Direction.MINIMIZE, "DSP blocks."),
    Metric("bram_18k", "BRAM18", Direction.MINIMIZE, "Block memories, in blocks of 18 kbit."),
    Metric("uram", "URAM", Direction.MINIMIZE, "UltraRAM blocks."),
    Metric("power_w", "W", Direction.MINIMIZE, "Dynamic power, and the static power of the part of the chip in use."),
    Metric("energy_fpga", "nJ", Direction.MINIMIZE, "Power times the time between two inferences."),
    Metric("latency_cycles", "cycle", Direction.MINIMIZE, "Clock cycles from an input to its output."),
    Metric("interval_cycles", "cycle", Direction.MINIMIZE, "Clock cycles between two inputs: the initiation interval."),
    Metric("latency_ns", "ns", Direction.MINIMIZE, "Cycles times clock period."),
    Metric("wns_ns", "ns", Direction.MAXIMIZE, "Worst slack of the clock; below 0 the design does not work at it."),
    Metric("critical_path_ns", "ns", Direction.MINIMIZE, "Longest path between registers, before layout."),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _DECLARED}


def figure(name: str, value: float, fidelity: Fidelity, **more) -> Figure:
    """A figure of a declared metric, its unit taken from the declaration."""
    return Figure(name, value, METRICS[name].unit, fidelity, **more)
