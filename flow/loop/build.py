"""From finally trained designs to reports: trace, build, verify, synthesise."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from flow.cost import costs
from flow.cost import rtl as cost
from flow.cost.bits import ebops
from flow.design import Design
from flow.errors import ToolFailed
from flow.firmware.gate import tools
from flow.loop.context import Context
from flow.loop.prepare import Ground
from flow.loop.state import Built, pipelined
from flow.process import in_parallel
from flow.store import Step, commit, digest_of, file_digest
from flow.synth import yosys
from flow.synth.report import Report
from flow.train.designs import member_weights

RTL_VECTORS = 4000  # vectors for the simulated Verilog: corners, test events, random words
RANDOM_VECTORS = 1000
PROJECT_VECTORS = 1000  # vectors that travel with a project


def trace_all(
    context: Context,
    ground: Ground,
    model: cost.CostModel,
    number: int,
    step: Step,
    rows: Sequence[tuple[Design, str, int, dict]],
) -> tuple[Built, ...]:
    """Price trained designs from their real weights. `rows`: design, name, member of `step`, physics figures."""
    found = []
    clock = context.task.target.clock_ns
    for design, name, member, physics in rows:
        counts = _traced(context, ground, design, step, member)
        word = ground.scaling.word
        predictions = {
            "model": costs(ground.topology, design)
            | pipelined(cost.predict(model, ground.topology, design, word, clock), context.target),
            "traced": cost.predict_traced(model, counts["counts"], counts["latency_cycles"], clock),
        }
        found.append(Built(design, number, name, str(step.folder), member, physics, predictions, counts))
    return tuple(found)


def convert_all(context: Context, ground: Ground, chosen: Sequence[Built]) -> tuple[Built, ...]:
    """Build the designs' projects and put each through the equivalence gate; a mismatch stops the run."""
    built = []
    for item in chosen:
        project = build_project(context, ground, item)
        built.append(replace(item, equivalence=_verify(context, ground, item, project)))
    return tuple(built)


def synthesise_all(context: Context, ground: Ground, built: Sequence[Built]) -> tuple[Built, ...]:
    """The designs with their reports. A tool that fails leaves its error with the design, and the others go on."""
    jobs = [lambda item=item: _synthesise(context, ground, item) for item in built]
    return tuple(in_parallel(jobs, context.task.synth.jobs))


def check_tools() -> None:
    """Raise BadInput or ToolFailed, before any work, where a tool that the steps need can't be run."""
    tools.check_tools()
    yosys.tool_version()


def model_of(ground: Ground, item: Built):
    """The QKeras model of a built design."""
    from flow.train import qkeras_model

    step = Step(Path(item.step), "", {})
    weights = member_weights(ground.topology, step.arrays, item.member)
    return qkeras_model.build(ground.topology, item.design, ground.scaling, weights)


def project_folder(context: Context, item: Built) -> Path:
    return context.out / item.design.digest


def build_project(context: Context, ground: Ground, item: Built) -> Path:
    """The design's project folder, written unless it is there, whole, and of the same weights and settings."""
    from flow.firmware import project

    folder = project_folder(context, item)
    key = context.store.key(
        "project",
        {
            "weights": Path(item.step).name,
            "member": item.member,
            "design": item.design.to_json(),
            "target": context.target.to_json(),
            "scaling": ground.data.result["scaling"],
        },
    )
    if _provenance(folder).get("key") == key and project.is_complete(folder):
        return folder
    with context.stage("building", f"{item.design.digest} ({item.name})"):
        from flow.train import qkeras_model

        model = model_of(ground, item)
        words = ground.words("test")[:PROJECT_VECTORS]
        logits = qkeras_model.reference(model, words)[ground.topology.output]
        provenance = {
            "key": key,
            "seed": context.task.search.seed,
            "data": ground.data.result["provenance"],
            "commit": commit(),
        }
        return project.build(
            model,
            item.design,
            ground.scaling,
            ground.topology,
            context.name,
            context.target,
            context.out,
            provenance,
            words,
            logits,
        )


def _provenance(folder: Path) -> dict:
    try:
        return json.loads((folder / "metadata.json").read_text())["provenance"]
    except (OSError, ValueError, KeyError):
        return {}


