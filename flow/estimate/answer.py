"""The answer to `flow estimate`: what each implementation will cost, by each fidelity there is, beside its reports."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flow.cost import costs, hls, power
from flow.cost import rtl as rtl_cost
from flow.errors import BadInput
from flow.estimate.files import json_object
from flow.estimate.gather import gather
from flow.estimate.knowledge import Models, design_of, network_of
from flow.estimate.observation import POWERS, Observation
from flow.estimate.subject import Subject
from flow.firmware.settings import Target
from flow.formats import parse
from flow.metrics import METRICS, Fidelity, Figure, Implementation

# A figure with its 68 % interval, as programs read it: value, low, high, fidelity, unit.
Range = dict[str, float | str]


def estimate(subject: Subject, models: Models, stage: str, traced: bool) -> dict:
    """What `subject` will cost: as Verilog where its design is known, and as an hls4ml project at a stage.

    `traced` prices the Verilog from the real weights too, which takes seconds; the subject has to be a built design.
    """
    estimates = [_hls(subject, models, stage)]
    if subject.design is not None:
        estimates = [*_verilog(subject, models, traced), *estimates]
    reports, left = gather(subject.project) if subject.project else ([], [])
    found = {} if subject.design is None else costs(subject.topology, subject.design)
    return {
        "subject": subject.name,
        "part": subject.part,
        "clock_ns": subject.clock_ns,
        "costs": {name: item.to_json() for name, item in found.items()},
        "estimates": estimates,
        "reports": [_report(item, reports) for item in reports if item.finished],
        "left_out": left,
    }


def predictions(models: Models, item: Observation) -> dict[str, Range]:
    """What the models say of the network that an observation speaks of, at its stage and for its tool."""
    if item.implementation is Implementation.HLS4ML:
        return ranges(hls.predict(models.hls, [network_of(item)], item.stage))[0]
    topology, design = design_of(item)
    word, clock = parse(item.network["word"]), item.clock_ns or rtl_cost.CLOCK_NS
    found = rtl_cost.predict(models.rtl, topology, design, word, clock, item.tool, item.stage)
    return {name: _range(row) for name, row in found.items()}


def ranges(found: Mapping[str, hls.Prediction]) -> list[dict[str, Range]]:
    """The predictions of each network, as programs read them."""
    columns = {name: zip(*(side.tolist() for side in (row.value, row.low, row.high))) for name, row in found.items()}
    by_network = zip(*columns.values())
    return [{name: _numbers(name, *sides) for name, sides in zip(columns, row)} for row in by_network]


def _hls(subject: Subject, models: Models, stage: str) -> dict:
    found = hls.predict(models.hls, [subject.network], stage)
    figures = ranges(found)[0]
    return {
        "implementation": Implementation.HLS4ML.value,
        "fidelity": Fidelity.MODEL.value,
        "stage": stage,
        "tool": subject.network.tool.value,
        "figures": figures | _energy(subject, models, figures),
        "finishes": float(hls.finishes(models.hls, [subject.network])[0]),
        "by_layer": hls.predict_by_layer(models.hls, subject.network, stage),
        "reasons": list(hls.reasons(found)[0]),
    }


def _verilog(subject: Subject, models: Models, traced: bool) -> list[dict]:
    design, clock = (subject.topology, subject.design, subject.word), subject.clock_ns
    predicted = rtl_cost.predict(models.rtl, *design, clock)
    found = [_row(subject, models, predicted, rtl_cost.predict_by_layer(models.rtl, *design, clock))]
    if traced:
        cycles, counts = _traced(subject)
        predicted = rtl_cost.predict_traced(models.rtl, counts, cycles, clock)
        found.append(_row(subject, models, predicted, rtl_cost.predict_traced_by_layer(models.rtl, counts)))
    return found


def _row(subject: Subject, models: Models, predicted: Mapping[str, Figure], by_layer: Mapping) -> dict:
    """What Yosys will report of the Verilog, which takes a new event in every cycle."""
    figures, fidelity = {name: _range(row) for name, row in predicted.items()}, predicted["lut"].fidelity.value
    figures["interval_cycles"] = _numbers("interval_cycles", 1.0, 1.0, 1.0) | {"fidelity": fidelity}
    return {
        "implementation": Implementation.RTL.value,
        "fidelity": fidelity,
        "stage": rtl_cost.STAGE,
        "tool": rtl_cost.TOOL,
        "figures": figures | _energy(subject, models, figures),
        "by_layer": by_layer,
        "reasons": [],
    }


def _traced(subject: Subject) -> tuple[int, Mapping[str, Mapping[str, float]]]:
    """Cycles, and counts by block, of the Verilog that the weights of a built design make."""
    from flow.firmware import rtl
    from flow.train import qkeras_model

    if subject.project is None:
        raise BadInput(f"{subject.name}: --traced needs a built design, with its weights; this has none")
    model = qkeras_model.load(subject.project / "model.keras")
    built = Target.from_json(json_object(subject.project / "metadata.json")["target"])
    target = replace(built, part=subject.part, clock_ns=subject.clock_ns)
    summary = rtl.summarise(rtl.trace(model, subject.word, target), target, model)
    return summary.latency_cycles, summary.counts


def _energy(subject: Subject, models: Models, figures: Mapping[str, Range]) -> dict[str, Range]:
    """Power, and energy of one inference, on the FPGA: from what the resources are predicted to be."""
    counts = {name: figures[name]["value"] for name in power.RESOURCES}
    arguments = (models.power, counts, subject.part, subject.clock_ns)
    watts, joules = power.power(*arguments), power.energy(*arguments, figures["interval_cycles"]["value"])
    return {
        name: _numbers(name, *map(float, sides)) | {"fidelity": figures["lut"]["fidelity"]}
        for name, sides in (("power_w", watts), ("energy_fpga", joules))
    }


def _report(item: Observation, others: Sequence[Observation]) -> dict:
    figures = {name: value for name, value in item.figures.items() if name not in POWERS}
    found = {name: _numbers(name, value, value, value) for name, value in figures.items()}
    return {
        "implementation": item.implementation.value,
        "fidelity": item.stage,
        "stage": item.stage,
        "tool": f"{item.tool} {item.tool_version or ''}".strip(),
        "figures": {
            name: row | {"fidelity": item.stage}
            for name, row in (found | _measured(item, _interval(item, others))).items()
        },
        "by_layer": item.by_layer,
        "reasons": [],
        "source": item.source,
    }


def _interval(item: Observation, others: Sequence[Observation]) -> float | None:
    """Cycles between two inferences, which reports of power don't tell: one in Verilog, else what another report of the project says."""
    if item.implementation is Implementation.RTL:
        return 1.0
    told = (
        other.figures.get("interval_cycles") for other in (item, *others) if other.implementation is item.implementation
    )
    return next((value for value in told if value), None)


def _measured(item: Observation, interval: float | None) -> dict[str, Range]:
    """Power and energy where the tool reported power: in place of the model's."""
    known = {*power.RESOURCES, *POWERS} <= set(item.figures) and hls.family(item.part) in power.FAMILIES
    if not known or interval is None or not item.clock_ns:
        return {}
    dynamic, static = (item.figures[name] for name in POWERS)
    counts = {name: item.figures[name] for name in power.RESOURCES}
    found = power.reported(dynamic, static, counts, item.part, item.clock_ns, interval, Fidelity(item.stage), item.tool)
    return {name: _range(row) for name, row in found.items()}


def _range(row: Figure) -> Range:
    error = row.error or 0.0
    return _numbers(row.name, row.value, max(row.value - error, 0.0), row.value + error) | {
        "fidelity": row.fidelity.value
    }


def _numbers(name: str, value: float, low: float, high: float) -> Range:
    return {"value": value, "low": low, "high": high, "fidelity": "model", "unit": METRICS[name].unit}
