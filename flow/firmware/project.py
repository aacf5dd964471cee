"""The folder of a built design: everything a firmware engineer needs, and nothing that needs this program.

A build is written beside its final place and renamed at the end, with `metadata.json`, which lists the digest of
every file, written last: a build that was killed never looks complete. The same input gives the same bytes.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from flow.data.scaling import InputScaling
from flow.design import Design
from flow.errors import BadInput, Storage
from flow.firmware import hls, hls4ml_qkeras, project_text
from flow.firmware.precision import HlsType, word_type
from flow.topology import Topology

METADATA = "metadata.json"
_PACKAGES = ("numpy", "tensorflow", "keras", "qkeras-v3", "hls4ml", "alkaid")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file knows
_BENCH_VECTORS = 100  # how many vectors hls4ml's own test bench gets


@dataclass(frozen=True)
class Target:
    """What a project is built for. `clock_ns` is the clock period; the last four are hls4ml's."""

    part: str
    clock_ns: float
    backend: str = "Vitis"
    strategy: str = "Latency"
    io_type: str = "io_parallel"
    reuse_factor: int = 1


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

    `words` (n, n_in) and `logits` (n, n_out) become the test vectors; `provenance` (seeds, commit: JSON) goes into
    the metadata. `traced` saves tracing again (`flow.firmware.rtl.trace`). What was there before is replaced.
    """
    final = folder / design.digest
    unfinished = folder / f".{design.digest}.{os.getpid()}"
    try:
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
    """SHA-256 of every file in `folder` but its metadata, by path relative to it, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / METADATA)
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds a whole build: every file that its metadata lists is there, byte for byte.

    Files that tools have added since are not looked at.
    """
    try:
        files = json.loads((folder / METADATA).read_text())["files"]
        return bool(files) and all(_sha256(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def top_name(task_name: str) -> str:
    """The name of the top module and function of a task: its name, made an identifier."""
    name = re.sub(r"\W", "_", task_name, flags=re.ASCII)
    hls4ml_qkeras.check_name(name, "task")
    return name


def _fill(folder, model, design, scaling, topology, task_name, target, provenance, words, logits, traced) -> None:
    from flow.firmware import rtl

    name = top_name(task_name)
    output = [*hls4ml_qkeras.result_types(model, scaling.word).values()][-1]
    _check_vectors(words, logits, scaling, output)
    # A failure's log has to outlive the unfinished folder.
    log = folder.parent / f"{design.digest}.hls4ml.log"
    hls.write(model, scaling.word, folder / "hls", name, **asdict(target), failure_log=log)
    traced = rtl.trace(model, scaling.word) if traced is None else traced
    (folder / "rtl").mkdir()
    summary = rtl.write(traced, folder / "rtl", name, target.part, target.clock_ns)
    _write_vectors(folder, words, logits, word_type(scaling.word), output)
    _save_model(model, folder / "model.keras")
    _write_json(folder / "design.json", design.to_json())
    _write_json(folder / "scaling.json", scaling.to_json())
    _write_json(folder / "topology.json", topology.to_json())
    facts = project_text.Facts(
        task=task_name,
        top=name,
        digest=design.digest,
        part=target.part,
        clock_ns=target.clock_ns,
        backend=target.backend,
        latency_cycles=summary.latency_cycles,
        interval_cycles=summary.interval_cycles,
        input_type=str(word_type(scaling.word)),
        output_type=str(output),
        input_shape=topology.input_shape,
        n_out=topology.n_out,
        hls_units=tuple(hls.units(folder / "hls")),
        rtl_sources=tuple(
            path.relative_to(folder / "rtl").as_posix() for path in sorted((folder / "rtl").rglob("*.v"))
        ),
    )
    (folder / "Makefile").write_text(project_text.makefile(facts))
    (folder / "README.md").write_text(project_text.readme(facts, scaling, design))
    (folder / "vectors" / "README.md").write_text(project_text.vectors_readme(facts))
    (folder / "rtl" / "yosys.ys").write_text(project_text.yosys_script(facts))
    metadata = {
        "task": task_name,
        "design": design.digest,
        "target": asdict(target),
        "latency_cycles": summary.latency_cycles,
        "interval_cycles": summary.interval_cycles,
        "versions": _versions(),
        "provenance": dict(provenance),
        "files": digests(folder),
    }
    _write_json(folder / METADATA, metadata)


def _check_vectors(words: np.ndarray, logits: np.ndarray, scaling: InputScaling, output: HlsType) -> None:
    if len(words) != len(logits) or not len(words):
        raise BadInput(
            f"{len(words)} input vectors and {len(logits)} expected outputs: as many of both, and some, are needed"
        )
    for what, values, form in (("input words", words, word_type(scaling.word)), ("logits", logits, output)):
        if not form.holds(values):
            raise BadInput(f"the test vectors' {what} are not all values of {form}")


def _write_vectors(folder: Path, words: np.ndarray, logits: np.ndarray, word: HlsType, output: HlsType) -> None:
    """Integer words for the gate; decimals, where hls4ml's own test bench looks for them."""
    (folder / "vectors").mkdir()
    bench = folder / "hls" / "tb_data"
    bench.mkdir(exist_ok=True)
    rows = (
        ("inputs.txt", "tb_input_features.dat", words, word),
        ("logits.txt", "tb_output_predictions.dat", logits, output),
    )
    for name, bench_name, values, form in rows:
        np.savetxt(folder / "vectors" / name, form.integers(values), fmt="%d")
        np.savetxt(bench / bench_name, values[:_BENCH_VECTORS], fmt=f"%.{max(form.fraction, 0)}f")


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
    if final.exists():
        os.replace(final, old)
    os.replace(unfinished, final)
    shutil.rmtree(old, ignore_errors=True)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _write_json(path: Path, content) -> None:
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except (TypeError, ValueError) as error:
        raise BadInput(f"{path.name}: can't be written as JSON: {error}") from None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
