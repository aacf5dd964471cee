"""Stand-ins for vitis-run, vitis_hls, vivado_hls and vivado: programs for the PATH that do as the real ones do.

They run the script that they are given (in a small Tcl), read the project and write logs and reports in the true
forms into the true places. Their figures follow from the sources that they were told to read, so that two projects
differ and the same one never does.

    tools = vendor_standins.write(tmp_path / "tools", "vitis-run", "vivado")
    vendor_standins.on_path(monkeypatch, tools)      # nothing but these and the system's own programs
    project = vendor_projects.hls(tmp_path / "project")
    ... run something ...
    assert len(vendor_standins.runs(tools)) == 1     # `-version` is no run

`write(folder, *names, version=..., behaviour=..., fails=..., seconds=...)`: `behaviour` is one of `BEHAVIOURS`; `fails`
lets only the first so many runs of each program behave so, those after it succeed; `seconds` is how long each run
takes; `version` None is a program that does not say it. The environment's STANDIN_BEHAVIOUR goes before `behaviour`.
"""

import json
import math
import os
import re
import signal
import stat
import sys
import time
from pathlib import Path

NAMES = ("vitis-run", "vitis_hls", "vivado_hls", "vivado")
BEHAVIOURS = {
    "success": "ends well",
    "harmless": "ends well, with an ERROR line in its log that means nothing",
    "licence": "finds no free licence: status 1",
    "crash": "ends by SIGSEGV in the middle, with what the real ones print then",
    "killed": "is ended by SIGKILL behind the shell script that starts it: status 137",
    "error": "refuses the sources: status 1",
    "hang": "never ends",
    "memory": "takes ever more memory, to 1 GB, and never ends",
    "bad_alloc": "is refused memory: status 1",
    "disk": "finds the disk full: status 1, its report cut off",
    "truncated": "ends well, its reports cut off in the middle",
    "no_report": "ends well and leaves no report",
    "other_design": "ends well, its reports are of another top",
    "other_part": "ends well, its reports are of another part",
    "other_clock": "ends well, its reports are of another clock",
    "other_version": "ends well, its reports are of another version",
    "late": "leaves good reports, then ends with status 1",
    "failed_test": "the cosimulation's test bench fails",
    "no_cycles": "the cosimulation passes and measured nothing",
    "slow": "the timing is not met",
    "black_box": "leaves a part of the design without logic",
}
_SWAPPED = {"other_design": "another", "other_part": "xcku040-ffva1156-2-e", "other_version": "2017.4"}
_TITLES = {
    "vitis-run": "vitis-run",
    "vitis_hls": "Vitis HLS - High-Level Synthesis from C, C++ and OpenCL",
    "vivado_hls": "Vivado(TM) HLS - High-Level Synthesis from C, C++ and SystemC",
    "vivado": "Vivado",
}
_PROGRAM = """#!{python} -sE
import sys
sys.path.insert(0, {tests!r})
from synth import vendor_standins
vendor_standins.main({folder!r}, {settings!r}, sys.argv[1:])
"""


