"""What of tools and job systems is on this machine, and what to set for what is not."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata

from flow.errors import FlowError
from flow.metrics import Implementation
from flow.synth.jobs.settings import System
from flow.synth.tools import TOOLS
from flow.synth.tools.tool import Tool

READS = {Implementation.RTL: "Verilog", Implementation.HLS4ML: "HLS project"}
_ASKED_S = 20.0  # for the version of a job system


@dataclass(frozen=True)
class _Needs:
    """What a job system needs: programs on the PATH, Python packages, what asks for its version, and what to set where
    that is not answered."""

    sentence: str
    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    setting: str = ""


_CLUSTER = "pip install 'flow[cluster]'"
_SYSTEMS = {
    System.LOCAL: _Needs("on this machine, as many at once as cores and memory allow"),
    System.DASK: _Needs("through Dask, here or on a scheduler that runs already", packages=("distributed",)),
    System.SLURM: _Needs(
        "through Slurm", ("sbatch", "squeue", "scancel"), ("distributed", "dask-jobqueue"), ("sbatch", "--version"),
        "name the cluster's slurm.conf in SLURM_CONF",
    ),
    System.HTCONDOR: _Needs(
        "through HTCondor", ("condor_submit", "condor_q", "condor_rm"), ("distributed", "dask-jobqueue"),
        ("condor_version",), "name the pool's condor_config in CONDOR_CONFIG",
    ),
}  # fmt: skip


def rows() -> list[dict]:
    """A row for each tool and each job system, in the order of their registries.

    `kind` is ``tool`` or ``jobs``; `here` whether it can be used; `version` and `path` as far as they are known;
    `reads` and `stages` of a tool; `why` it can't be used and what to `set`, None where it can.
    """
    asked = [*(_asking(_tool, tool) for tool in TOOLS.values()), *(_asking(_system, system) for system in System)]
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        return [future.result() for future in [pool.submit(ask) for ask in asked]]


def _asking(ask: Callable[..., dict], what) -> Callable[[], dict]:
    return lambda: ask(what)


def _tool(tool: Tool) -> dict:
    row = {
        "kind": "tool",
        "name": tool.name,
        "about": tool.sentence,
        "here": False,
        "version": None,
        "path": None,
        "reads": READS[tool.implementation],
        "stages": [stage.value for stage in tool.stages],
        "why": None,
        "set": None,
    }
    try:
        found = tool.find()
    except FlowError as error:
        return row | {"why": _without_advice(str(error), tool.setting), "set": tool.setting}
    except Exception as error:  # a broken installation is a row of the table, not its end
        return row | {"why": f"{type(error).__name__}: {error}", "set": tool.setting}
    # A wheel is run by Python: there is no program of its own.
    wheel = found.command[1:2] == ("-c",)
    return row | {"here": True, "version": found.version, "path": None if wheel else found.path}


def _without_advice(why: str, setting: str) -> str:
    """The reason alone: many errors end with what to set, which has a place of its own."""
    reason, separator, advice = why.partition("; ")
    return reason if separator and setting.startswith(advice) else why.removesuffix(f"; {setting}")


def _system(system: System) -> dict:
    needs = _SYSTEMS[system]
    programs = [name for name in needs.programs if shutil.which(name) is None]
    packages = [name for name in needs.packages if _installed(name) is None]
    to_set = ["run flow where jobs can be submitted"] * bool(programs) + [_CLUSTER] * bool(packages)
    lacks = [f"no {', '.join(programs)} on the PATH"] * bool(programs)
    lacks += [f"no package {', '.join(packages)}"] * bool(packages)
    version = None
    if not lacks:
        try:
            version = _version(needs)
        except _Mute as error:
            lacks, to_set = [str(error)], [needs.setting]
    return {
        "kind": "jobs",
        "name": system.value,
        "about": needs.sentence,
        "here": not lacks,
        "version": version,
        "path": shutil.which(needs.programs[0]) if needs.programs else None,
        "reads": None,
        "stages": [],
        "why": "; ".join(lacks) or None,
        "set": "; ".join(to_set) or None,
    }


def _installed(package: str) -> str | None:
    """The version of a Python package, None where it is not here."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


class _Mute(Exception):
    """A program that can't be asked for its version: what it said instead."""


def _version(needs: _Needs) -> str | None:
    """What a system says of its version: its program, else its package. Raises _Mute."""
    if not needs.ask:
        return f"{needs.packages[0]} {_installed(needs.packages[0])}" if needs.packages else None
    asked = " ".join(needs.ask)
    try:
        done = subprocess.run(
            needs.ask, capture_output=True, text=True, errors="replace", timeout=_ASKED_S, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise _Mute(f"{asked}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise _Mute(f"{asked}: no answer in {_ASKED_S:g} s") from None
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    if done.returncode != 0 or not lines:
        raise _Mute(f"{asked}: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return lines[0].strip(" $")


def show(rows: Sequence[dict], as_json: bool) -> None:
    """Print the rows: as JSON, or as a table for people."""
    print(json.dumps(rows, indent=1) if as_json else table(rows))


def table(rows: Sequence[dict]) -> str:
    """The rows as text: a line each, below it why it can't be used and what to set."""
    parts = []
    for kind, title in (("tool", "Tools"), ("jobs", "Job systems (--jobs)")):
        chosen = [row for row in rows if row["kind"] == kind]
        cells = [(row["name"], "here" if row["here"] else "not here", _does(row), _which(row)) for row in chosen]
        wide = [max((len(line[column]) for line in cells), default=0) for column in range(3)]
        parts.append(title)
        for row, line in zip(chosen, cells):
            parts.append("  " + "  ".join((*map(str.ljust, line, wide), line[3])).rstrip())
            parts += [
                f"  {'':<{wide[0]}}  {text}" for text in (row["why"], row["set"] and f"set: {row['set']}") if text
            ]
    return "\n".join(parts)


def _does(row: dict) -> str:
    return f"{row['reads']}: {', '.join(row['stages'])}" if row["stages"] else row["about"]


def _which(row: dict) -> str:
    return ", ".join(item for item in (row["version"], row["path"] if row["here"] else None) if item)
