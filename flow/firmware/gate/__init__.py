"""The equivalence gate on a built project: QKeras = C simulation = traced arithmetic = simulated RTL.

What is verified is what lies in the folder, edits included: the model is read from its file, the sources are compiled
as they are. Files that differ from what was built are named, and count for nothing else: an edited source that computes
the same passes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flow.errors import BadInput
from flow.firmware.gate import comparison, corner_words, reading
from flow.firmware.gate.reading import Project
from flow.firmware.gate.sides import Side, csim_side, rtl_side, traced_side
from flow.firmware.gate.stimuli import vectors
from flow.firmware.gate.tools import SIDES, check_tools, versions
from flow.firmware.settings import Language, Output, Target
from flow.formats import Fixed
from flow.process import in_parallel
from flow.store import digest_of, write_json

__all__ = ["RECORD", "SIDES", "check_options", "check_tools", "compare_project", "verify"]

RECORD = "equivalence.json"
MOST_RANDOM = 10_000_000  # more would not fit the memory
_POOL = 4000  # random words among which corners of the deeper layers are looked for

Say = Callable[[str], None]


def verify(
    path: Path,
    *,
    events: Path | None = None,
    random: int = 1000,
    seed: int = 1,
    tolerance: float = 0.0,
    sides: Sequence[str] = SIDES,
    say: Say = lambda line: None,
) -> comparison.Equivalence:
    """Put a built project through the gate and leave the record in its `equivalence.json`.

    Vectors: corners, the project's own events and those of the file `events` (integer words), `random` words on the
    grid drawn with `seed`. A difference does not raise: `flow.firmware.gate.comparison.require` does. `say` is told what
    differs from the build before work starts. Raises BadInput for what is no project, for events off the grid and
    where a tool is missing, ToolFailed where one fails.
    """
    check_options(random, seed, tolerance, sides)
    project = reading.read(Path(path))
    for line in project.changed:
        say(line)
    if tolerance and project.target.output is Output.ARGMAX:
        raise BadInput("tolerance: the output of this project is an index (argmax), which is exact or wrong")
    if (project.folder / RECORD).is_dir():
        raise BadInput(f"{project.folder / RECORD} is a folder: the gate's record is written there")
    check_tools(sides, project.target)
    given = [reading.words_of(events, project.scaling)] if events is not None else []
    model = project.model()
    own, shipped = project.vectors(model)
    words, counts = _vectors(project, model, np.concatenate([own, *given]), random, seed)
    word, target = project.scaling.word, project.target
    traced = _traced(model, word, target) if "traced" in sides else None
    found = compare_project(project.folder, model, word, target, words, sides=sides, tolerance=tolerance, traced=traced)
    expected = _shipped(project, model, own, shipped, tolerance, traced)
    facts = {
        "task": project.task,
        "design": project.design.digest,
        "target": project.target.to_json(),
        "vectors": {**counts, "total": len(words)},
        "seed": seed,
        "coverage": corner_words.coverage(model, words),
        "changed": [line.removeprefix(f"{project.folder}/") for line in project.changed],
        "sources": digest_of(dict(project.files)),
        "versions": versions(sides, project.target),
    }
    record = replace(found, pairs=(*found.pairs, *expected.pairs), facts={**found.facts, **facts})
    write_json(project.folder / RECORD, record.to_json())
    return record


def compare_project(
    folder: Path,
    model,
    word: Fixed,
    target: Target,
    words: np.ndarray,
    *,
    rtl_words: np.ndarray | None = None,
    sides: Sequence[str] = SIDES,
    tolerance: float = 0.0,
    traced=None,
) -> comparison.Equivalence:
    """Compare a project's sides with its QKeras `model` on words (n, n_in); the RTL on `rtl_words` where given.

    Hidden layers are compared to the last bit, and the outputs too, but for those that tables give (within
    `target.accuracy` of the float64 function, and equal among the sides). With a `tolerance` above 0 only the outputs
    count. `traced` saves tracing again.
    """
    from flow.firmware import hls4ml_qkeras
    from flow.train import qkeras_model

    rtl_words = words if rtl_words is None else rtl_words
    types = hls4ml_qkeras.result_types(model, word, target)
    rule = _rule(target, tolerance)
    found, not_run = _sides(folder, model, word, target, sides, traced)
    last = _output_name(model, target)
    full = _reference(model, words, target)
    deviation = qkeras_model.float32_deviation(model, words, full[model.layers[-1].name])

    def compared(names: Sequence[str], given: np.ndarray) -> comparison.Equivalence:
        chosen = [found[name] for name in names if name in found]
        if not chosen:
            return comparison.Equivalence(())
        expected = full if given is words else _reference(model, given, target)
        return comparison.compare(expected, chosen, given, types, rule=rule)

    # Both parts wait for programs most of the time.
    jobs = [lambda: compared(("csim", "traced"), words), lambda: compared(("rtl",), rtl_words)]
    parts = in_parallel(jobs, 2)
    if not target.output.exact and tolerance == 0:
        parts.append(_among_themselves(found, last, {"csim": words, "rtl": rtl_words}, types))
    return comparison.merged(
        parts,
        float32_deviation=deviation,
        tolerance=tolerance,
        not_run=not_run,
        facts={"output": str(target.output), "rule": _said(target, tolerance)},
    )


def check_options(
    random: int = 0, seed: int = 0, tolerance: float = 0.0, sides: Sequence[str] = SIDES, known: Sequence[str] = SIDES
) -> None:
    """Raise BadInput for options of the gate that make no sense for any project; `known` are the sides there are."""
    if random < 0:
        raise BadInput(f"{random} random vectors: 0 or more")
    if random > MOST_RANDOM:
        raise BadInput(f"{random} random vectors: {MOST_RANDOM:,} at most")
    if seed < 0:
        raise BadInput(f"seed {seed}: 0 or more")
    if not 0 <= tolerance < float("inf"):
        raise BadInput(f"tolerance {tolerance!r}: 0 or more, in the unit of the outputs")
    if not any(sides):
        raise BadInput(f"no side to compare; choose some of {', '.join(known)}")
    for side in sides:
        if side not in known:
            raise BadInput(f"side {side!r} is not known; known: {', '.join(known)}")


def _vectors(project: Project, model, real: np.ndarray, random: int, seed: int) -> tuple[np.ndarray, dict[str, int]]:
    """The gate's words (n, n_in), and how many of them are of which kind."""
    scaling, grid = project.scaling, project.design.input
    kernel = corner_words.first_kernel(model)
    none = real[:0]
    corners = vectors(scaling, none, 0, seed, grid, kernel)
    pool = vectors(scaling, none, _POOL, seed + 1)
    deep = corner_words.deep(model, pool)
    if project.target.output is Output.ARGMAX:
        deep = np.concatenate([deep, corner_words.equal_logits(model, pool)])
    # What is real comes behind what is constructed: hidden layers are compared for the first vectors only.
    words = vectors(scaling, np.concatenate([deep, real]), random, seed, grid, kernel)
    return words, {"corners": len(corners), "deep_corners": len(deep), "events": len(real), "random": random}