def _traced(context: Context, ground: Ground, design: Design, step: Step, member: int) -> dict:
    inputs = {
        "weights": step.key,
        "member": member,
        "design": design.to_json(),
        "scaling": ground.data.result["scaling"],
        "target": context.target.to_json(),
    }

    def compute():
        from flow.firmware import rtl
        from flow.train import qkeras_model

        with context.stage("tracing", design.digest):
            weights = member_weights(ground.topology, step.arrays, member)
            model = qkeras_model.build(ground.topology, design, ground.scaling, weights)
            traced = rtl.trace(model, ground.scaling.word, context.target)
            summary = rtl.summarise(traced, context.target, model)
            return {"latency_cycles": summary.latency_cycles, "counts": summary.counts}, {}

    return context.store.step("trace", inputs, compute).result


def _verify(context: Context, ground: Ground, item: Built, project: Path) -> dict:
    """The equivalence gate on one project; raises Mismatch where any side differs."""
    sources = _source_digest(project, ("hls", "rtl/src", "rtl/rtl.json", "model.keras"))
    inputs = {"sources": sources, "data": ground.data.key, "rtl_vectors": RTL_VECTORS, "random": RANDOM_VECTORS}

    def compute():
        from flow.firmware import gate
        from flow.firmware.gate.comparison import require, vectors
        from flow.firmware.gate.corner_words import first_kernel

        with context.stage("verifying", f"{item.design.digest} ({item.name})"):
            model = model_of(ground, item)
            kernel, seed = first_kernel(model), context.task.search.seed
            words, few = (
                vectors(ground.scaling, real, RANDOM_VECTORS, seed, item.design.input, kernel)
                for real in (ground.words("test"), ground.words("test")[:RTL_VECTORS])
            )
            found = gate.compare_project(project, model, ground.scaling.word, context.target, words, rtl_words=few)
            require(found)
            return found.to_json(), {}

    return context.store.step("equivalence", inputs, compute).result


def _synthesise(context: Context, ground: Ground, item: Built) -> Built:
    """The design with its report, or with the reason why there is none."""
    task, folder = context.task, project_folder(context, item)
    size = ebops(ground.topology, item.design)
    if size > task.synth.ebops_limit:
        reason = f"{size:.0f} EBOPs are more than synth.ebops_limit = {task.synth.ebops_limit}: traced only"
        return replace(item, failed=reason)
    target = task.target
    inputs = {
        "sources": _source_digest(folder, ("rtl/src", "rtl/rtl.json")),
        "tool": yosys.tool_version(),
        "part": target.part,
        "clock_ns": target.clock_ns,
    }

    def compute():
        with context.stage("synthesising", f"{item.design.digest} ({item.name})"):
            # In a folder of its own: what a killed run's tool may still write is nobody's.
            with TemporaryDirectory(prefix=f".synth-{item.design.digest}.", dir=context.out) as temporary:
                work = Path(temporary)
                shutil.copytree(folder / "rtl" / "src", work / "src")
                shutil.copy(folder / "rtl" / "rtl.json", work)
                try:
                    report = yosys.run(work, target.part, target.clock_ns, task.synth.timeout)
                except ToolFailed as error:
                    raise _with_kept_logs(error, work / "synth", context.out / "logs" / item.design.digest) from None
                shutil.rmtree(folder / "rtl" / "synth", ignore_errors=True)
                shutil.copytree(work / "synth", folder / "rtl" / "synth")
            kept = replace(report, path=str((folder / "rtl" / "synth" / "yosys.log").relative_to(context.out)))
            return {"report": kept.to_json()}, {}

    try:
        return replace(item, report=Report.from_json(context.store.step("synth", inputs, compute).result["report"]))
    except ToolFailed as error:
        context.say(f"  {item.design.digest}: {error}")
        return replace(item, failed=str(error), error=error)


def _with_kept_logs(error: ToolFailed, folder: Path, kept: Path) -> ToolFailed:
    """The same failure, with what the tool left saved from the folder that goes away."""
    if error.log is None:
        return error
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept)
    text = str(error).split(" (see ")[0].replace(str(folder), str(kept))
    return ToolFailed(text, kept / error.log.name, error.line)


def _source_digest(project: Path, names: Sequence[str]) -> str:
    """Digest of the files below some paths of a project, as they are on disk, without what tools have left there."""
    metadata = json.loads((project / "metadata.json").read_text())["files"]
    files = sorted(name for name in metadata if any(name == n or name.startswith(f"{n}/") for n in names))
    return digest_of({name: file_digest(project / name) for name in files})
