"""The model of Verilog designs on Yosys reports, each network by a model fitted on the others."""

import sys
from contextlib import redirect_stdout
from itertools import chain
from pathlib import Path

from costs.scores import Point

from flow.cost import rtl


def verilog(folder: Path) -> list[Point]:
    """Both forms of the model on Yosys reports, each network by a model fitted on the others.

    `folder` is what `benchmarks/prior.py --out` made; its designs are built and traced again, which takes minutes, and
    synthesised where a report is missing.
    """
    import prior  # with TensorFlow, from the folder above

    with redirect_stdout(sys.stderr):
        cases = chain(prior.random_cases(), prior.task_cases(folder))
        rows = [row for case in cases if (row := prior.measured(case, folder / "reports")) is not None]
        points = []
        for network in sorted({row.case.network for row in rows}):
            model = prior.fitted([row for row in rows if row.case.network != network])
            part = "trained tasks" if network in prior.TASKS else "random weights"
            for row in (row for row in rows if row.case.network == network):
                points += _verilog_points(model, row, network, part, len(points))
    return points


def _verilog_points(model: rtl.CostModel, row, network: str, part: str, line: int) -> list[Point]:
    case = row.case
    forms = {
        "instant form": rtl.predict(model, case.topology, case.design, case.scaling.word, case.clock_ns),
        "from the weights": rtl.predict_traced(model, row.counts, row.cycles, case.clock_ns),
    }
    known = {"latency_cycles": float(row.cycles)}
    if row.report is not None:
        known |= {figure: float(getattr(row.report, figure)) for figure in ("lut", "ff", "dsp", "bram_18k")}
    points = []
    for form, predicted in forms.items():
        for figure, reported in known.items():
            if figure == "latency_cycles" and form != "instant form":  # the program's own, not predicted
                continue
            value, error = predicted[figure].value, predicted[figure].error
            place = (network, line, f"Verilog, {form}", part, "synth", figure)
            points.append(Point(*place, reported, value, max(value - error, 0.0), value + error))
    return points
