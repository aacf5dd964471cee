"""What designs will cost, as the tool tells it whose reports close the loop: its predictions before, its lessons after.

A tool that reads Verilog is answered by the model of Verilog designs, one that reads the HLS project by that of hls4ml
networks. Figures of the two are never put side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flow.cost import costs, hls
from flow.cost import rtl as rtl_cost
from flow.cost.hls.model import LABELS
from flow.design import Design
from flow.estimate import subject
from flow.estimate.gather import NOT_PRICED, observation, on_hls, on_verilog
from flow.estimate.knowledge import hls_model, verilog_model
from flow.estimate.observation import Observation, joined
from flow.firmware.settings import Target, for_design
from flow.formats import Fixed
from flow.loop.context import Context
from flow.loop.state import Built, CostState
from flow.metrics import METRICS, Fidelity, Figure, Implementation, figure
from flow.topology import Topology
from flow.width import narrowed_topology


def start(context: Context) -> CostState:
    """The model before the first round: the prior, after the reports of the user's calibration file."""
    return _learned(context, context.known)


def predict(
    context: Context,
    model: CostState,
    topology: Topology,
    design: Design,
    word: Fixed,
    weighed: Mapping[str, rtl_cost.Weighed] | None = None,
) -> dict[str, Figure]:
    """All closed-form figures of a design (fidelity `model`), resources and latency for the tool of the loop; where that
    reads Verilog, with what the design's trained weights say of them (`weighed`; fidelity `weights`).

    `topology` is the user's network, here as everywhere in this file; the design's own is priced.
    """
    topology = narrowed_topology(topology, design)
    if context.tool.implementation is Implementation.HLS4ML:
        found = _hls(context, model, topology, design)
    else:
        clock, by_whom = context.task.target.clock_ns, (context.tool.name, _stage(context))
        own = for_design(context.target, design)
        found = pipelined(rtl_cost.predict(model, topology, design, word, clock, *by_whom, weighed), own)
    return costs(topology, design) | found


def traced(context: Context, model: CostState, counts: Mapping | None, cycles: int) -> dict[str, Figure]:
    """Figures of a design whose Verilog was traced; none for a tool that reads the HLS project."""
    if not counts:
        return {}
    by_whom = (context.tool.name, _stage(context))
    return rtl_cost.predict_traced(model, counts, cycles, context.task.target.clock_ns, *by_whom)


def by_layer(
    context: Context, model: CostState, topology: Topology, design: Design, word: Fixed
) -> dict[str, dict[str, float]]:
    """Layer → predicted figures of one design."""
    topology = narrowed_topology(topology, design)
    if context.tool.implementation is Implementation.HLS4ML:
        network = subject.network(topology, design, for_design(context.target, design))
        return hls.predict_by_layer(model, network, _stage(context))
    of = model.of(context.tool.name, _stage(context))
    return rtl_cost.predict_by_layer(of, topology, design, word, context.task.target.clock_ns)


def priced(context: Context, design: Design | None = None) -> bool:
    """Whether the closed forms speak of what is built: of a design, or of those without reuse factors of their own."""
    target = context.target if design is None else for_design(context.target, design)
    return context.tool.implementation is Implementation.HLS4ML or target.plain


def learn(context: Context, topology: Topology, word: Fixed, built: Sequence[Built]) -> CostState:
    """The model after the reports of the user's calibration file and those of `built`; none counts twice.

    Reports of what the closed forms do not price teach nothing, which is said.
    """
    reported = [item for item in built if item.report is not None]
    silent = [item for item in reported if not priced(context, item.design)]
    if silent:
        said = ", ".join(item.design.digest for item in silent)
        context.say(f"  the reports of {said} leave the cost model as it is: {NOT_PRICED}")
    reported = [item for item in reported if priced(context, item.design)]
    found = []
    for item in reported:
        own = narrowed_topology(topology, item.design)
        if context.tool.implementation is Implementation.HLS4ML:
            target = for_design(context.target, item.design)
            of = on_hls(item.report, subject.network(own, item.design, target))
        else:
            target = context.task.target
            of = on_verilog(item.report, own, item.design, word, dict(item.traced), target.part, target.clock_ns)
        found.append(observation(item.report, item.design.digest, of))
    return _learned(context, joined(context.known, found))


def coefficients(context: Context, model: CostState) -> dict[str, dict[str, float]]:
    """Regression → its coefficients by feature, for people to see what reports changed."""
    if context.tool.implementation is Implementation.RTL:
        state = model.of(context.tool.name, _stage(context))
        return {name: _shown(getattr(state, name)) for name in rtl_cost.REGRESSIONS}
    found = {}
    for key, figures in sorted(model.regressions.items()):
        if key == key.general and key.stage == _stage(context) and key.tool == _COMPILERS[context.tool.name].value:
            for name in ("lut", "ff", "latency_cycles"):
                for block, regression in sorted(figures.get(name, {}).items()):
                    found[f"{name}, {LABELS[block]}"] = _shown(regression)
    return found


_COMPILERS = {"vitis": hls.Tool.VITIS_HLS, "vivado_hls": hls.Tool.VIVADO_HLS}


def _shown(regression) -> dict[str, float]:
    return dict(zip(regression.features, regression.mean))


def _learned(context: Context, rows: Sequence[Observation]) -> CostState:
    return hls_model(rows) if context.tool.implementation is Implementation.HLS4ML else verilog_model(rows)


def _stage(context: Context) -> str:
    """The stage whose resources a report of the asked stage tells."""
    return context.until.fidelity.value


def _hls(context: Context, model: CostState, topology: Topology, design: Design) -> dict[str, Figure]:
    network = subject.network(topology, design, for_design(context.target, design))
    found = {
        name: figure(
            name,
            float(row.value[0]),
            Fidelity.MODEL,
            error=float(row.high[0] - row.value[0]),
            implementation=Implementation.HLS4ML,
        )
        for name, row in hls.predict(model, [network], _stage(context)).items()
        if name in METRICS
    }
    cycles, clock = found["latency_cycles"], context.task.target.clock_ns
    nanoseconds = figure("latency_ns", cycles.value * clock, Fidelity.MODEL, implementation=Implementation.HLS4ML)
    return found | {"latency_ns": replace(nanoseconds, error=(cycles.error or 0.0) * clock)}


def pipelined(figures: Mapping[str, Figure], target: Target) -> dict[str, Figure]:
    """Predicted figures of a Verilog design for a target: a latency that is asked for is met exactly."""
    if target.cycles is None:
        return dict(figures)
    cycles = {"latency_cycles": float(target.cycles), "latency_ns": target.cycles * target.clock_ns}
    return {**figures, **{name: replace(figures[name], value=value, error=0.0) for name, value in cycles.items()}}
