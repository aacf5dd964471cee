"""What an estimate is asked for: a design of a task, a built project, a `.keras` file, an hls4ml configuration."""

from dataclasses import dataclass, replace
from pathlib import Path

from flow import parts, task
from flow.cost import hls
from flow.design import Design, check
from flow.errors import BadInput
from flow.estimate.files import json_object
from flow.firmware.settings import Backend, Target
from flow.formats import Fixed, parse
from flow.topology import Topology
from flow.width import narrowed_topology

PROJECT_FILES = ("topology.json", "design.json", "scaling.json", "metadata.json")
CONFIGURATIONS = (".yml", ".yaml", ".json")


@dataclass(frozen=True)
class Settings:
    """What the firmware is built for, and how hls4ml builds it; None: what the subject says itself."""

    part: str | None = None
    clock_ns: float | None = None
    strategy: hls.Strategy | None = None
    reuse_factor: int | None = None
    io_type: hls.IoType | None = None
    tool: hls.Tool | None = None
    reuse: tuple[tuple[str, int], ...] | None = None

    def over(self, other: "Settings") -> "Settings":
        """These settings, with those of `other` where these say nothing."""
        return Settings(**{name: getattr(other, name) if mine is None else mine for name, mine in vars(self).items()})


DEFAULTS = Settings(
    part=task.Target().part,
    clock_ns=task.Target().clock_ns,
    strategy=hls.Strategy.LATENCY,
    reuse_factor=1,
    io_type=hls.IoType.PARALLEL,
    tool=hls.Tool.VITIS_HLS,
    reuse=(),
)
TOOLS = {Backend.VITIS: hls.Tool.VITIS_HLS, Backend.VIVADO: hls.Tool.VIVADO_HLS}


@dataclass(frozen=True)
class Subject:
    """A network and its formats. `topology`, `design` and `word` are None where only hls4ml's view is known;
    `project` is the built design's folder, with weights and perhaps reports; `plain` whether its RTL is what closed forms
    price (`flow.firmware.settings.Target.plain`)."""

    name: str
    part: str
    clock_ns: float
    network: hls.Network
    topology: Topology | None = None
    design: Design | None = None
    word: Fixed | None = None
    project: Path | None = None
    plain: bool = True


def subject(what: Path, which: str | None, out: Path | None, wanted: Settings) -> Subject:
    """The subject of `flow estimate WHAT [WHICH]`; BadInput for what is none of the four."""
    if (what / "task.yaml").is_file():
        return _of_task(what, which, out or Path("hls_projects") / what.resolve().name, wanted)
    if which is not None:
        raise BadInput(f"{what}: a design can be named of a task only, and this is no task's folder (no task.yaml)")
    if is_project(what):
        return of_project(what, wanted)
    if what.is_dir() or what.suffix in (".keras", *CONFIGURATIONS):
        return _of_file(what, wanted)
    raise BadInput(
        f"{what}: neither a task's folder, a project's folder, a .keras file, nor an hls4ml configuration (.yml or .json)"
    )


def is_project(folder: Path) -> bool:
    """Whether `folder` is a design that `flow convert` has built."""
    return all((folder / name).is_file() for name in PROJECT_FILES)


def built(folder: Path, out: Path, which: str) -> Path:
    """The project of a task's built design: by the first digits of its digest, or the one that a run has "chosen"."""
    return _project_named(out, _chosen(out, folder) if which == "chosen" else which, folder)


def of_project(folder: Path, wanted: Settings = Settings()) -> Subject:
    """The subject of a built design's folder."""
    read = {name: json_object(folder / name) for name in PROJECT_FILES}
    try:
        topology, design = Topology.from_json(read["topology.json"]), Design.from_json(read["design.json"])
        word, target = parse(read["scaling.json"]["word"]), Target.from_json(read["metadata.json"]["target"])
        check(design, topology)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder}: no project that this version reads ({type(error).__name__}: {error})") from None
    found = _whole(f"{folder.name}", topology, design, word, wanted.over(_built(target)), folder)
    return replace(found, plain=target.plain)


