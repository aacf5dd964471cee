"""One job of the matrix: builds its network, computes every column, and says how each row came out."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np

from flow.errors import BadInput, ToolFailed
from tests.firmware.matrix.cells import Column, Job, Way
from tests.firmware.matrix.subjects import Subject, layer_subject, quantizer_subject

_OWN = 1e-4  # by how much QKeras' own float32 inference may deviate, relative to the layer's largest value


class State(StrEnum):
    """How a cell came out; the last two are failures."""

    EXACT = "exact"
    WITHIN = "within"
    GENERATED = "generated"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    DIFFERS = "DIFFERS"
    CRASHED = "CRASHED"


@dataclass(frozen=True)
class Outcome:
    """A cell: its state, and the reason or the figure that goes with it."""

    state: State
    said: str = ""

    @property
    def failed(self) -> bool:
        return self.state in (State.DIFFERS, State.CRASHED)


Cells = dict[str, dict[str, Outcome]]  # column -> row -> outcome


def run(job: Job) -> Cells:
    """Every cell of a job. What raises anything but a refusal is a cell that crashed."""
    work = _Work(job)
    try:
        work.subject  # noqa: B018  (built here, so that what it raises is told)
    except Exception as error:  # noqa: BLE001  (as below)
        crashed = Outcome(State.CRASHED, f"no network: {type(error).__name__}: {error}")
        return {column.name: {job.name: crashed} for column in job.columns}
    return {column.name: work.column(column) for column in job.columns}


def fast_csim() -> None:
    """Let the C simulation be compiled without optimization in this process: that takes a third of the time."""
    from flow.firmware.hls import csim

    csim.FLAGS = tuple("-O0" if flag == "-O2" else flag for flag in csim.FLAGS)


class _Work:
    """A job's network, and what its columns share."""

    def __init__(self, job: Job, without: frozenset[str] = frozenset()):
        self.job = job
        self.without = without  # rows that are left out of the network
        self.fewer: dict[frozenset[str], _Work] = {}

    @cached_property
    def subject(self) -> Subject:
        match self.job.table:
            case "layers":
                return layer_subject(*self.job.subject)
            case "strategies":
                name, strategy, reuse = self.job.subject
                said = {"1": "", "shared": ", shared multipliers"}.get(reuse, f", reuse factor {reuse}")
                row = f"{name}, {strategy}{said}"
                return self._renamed(layer_subject(name, "mixed"), row)
            case "outputs":
                return self._renamed(layer_subject("dense", "plain"), self.job.subject[0])
        kind = "dense" if "dense" in self.job.table else "conv2d"
        role, number, way = self.job.subject
        return quantizer_subject(kind, role, int(number), way, self.without)

    @staticmethod
    def _renamed(found: Subject, row: str) -> Subject:
        return Subject(found.model, found.word, found.words, {row: None})

    @cached_property
    def reference(self) -> dict[str, np.ndarray]:
        from flow.train import qkeras_model

        return qkeras_model.reference(self.subject.model, self.subject.words)

    @cached_property
    def traced(self):
        return self._trace(self.job.columns[-1].target)

    def _trace(self, target):
        from flow.firmware import rtl

        return rtl.trace(self.subject.model, self.subject.word, target)

    def column(self, column: Column) -> dict[str, Outcome]:
        subject = self.subject
        found = {row: Outcome(State.REFUSED, why) for row, why in subject.refused.items()}
        if subject.model is None:
            return found
        reasons = self._reasons(column)
        if reasons:  # a row that a backend has not must not keep its neighbours from being compared
            out = frozenset(reasons)
            work = self.fewer.setdefault(out, _Work(self.job, out))
            own = {row: Outcome(State.UNAVAILABLE, "; ".join(reasons[row])) for row in reasons}
            return {**work.column(column), **own, **found}
        try:
            return {**self._compared(column), **found}
        except BadInput as error:
            if len(subject.rows) > 1:  # it may be what joins them that is refused
                return {**self._one_by_one(column), **found}
            state = State.UNAVAILABLE if self._unavailable(column) else State.REFUSED
            outcome = Outcome(state, str(error))
        except ToolFailed as error:
            outcome = Outcome(State.CRASHED, f"{error}\n{_tail(error.log)}")
        except Exception as error:  # noqa: BLE001  (a crash is a cell's result, not the end of the matrix)
            outcome = Outcome(State.CRASHED, f"{type(error).__name__}: {error}")
        return {**dict.fromkeys(subject.rows, outcome), **found}

    def _one_by_one(self, column: Column) -> dict[str, Outcome]:
        """The column with a network for each row."""
        found = {}
        for row in self.subject.rows:
            others = self.without | (set(self.subject.rows) - {row})
            work = self.fewer.setdefault(others, _Work(self.job, others))
            found[row] = work.column(column)[row]
        return found

    def _reasons(self, column: Column) -> dict[str, list[str]]:
        """By row that shares its network with others, why a backend has it not."""
        from flow.firmware import hls

        if column.way is not Way.HLS:
            return {}
        found = {row: hls.unavailable(column.target, stages) for row, stages in self.subject.alone.items()}
        return {row: reasons for row, reasons in found.items() if reasons}

    def _unavailable(self, column: Column) -> bool:
        from flow.firmware import hls, hls4ml_qkeras

        if column.way is not Way.HLS:
            return False
        try:
            return bool(hls.unavailable(column.target, hls4ml_qkeras.stages(self.subject.model, column.target)))
        except BadInput:
            return False

    def _compared(self, column: Column) -> dict[str, Outcome]:
        if column.way is Way.QKERAS:
            return self._own()
        with tempfile.TemporaryDirectory(prefix="matrix-") as scratch:
            folder = Path(scratch)
            self._write(column, folder)
            if column.way is Way.HLS:
                from flow.firmware import hls

                reason = hls.csim_unavailable(column.target)
                if reason is not None:
                    return dict.fromkeys(self.subject.rows, Outcome(State.GENERATED, reason))
            if None in self.subject.rows.values():
                return dict.fromkeys(self.subject.rows, self._gate(column, folder))
            return self._by_layer(column, folder)

    def _write(self, column: Column, folder: Path) -> None:
        from flow.firmware import hls, rtl

        model, word = self.subject.model, self.subject.word
        if column.way is Way.HLS:
            hls.write(model, word, folder / "hls", "matrix", column.target, folder / "hls4ml.log")
        if column.way is Way.SIMULATED:
            (folder / "rtl").mkdir()
            rtl.write(self.traced, folder / "rtl", "matrix", column.target, model=model)

    def _gate(self, column: Column, folder: Path) -> Outcome:
        """The gate itself on all layers; of outputs that tables give also against the traced arithmetic."""
        from flow.firmware import gate

        side = {Way.HLS: "csim", Way.TRACED: "traced", Way.SIMULATED: "rtl"}[column.way]
        sides = (side,) if column.target.output.exact or side == "traced" else (side, "traced")
        needs_trace = "traced" in sides
        found = gate.compare_project(
            folder, self.subject.model, self.subject.word, column.target, self.subject.words, sides=sides,
            traced=self.traced if needs_trace else None,
        )  # fmt: skip
        for pair in found.pairs:
            if pair.first is not None:
                return Outcome(State.DIFFERS, f"{pair.name}: {pair.mismatches} of {pair.vectors}: {pair.first}")
        largest = max(pair.largest for pair in found.pairs)
        return Outcome(State.EXACT) if largest == 0 else Outcome(State.WITHIN, f"{largest:.2g}")

    def _by_layer(self, column: Column, folder: Path) -> dict[str, Outcome]:
        """Layer by layer, one for each row; where only the outputs differ, no row can be called equal."""
        outputs = self._outputs(column, folder)
        *_, last = self.reference
        found = {}
        for row, layer in self.subject.rows.items():
            shown = layer if column.way is not Way.SIMULATED else last  # the simulation gives the outputs alone
            found[row] = _equal(self.reference, outputs, shown)
        whole = _equal(self.reference, outputs, last)
        return found if not whole.failed or any(x.failed for x in found.values()) else dict.fromkeys(found, whole)

    def _outputs(self, column: Column, folder: Path) -> Mapping[str, np.ndarray]:
        from flow.firmware import hls, rtl

        match column.way:
            case Way.HLS:
                return hls.simulate(folder / "hls", self.subject.words, layers=True)
            case Way.TRACED:
                return self.traced.run(self.subject.words)
        return {[*self.reference][-1]: rtl.simulate(folder / "rtl", self.subject.words)}

    def _own(self) -> dict[str, Outcome]:
        """QKeras' own inference in float32 against the float64 reference that all else is held against."""
        import keras

        model, words = self.subject.model, self.subject.words.astype(np.float32)
        names = [layer.name for layer in model.layers[1:]]
        values = keras.Model(model.inputs[0], [layer.output for layer in model.layers[1:]])(words)
        own = {name: np.asarray(value, np.float64).reshape(len(words), -1) for name, value in zip(names, values)}
        return {
            row: _deviation(self.reference, own, names if layer is None else [layer])
            for row, layer in self.subject.rows.items()
        }