def write(folder, *names, version="2023.2", behaviour="success", fails=None, seconds=0.0):
    """Write the programs `names` into `folder`, and give it back. More calls put others beside them."""
    if behaviour not in BEHAVIOURS:
        raise ValueError(f"{behaviour}: known are {', '.join(BEHAVIOURS)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        assert name in NAMES, name
        settings = {"name": name, "version": version, "behaviour": behaviour, "fails": fails, "seconds": seconds}
        text = _PROGRAM.format(
            python=sys.executable, tests=str(Path(__file__).parents[1]), folder=str(folder), settings=settings
        )
        path = folder / name
        beside = folder / f".{name}.new"
        beside.write_text(text)
        beside.chmod(beside.stat().st_mode | stat.S_IXUSR)
        os.replace(beside, path)
    return folder


def on_path(monkeypatch, folder):
    """Let the PATH have nothing but `folder` and the system's own programs, and no tool be named elsewhere."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), "/usr/bin", "/bin"]))
    tools = ("FLOW_VITIS", "FLOW_VIVADO_HLS", "FLOW_VIVADO", "FLOW_YOSYS", "FLOW_NEXTPNR", "FLOW_ONEAPI")
    for name in (*tools, "STANDIN_BEHAVIOUR"):
        monkeypatch.delenv(name, raising=False)


def runs(folder):
    """What was run, in order of the start: name, folder, pid, `start` and `end` (s, None where it was ended)."""
    path = Path(folder) / "runs.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    ends = {(row["name"], row["pid"], row["number"]): row["time"] for row in rows if row["event"] == "end"}
    return [
        {**row, "start": row["time"], "end": ends.get((row["name"], row["pid"], row["number"]))}
        for row in rows
        if row["event"] == "start"
    ]


# what the programs do


def main(folder, settings, arguments):
    """What a program does, from its arguments to its exit status."""
    name, version = settings["name"], settings["version"]
    if arguments == ["--version" if name == "vitis-run" else "-version"]:
        print(_banner(name, version) if version else "usage: see the manual", end="")
        sys.exit(0)
    number = _count(folder, name)
    behaviour = os.environ.get("STANDIN_BEHAVIOUR", settings["behaviour"])
    if settings["fails"] is not None and number >= settings["fails"]:
        behaviour = "success"
    _note(folder, "start", name, number)
    script, given = _script(name, arguments)
    from synth import vendor_hls, vendor_tools, vendor_vivado  # they need this module

    made = vendor_vivado.Vivado if name == "vivado" else vendor_hls.Hls
    status = vendor_tools.run(made(name, version, behaviour, settings["seconds"]), script, given)
    _note(folder, "end", name, number)
    sys.stdout.flush()
    os._exit(status)


def _script(name, arguments):
    """The script, and what is given to it; a program that is called otherwise refuses."""
    before = {"vitis-run": ["--mode", "hls", "--tcl"], "vivado": None}.get(name, ["-f"])
    if before is None and arguments[:2] == ["-mode", "batch"] and "-source" in arguments:
        at = arguments.index("-source") + 1
        rest = arguments[at + 1 :]
        return arguments[at], rest[1:] if rest[:1] == ["-tclargs"] else []
    if before is not None and arguments[:-1] == before:
        return arguments[-1], []
    print(f"ERROR: unknown arguments {' '.join(arguments)}")
    sys.exit(2)


def _banner(name, version):
    """What `-version` prints; vitis-run prints what it prints at each start."""
    build = "SW Build 4029153 on Fri Oct 13 20:13:54 MDT 2023"
    if name == "vitis-run":
        return f"\n****** vitis-run v{version} (64-bit)\n  **** SW Build 4026344 on 2023-10-11-15:42:21\n"
    limit = "Tool Version Limit: 2099.10\n" if name == "vivado" and version >= "2022.2" else ""
    title = "vivado" if limit else _TITLES[name]
    return f"{title} v{version} (64-bit)\n{limit}{build}\nIP Build 4028589 on Sat Oct 14 00:45:43 MDT 2023\n"


def start_text(name, version):
    """What a program prints when it starts."""
    inner = f"\n****** {_TITLES['vitis_hls' if name == 'vitis-run' else name]} v{version} (64-bit)\n"
    own = _banner(name, version) if name == "vitis-run" else ""
    return f"{own}{inner}  **** SW Build 4029153 on Fri Oct 13 20:13:54 MDT 2023\n"


def _count(folder, name):
    """How many runs of this program were started before, also where several start at once."""
    number = 0
    while True:
        try:
            os.close(os.open(os.path.join(folder, f".{name}-{number}"), os.O_CREAT | os.O_EXCL))
            return number
        except FileExistsError:
            number += 1


def _note(folder, event, name, number):
    row = {"event": event, "name": name, "number": number, "pid": os.getpid(), "time": time.time(), "cwd": os.getcwd()}
    with open(os.path.join(folder, "runs.jsonl"), "a") as stream:
        stream.write(json.dumps(row) + "\n")


def swapped(behaviour, top, part, clock_ns, version):
    """What the reports say instead."""
    other = _SWAPPED.get(behaviour)
    return (
        other if behaviour == "other_design" else top,
        other if behaviour == "other_part" else part,
        clock_ns + 1.0 if behaviour == "other_clock" else clock_ns,
        other if behaviour == "other_version" else version,
    )


def break_off(behaviour):
    """The behaviours that end a run in its middle: prints what the real ones print, and does not come back."""
    if behaviour == "licence":
        print("ERROR: [Common 17-345] A valid license was not found for feature 'Synthesis' and/or device 'xc7z020'.")
        print("INFO: [Common 17-344] 'Synthesis' was not able to check out a license: Licensed number of users already")
        return 1
    if behaviour == "error":
        print("ERROR: [HLS 207-3776] use of undeclared identifier 'layer2_t' (firmware/top.cpp:12:4)")
        print("INFO: [HLS 200-112] Total elapsed time: 2.1 seconds; peak allocated memory: 1.2 GB.")
        return 1
    if behaviour == "bad_alloc":
        print("terminate called after throwing an instance of 'std::bad_alloc'")
        return 134
    if behaviour == "killed":
        print("/tools/bin/loader: line 286: 4711 Killed")
        return 137
    if behaviour == "crash":
        print("Abnormal program termination (11)")
        print("Please check 'hs_err_pid1.log' for details")
        sys.stdout.flush()
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    if behaviour == "hang":
        sys.stdout.flush()
        while True:
            time.sleep(60)
    if behaviour == "memory":
        held = []
        while True:
            if len(held) < 64:
                held.append(bytearray(os.urandom(4096)) * 4096)  # 16 MiB, all written
            time.sleep(0.02)
    return None


def size_of(files):
    """A count that says how much there is in text files: numbers and lines."""
    total = 0
    for path in files:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
        total += 3 * len(re.findall(r"\b\d+(?:\.\d+)?\b", text)) + text.count("\n")
    return total


def cycles_of(size):
    """A latency that grows slowly with a size."""
    return 3 + int(math.log2(size + 1))
