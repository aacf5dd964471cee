"""From finally trained designs to reports: trace, build, verify, synthesise."""

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flow.cost.bits import ebops
from flow.design import Design
from flow.errors import ToolFailed
from flow.firmware.gate import tools
from flow.firmware.settings import for_design
from flow.loop import pricing
from flow.loop.context import Context
from flow.loop.ground import Ground
from flow.loop.state import Built, CostState
from flow.metrics import Implementation
from flow.store import Step, commit, digest_of, file_digest
from flow.synth import results
from flow.synth.cache import serves
from flow.synth.job import installed, known, place, subject_of
from flow.synth.jobs import table
from flow.synth.jobs.run import run as run_jobs
from flow.synth.jobs.watch import Watch
from flow.synth.outcome import Outcome
from flow.synth.report import Report
from flow.train.designs import member_network
from flow.width import narrowed_topology

RTL_VECTORS = 4000  # vectors for the simulated Verilog: corners, test events, random words
RANDOM_VECTORS = 1000
PROJECT_VECTORS = 1000  # vectors that travel with a project


def trace_all(
    context: Context,
    ground: Ground,
    model: CostState,
    number: int,
    step: Step,
    rows: Sequence[tuple[Design, str, int, dict]],
) -> tuple[Built, ...]:
    """Price trained designs, from their real weights where the tool of the loop reads Verilog.

    `rows`: design, name, member of `step`, physics figures.
    """
    found, verilog = [], context.tool.implementation is Implementation.RTL
    for design, name, member, physics in rows:
        counts = _traced(context, ground, design, step, member) if verilog else {}
        predictions = {"model": pricing.predict(context, model, ground.topology, design, ground.scaling.word)}
        if counts:
            predictions["traced"] = pricing.traced(context, model, counts["counts"], counts["latency_cycles"])
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
    found = {item.design.digest: _reported(context, ground, item) for item in built}
    waiting = [item for item in built if found[item.design.digest] is None]
    if waiting:
        with context.stage("synthesising", ", ".join(f"{item.design.digest} ({item.name})" for item in waiting)):
            jobs = [context.job(project_folder(context, item), again=context.again) for item in waiting]
            outcomes = run_jobs(jobs, context.jobs, _watch(context))
        for item, outcome in zip(waiting, outcomes, strict=True):
            found[item.design.digest] = _with_outcome(context, item, outcome)
    return tuple(found[item.design.digest] for item in built)


def check_tools(context: Context) -> None:
    """Raise BadInput or ToolFailed, before any work, where a tool that the steps need can't be run.

    The tool of the loop may be elsewhere: its reports can be brought here.
    """
    tools.check_tools()
    try:
        installed(context.tool)
    except ToolFailed as error:
        if context.tool.name == "yosys":
            raise
        context.say(f"[{context.name}] {error}; reports of it can be brought here with `flow synth --import`")


def model_of(ground: Ground, item: Built):
    """The QKeras model of a built design."""
    from flow.train import qkeras_model

    step = Step(Path(item.step), "", {})
    topology, weights = member_network(ground.topology, step.arrays, item.member)
    return qkeras_model.build(topology, item.design, ground.scaling, weights)


def project_folder(context: Context, item: Built) -> Path:
    return context.out / item.design.digest


def build_project(context: Context, ground: Ground, item: Built) -> Path:
    """The design's project folder, written unless it is there, whole, and of the same weights and settings."""
    from flow.firmware import project

    folder, target = project_folder(context, item), for_design(context.target, item.design)
    key = context.store.key(
        "project",
        {
            "weights": Path(item.step).name,
            "member": item.member,
            "design": item.design.to_json(),
            "target": target.to_json(),
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
            narrowed_topology(ground.topology, item.design),
            context.name,
            target,
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
    target = for_design(context.target, design)
    inputs = {
        "weights": step.key,
        "member": member,
        "design": design.to_json(),
        "scaling": ground.data.result["scaling"],
        "target": target.to_json(),
    }

    def compute():
        from flow.firmware import rtl
        from flow.train import qkeras_model

        with context.stage("tracing", design.digest):
            topology, weights = member_network(ground.topology, step.arrays, member)
            model = qkeras_model.build(topology, design, ground.scaling, weights)
            traced = rtl.trace(model, ground.scaling.word, target)
            summary = rtl.summarise(traced, target, model)
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
            target = for_design(context.target, item.design)
            found = gate.compare_project(project, model, ground.scaling.word, target, words, rtl_words=few)
            require(found)
            return found.to_json(), {}

    return context.store.step("equivalence", inputs, compute).result


def _watch(context: Context) -> Watch:
    """The table of jobs; lines where there is no terminal, and beside training, whose bar is on it."""
    if threading.current_thread() is threading.main_thread() and sys.stderr.isatty() and not context.quiet:
        return table.watch()
    return table.Lines(lambda text: context.say(f"  {text}"))


def _reported(context: Context, ground: Ground, item: Built) -> Built | None:
    """The design with the report that is there already, or with the reason why it needs none; else None.

    The cache goes before the run's own step: a report may have been brought again, or is read in another way now.
    """
    size = ebops(narrowed_topology(ground.topology, item.design), item.design)
    limit = context.task.synth.ebops_limit
    if size > limit:
        return replace(item, failed=f"{size:.0f} EBOPs are more than synth.ebops_limit = {limit}: not synthesised")
    job = context.job(project_folder(context, item), again=context.again)
    kept = known(job)
    if kept is not None and kept.report is not None:
        return _with_outcome(context, item, kept) if serves(kept, job.limits, job.again, fresh=False) else None
    step = context.store.find("synth", _synthesis(context, item))
    return None if step is None else replace(item, report=Report.from_json(step.result["report"]))


def _synthesis(context: Context, item: Built) -> dict:
    """What a report depends on. The version is that of the tool that is here: reports brought from elsewhere tell theirs."""
    job = context.job(project_folder(context, item))
    try:
        version = installed(context.tool).version
    except ToolFailed:
        version = None
    return {"tool": job.tool, "version": version, "place": place(subject_of(job), job.stage)}


def _with_outcome(context: Context, item: Built, outcome: Outcome) -> Built:
    """The design with its report, whose files are put into its project, or with the reason why there is none."""
    if outcome.report is None:
        if outcome.cached:
            context.say(
                f"  as in an earlier run; `flow synth {context.folder} --again` tries {item.design.digest} anew"
            )
        return replace(item, failed=str(outcome.error), error=outcome.error)
    kept = results.put(outcome, project_folder(context, item))
    report = replace(outcome.report, path=str((kept / outcome.report.path).relative_to(context.out)))
    inputs, row = _synthesis(context, item), report.to_json()
    old = context.store.find("synth", inputs)
    changed = old is not None and Report.from_json(old.result["report"]) != report
    context.store.step("synth", inputs, lambda: ({"report": row}, {}), anew=changed)
    return replace(item, report=report)


def _source_digest(project: Path, names: Sequence[str]) -> str:
    """Digest of the files below some paths of a project, as they are on disk, without what tools have left there."""
    metadata = json.loads((project / "metadata.json").read_text())["files"]
    files = sorted(name for name in metadata if any(name == n or name.startswith(f"{n}/") for n in names))
    return digest_of({name: file_digest(project / name) for name in files})