def _deviation(reference: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray], layers: list[str]) -> Outcome:
    largest = 0.0
    for layer in layers:
        scale = max(float(np.abs(reference[layer]).max(initial=0.0)), 1.0)
        off = float(np.abs(reference[layer] - own[layer]).max(initial=0.0))
        if off > _OWN * scale:
            return Outcome(State.DIFFERS, f"layer {layer}: QKeras itself gives values that are off by {off:g}")
        largest = max(largest, off)
    return Outcome(State.EXACT) if largest == 0 else Outcome(State.WITHIN, f"{largest:.2g}")


def _equal(reference: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], layer: str) -> Outcome:
    if layer not in outputs:
        return Outcome(State.CRASHED, f"layer {layer} is not among the outputs")
    found = np.asarray(outputs[layer])
    bad = np.argwhere(reference[layer][: len(found)] != found)
    if not len(bad):
        return Outcome(State.EXACT)
    at = tuple(bad[0])
    said = f"layer {layer}, vector {at[0]}, element {at[1]}: {found[at]!r} should be {reference[layer][at]!r}"
    return Outcome(State.DIFFERS, said)


def _tail(log: Path | None) -> str:
    return "" if log is None or not log.is_file() else "\n".join(log.read_text(errors="replace").splitlines()[-15:])
