"""What a run knows between rounds: trials, built designs and their reports, and the calibrated cost model."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flow.cost.hls import HlsModel
from flow.cost.rtl import CostModel
from flow.design import Design
from flow.errors import ToolFailed
from flow.metrics import Figure, figure
from flow.study import Trial, inside
from flow.synth.report import Report, Status

CostState = CostModel | HlsModel
"""The cost model of Verilog designs or of hls4ml networks: of what the tool of the loop reads."""


@dataclass(frozen=True)
class Built:
    """A design that was finally trained, and what became of it: what was predicted, what tools said.

    `step` and `member` say where its weights are; `report` is None where it was traced only, or failed; `error` is the tool's.
    """

    design: Design
    round: int
    name: str
    step: str
    member: int
    physics: Mapping[str, Figure]
    predicted: Mapping[str, Mapping[str, Figure]]
    traced: Mapping[str, float]
    report: Report | None = None
    equivalence: Mapping | None = None
    failed: str | None = None
    error: ToolFailed | None = None

    def reported(self, clock_ns: float) -> dict[str, Figure]:
        """The report's figures, empty without one."""
        return {} if self.report is None else report_figures(self.report, clock_ns)

    def inside(self, limits: Mapping[str, float], clock_ns: float) -> bool | None:
        """Whether a report shows the design inside the budget, at its clock where it tells the slack; None without one."""
        if self.report is None:
            return None
        return in_time(self.report) and inside(self.reported(clock_ns), limits)

    def resources(self, clock_ns: float) -> dict[str, Figure]:
        """The surest figures there are: reported, or else the best predicted."""
        return dict(self.predicted["model"]) | dict(self.price) | self.reported(clock_ns)

    @property
    def price(self) -> Mapping[str, Figure]:
        """The best prediction: from the trace, where the tool of the loop reads what was traced."""
        return self.predicted.get("traced") or self.predicted["model"]


@dataclass(frozen=True)
class Round:
    """One round's numbers: how many trials, what it built, and how wrong the predictions made before it were."""

    number: int
    trials: int
    built: tuple[Built, ...]
    before: CostState
    after: CostState


@dataclass(frozen=True)
class State:
    """Everything so far."""

    model: CostState
    trials: tuple[Trial, ...] = ()
    rounds: tuple[Round, ...] = ()
    baselines: tuple[Built, ...] = field(default=())

    @property
    def built(self) -> tuple[Built, ...]:
        """All built designs of all rounds, without the baselines."""
        return tuple(item for r in self.rounds for item in r.built)

    def with_round(self, done: Round) -> "State":
        return replace(self, rounds=(*self.rounds, done), model=done.after)


def in_time(report: Report) -> bool:
    """Whether a report says nothing against the design's working at its clock; Vivado's has to say the slack."""
    if report.wns_ns is None:
        return report.tool != "vivado" and report.status is not Status.FAILED
    return report.wns_ns >= 0 and report.status is not Status.FAILED and "timing not met" not in report.messages


def report_figures(report: Report, clock_ns: float) -> dict[str, Figure]:
    """A report as figures; what the tool didn't say is left out."""
    marks = {"implementation": report.implementation, "tool": f"{report.tool} {report.tool_version or ''}".strip()}
    found = {}
    for name in ("lut", "ff", "dsp", "bram_18k", "uram", "critical_path_ns", "wns_ns"):
        value = getattr(report, name)
        if value is not None:
            found[name] = figure(name, float(value), report.fidelity, error=0.0, **marks)
    if report.latency_cycles is not None and report.latency_cycles[1] is not None:
        cycles = float(report.latency_cycles[1])
        found["latency_cycles"] = figure("latency_cycles", cycles, report.fidelity, error=0.0, **marks)
        found["latency_ns"] = figure("latency_ns", cycles * clock_ns, report.fidelity, error=0.0, **marks)
    if report.interval_cycles is not None and report.interval_cycles[1] is not None:
        interval = float(report.interval_cycles[1])
        found["interval_cycles"] = figure("interval_cycles", interval, report.fidelity, error=0.0, **marks)
    return found


def prediction_error(built: tuple[Built, ...], fidelity: str, clock_ns: float) -> dict[str, float]:
    """Mean of |predicted / reported - 1| of LUT, FF and latency over the designs that have a report."""
    found = {}
    for name in ("lut", "ff", "latency_ns"):
        ratios = [
            abs(item.predicted[fidelity][name].value / item.reported(clock_ns)[name].value - 1.0)
            for item in built
            if fidelity in item.predicted
            and name in item.reported(clock_ns)
            and item.reported(clock_ns)[name].value > 0
        ]
        if ratios:
            found[name] = sum(ratios) / len(ratios)
    return found