def _rule(target: Target, tolerance: float) -> comparison.Rule:
    return comparison.Rule(max(tolerance, 0.0 if target.output.exact else target.accuracy), hidden=tolerance == 0)


def _said(target: Target, tolerance: float) -> str:
    """What passes, in words, for the record."""
    if tolerance:
        return f"outputs may differ by {_rule(target, tolerance).allowed:g}, as chosen; hidden layers are not compared"
    if target.output.exact:
        return "exact: every bit of every output and of every hidden layer that is compared"
    return (
        f"{target.output}: within {target.accuracy:g} of the float64 function of the exact logits, the sides equal among"
        " themselves to the last bit; all layers in front of it exact"
    )


def _output_name(model, target: Target) -> str:
    return model.layers[-1].name if target.output is Output.LOGITS else str(target.output)


def _reference(model, words: np.ndarray, target: Target) -> dict[str, np.ndarray]:
    """Every layer's exact values, and behind the logits the output that the target has."""
    from flow.train import qkeras_model

    found = qkeras_model.reference(model, words)
    if target.output is Output.LOGITS:
        return found
    from flow.firmware import outputs

    return {**found, str(target.output): outputs.reference(target.output, found[model.layers[-1].name])}


def _sides(
    folder: Path, model, word: Fixed, target: Target, names: Sequence[str], traced
) -> tuple[dict[str, Side], tuple[comparison.NotRun, ...]]:
    """The sides to run, by name in the gate's order, and those that are not, with the reason."""
    from flow.firmware import hls

    found, not_run = {}, []
    for name in SIDES:
        reason = hls.csim_unavailable(target) if name == "csim" else None
        if name not in names:
            reason = "left out as asked"
        if reason is not None:
            not_run.append(comparison.NotRun(name, reason))
        elif name == "csim":
            found[name] = csim_side(folder / "hls")
        elif name == "traced":
            found[name] = traced_side(traced or _traced(model, word, target))
        else:
            hidden = target.output is not Output.LOGITS
            found[name] = rtl_side(folder / "rtl", _output_name(model, target), hidden)
    if target.language is Language.VHDL:
        not_run.append(
            comparison.NotRun("vhdl", "no simulator for VHDL here: side rtl runs the Verilog of the same netlist")
        )
    return found, tuple(not_run)


def _among_themselves(
    found: Mapping[str, Side], last: str, words: Mapping[str, np.ndarray], types
) -> comparison.Equivalence:
    """Table outputs of the sides against the traced arithmetic's (the first side's where that didn't run)."""
    base = "traced" if "traced" in found else next(iter(found), "")
    parts = []
    for name in words:
        if name in found and name != base:
            expected = {last: found[base].run(words[name])[last]}
            side = Side(name, lambda given, name=name: {last: found[name].run(given)[last]})
            parts.append(comparison.compare(expected, [side], words[name], types, against=base))
    return comparison.merged(parts)


def _traced(model, word: Fixed, target: Target):
    from flow.firmware import rtl

    return rtl.trace(model, word, target)


def _shipped(
    project: Project, model, words: np.ndarray, outputs: np.ndarray, tolerance: float, traced
) -> comparison.Equivalence:
    """The expectations that travel with the project, against QKeras; those of tables against the `traced` too."""
    target, types = project.target, project.types(model)
    reference = _reference(model, words, target)
    last = [*reference][-1]
    side = Side(project.expected_name, lambda given: {last: outputs})
    parts = [comparison.compare({last: reference[last]}, [side], words, types, rule=_rule(target, tolerance))]
    if traced is not None and not target.output.exact and tolerance == 0:
        parts.append(comparison.compare({last: traced.run(words)[last]}, [side], words, types, against="traced"))
    return comparison.merged(parts)