def network(topology: Topology, design: Design, target: Target) -> hls.Network:
    """hls4ml's view of a design that is built for a target. BadInput for a backend that no report speaks of."""
    return hls.checked(hls.network(topology, design, tool_version=None, **vars(_built(target))))


def _built(target: Target) -> Settings:
    """What a project is built for, as the cost models name it."""
    if target.backend not in TOOLS:
        raise BadInput(
            f"backend {target.backend}: hls4ml's costs are known of {' and '.join(TOOLS)} projects; no report of another"
            " backend was there to learn from"
        )
    strategy, io_type = hls.Strategy(target.strategy.lower()), hls.IoType(target.io_type)
    tool, factor = TOOLS[target.backend], target.reuse_factor
    return Settings(target.part, target.clock_ns, strategy, factor, io_type, tool, target.reuse)


def _of_task(folder: Path, which: str | None, out: Path, wanted: Settings) -> Subject:
    read = task.read(folder)
    named = _built(task.target(read))
    if which is None:
        which = _chosen(out, folder)
    path = Path(which)
    if path.is_file() and (path.suffix != ".json" or "layers" not in json_object(path)):
        return _of_file(path, wanted.over(named))
    if path.is_file():
        design = _design(path)
    else:
        project = _project_named(out, which, folder)
        return of_project(project, wanted)
    topology = _topology(folder, out)
    try:
        check(design, topology)
    except ValueError as error:
        raise BadInput(f"{path}: does not fit the network of {folder}: {error}") from None
    topology = narrowed_topology(topology, design)
    return _whole(design.digest, topology, design, parse(read.data.word), wanted.over(named), None)


def _whole(name: str, topology: Topology, design: Design, word, settings: Settings, project: Path | None) -> Subject:
    parts.find(settings.part)
    of = hls.checked(hls.network(topology, design, tool_version=None, **vars(settings)))
    return Subject(name, settings.part, settings.clock_ns, of, topology, design, word, project)


def _of_file(path: Path, wanted: Settings) -> Subject:
    """hls4ml's view of a `.keras` file or of a configuration; what the file doesn't say is taken from the defaults."""
    network = hls.read_network(path, vars(wanted))
    filled = replace(
        network,
        part=network.part or DEFAULTS.part,
        clock_ns=network.clock_ns or DEFAULTS.clock_ns,
        tool=network.tool or DEFAULTS.tool,
        io_type=network.io_type or DEFAULTS.io_type,
    )
    return Subject(path.name, filled.part, filled.clock_ns, filled)


def _chosen(out: Path, folder: Path) -> str:
    result = out / "result.json"
    row = json_object(result) if result.is_file() else {}
    match row.get("chosen"):
        case {"digest": str(digest)}:
            return digest
    raise BadInput(
        f"{folder}: no design named, and no run in {out} has chosen one; name one (a digest, a design's JSON, a .keras file or "
        "an hls4ml configuration), or run `flow run` first"
    )


def _project_named(out: Path, which: str, folder: Path) -> Path:
    found = sorted(p for p in out.glob(f"{which}*") if is_project(p)) if which.isalnum() else []
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(f"{which}: {', '.join(p.name for p in found)} all begin so; write more digits")
    known = ", ".join(sorted(p.name for p in out.iterdir() if is_project(p))) if out.is_dir() else ""
    raise BadInput(f"{which}: no file, and no built design of {folder}; built: {known or 'none'}")


def _topology(folder: Path, out: Path) -> Topology:
    """The task's network: as a built design tells it where there is one, else read from network.py."""
    from flow.loop.context import Context
    from flow.loop.prepare import read_topology

    return read_topology(Context.of(folder, out, quiet=True))


def _design(path: Path) -> Design:
    try:
        return Design.from_json(json_object(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path}: no design ({type(error).__name__}: {error})") from None
