"""What goes into a bundle, put together in a folder that is then packed."""

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from flow.errors import BadInput
from flow.firmware import emulator, project
from flow.firmware.bundle import manifest, texts
from flow.firmware.emulator.names import Names
from flow.firmware.gate import reading
from flow.firmware.gate.comparison import Equivalence, Pair, Side, compare, require
from flow.firmware.gate.reading import Project
from flow.firmware.hls import csim_unavailable
from flow.firmware.precision import types
from flow.firmware.settings import Language
from flow.firmware.simulate import describe
from flow.synth import parse

RECORD, PAGE = "equivalence.json", "page.html"
_RANDOM = 20_000  # random words on the grid that the emulator is compared on


def fill(folder: Path, source: Project, names: Names, record: Mapping, page: Path | None) -> dict:
    """Put the bundle of a verified project together in the empty `folder`; the manifest's facts.

    `record` is the gate's, as JSON. The emulator is made, compiled and compared here: raises Mismatch where it differs from the model. Other errors are
    BadInput where the project is not what was built, ToolFailed where the compiler fails.
    """
    _copy_project(source.folder, folder / "project")
    pair, made = _emulator(folder / "emulator", source, names)
    require(Equivalence((pair,)))
    facts = _facts(folder, source, names, made, page)
    if page is not None:
        shutil.copyfile(page, folder / PAGE)
    (folder / "ip").mkdir()
    (folder / "ip" / "package_rtl.tcl").write_text(texts.package_rtl(facts))
    (folder / "README.md").write_text(texts.readme(facts))
    (folder / "Makefile").write_text(texts.makefile(facts))
    _write_json(folder / RECORD, _signed(folder, {**record, "pairs": [*record["pairs"], asdict(pair)]}))
    return {
        "task": source.task,
        "design": source.design.digest,
        "name": names.name,
        "version": names.version,
        "target": source.target.to_json(),
        "output": {"bits": made.result.width, "fraction": made.result.fraction, "signed": made.result.signed},
    }


def prebuilt() -> str:
    """The platform that this machine compiles for, as the Python module of an emulator looks for it."""
    return f"{platform.system()}-{platform.machine()}".lower()


def _copy_project(source: Path, target: Path) -> None:
    """The project as it was built; what tools have left in it since stays out, but for reports."""
    listed = json.loads((source / project.METADATA).read_text())["files"]
    for name in (*listed, project.METADATA, "SHA256SUMS"):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
            (target / name).chmod(0o755 if (source / name).stat().st_mode & 0o100 else 0o644)
    if not (target / "LICENSES").is_dir():
        raise BadInput(
            f"{source}: it was built without LICENSES/, by an older version; build it again (`flow convert`)"
        )
    _copy_reports(source, target.parent / "reports")


def _copy_reports(source: Path, target: Path) -> None:
    """What synthesis left, and the reports of all tools as typed records, with paths inside `reports/`."""
    reports = parse.find(source, problems=[])
    rows = [replace(report, path=Path(report.path).relative_to(source).as_posix()).to_json() for report in reports]
    left = [path for side in ("rtl", "hls") for path in sorted((source / side / "synth").rglob("*"))]
    for path in (*(Path(report.path) for report in reports), *left):
        if path.is_file() and path.resolve().is_relative_to(source.resolve()):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    if rows:
        _write_json(target / "reports.json", rows)


def _emulator(folder: Path, source: Project, names: Names) -> tuple[Pair, emulator.Program]:
    """Write, compile and compare the emulator."""
    model = source.model()
    facts = {
        "design": source.design.digest,
        "task": source.task,
        "source_sha256": json.loads((source.folder / project.METADATA).read_text())["files"]["model.keras"],
    }
    made = emulator.write_model(model, source.scaling.word, folder, names, source.target, facts)
    library = emulator.compile_library(folder, names)
    (folder / "compile.log").unlink()
    pair = _compared(source, model, emulator.load(folder, names))
    place = folder / "prebuilt" / prebuilt()
    place.mkdir(parents=True)
    library.rename(place / library.name)
    return pair, made


def _compared(source: Project, model, library) -> Pair:
    """The emulator against the exact model: its own vectors, corners, and random words."""
    from flow.firmware import hls4ml_qkeras
    from flow.firmware.gate import corner_words
    from flow.firmware.gate.stimuli import vectors
    from flow.train import qkeras_model

    own, _ = source.vectors(model)
    words = vectors(source.scaling, own, _RANDOM, 2, source.design.input, corner_words.first_kernel(model))
    stages = hls4ml_qkeras.stages(model, source.target)
    own_types = types(stages, source.scaling.word, words.shape[1])[stages[-1].name]
    logits = qkeras_model.reference(model, words)[model.layers[-1].name]
    # Tables are compared with their own integers: the gate has held those against the function.
    expected = logits if own_types.spec is None else own_types.spec.apply(logits)
    name = stages[-1].name
    side = Side("emulator", lambda given: {name: library.predict(given)})
    return compare({name: np.asarray(expected)}, [side], words, {name: own_types.result}).pairs[0]


def _facts(folder: Path, source: Project, names: Names, made: emulator.Program, page: Path | None) -> texts.Facts:
    try:
        described = describe(source.folder / "rtl")
        language = Language(described.get("language", Language.VERILOG))
        listed = described.get("files", {}).get(str(language))
        sources = listed or sorted(f"src/{path.name}" for path in (source.folder / "rtl" / "src").glob("*.v"))
        wrapper = described.get("wrapper")
        top = wrapper or described["top"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        said = f"{type(error).__name__}: {error}"
        raise BadInput(
            f"{source.folder / 'rtl' / 'rtl.json'}: does not describe the sources beside it: {said}"
        ) from None
    return texts.Facts(
        task=source.task,
        digest=source.design.digest,
        names=names,
        backend=source.target.backend,
        part=source.target.part,
        clock_ns=source.target.clock_ns,
        input_type=str(made.words),
        output_type=str(made.result),
        n_in=made.n_in,
        n_out=made.n_out,
        expected=Path(source.expected_name).name,
        top=top,
        ports=("clk", "rst") if wrapper else ("clk",),
        sources=tuple(sources),
        vhdl=language is Language.VHDL,
        prebuilt=prebuilt(),
        csim=csim_unavailable(source.target) is None,
        page=page is not None,
        reports=(folder / "reports").is_dir(),
    )


def _signed(folder: Path, record: Mapping) -> Mapping:
    """The gate's record, with the digest of every file that it speaks of."""
    spoken = {
        name: digest
        for name, digest in manifest.digests(folder).items()
        if name.startswith(("project/hls/", "project/rtl/", "project/vectors/", "project/model.keras", "emulator/"))
    }
    said = (
        "Every pair was compared on the vectors named, by the rule named; the files are those with the digests below."
        " What is in not_run was not compared."
    )
    return {"statement": said, **record, "files": spoken}


def _write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_built(folder: Path) -> Project:
    """A project for export; raises BadInput unless every file is as it was built."""
    found = reading.read(folder)
    if found.changed:
        raise BadInput(f"{found.changed[0]}; what is exported has to be what was built: build it again")
    if not (folder / "LICENSES").is_dir():
        raise BadInput(
            f"{folder}: it was built without LICENSES/, by an older version; build it again (`flow convert`)"
        )
    return found
