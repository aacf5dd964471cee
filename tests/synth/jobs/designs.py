"""Small designs by hand, a stand-in for Yosys that does as it is told, and what the tests look at."""

import json
import os
import stat
import time
from pathlib import Path

import psutil

from flow.synth.job import Job
from flow.synth.report import Stage
from flow.synth.tools import yosys
from flow.synth.tools.tool import Limits

PART = "xcvu9p-flga2104-2-e"
RECORD = "STAND_IN_RECORD"  # names the folder that the stand-in writes into

_STAND_IN = """#!/bin/sh
[ "$1" = -V ] && echo "Yosys 0.99" && exit
top=$(sed 's/.*"top": "\\([a-z0-9]*\\)".*/\\1/' rtl.json)
say() { echo "$top $1" >> "$STAND_IN_RECORD/log"; }
runs() { grep -c "^$top begin" "$STAND_IN_RECORD/log"; }
case $5 in
*sta.ys) printf "Latest arrival time in 'top' is 900:\\nEnd of script.\\n" > $3; exit;;
esac
say begin
BODY
echo '{"design": {"num_cells_by_type": {"LUT2": 10, "FDRE": 20}}}' > STAT
printf 'layers 1\\n' > LAYERS
for kind in lut ff dsp srl carry; do printf "fc0 $kind\\n0 objects.\\n" >> LAYERS; done
printf 'Yosys 0.99\\nEnd of script.\\n' > $3
say end
"""


def design(folder: Path, name: str, bits: int = 8) -> Path:
    """An RTL project with one layer, an adder of `bits`, whose top module is `name`."""
    (folder / name / "src").mkdir(parents=True)
    half = f"[{bits - 1}:0]"
    (folder / name / "src" / "fc0_s0.v").write_text(
        f"module fc0_s0(input [{2 * bits - 1}:0] model_inp, output [{bits}:0] model_out);\n"
        f"assign model_out = model_inp{half} + model_inp[{2 * bits - 1}:{bits}];\nendmodule\n"
    )
    (folder / name / "src" / "top.v").write_text(
        f"module {name}(input clk, input [{2 * bits - 1}:0] model_inp, output reg [{bits}:0] model_out);\n"
        f"reg [{2 * bits - 1}:0] model_inp_reg;\nwire [{2 * bits - 1}:0] INTERNAL_fc0_s0_inp;\n"
        f"wire [{bits}:0] INTERNAL_fc0_s0_outp;\n"
        "fc0_s0 _inst_fc0_s0(.model_inp(INTERNAL_fc0_s0_inp), .model_out(INTERNAL_fc0_s0_outp));\n"
        "assign INTERNAL_fc0_s0_inp = model_inp_reg;\n"
        "always @(posedge clk) begin model_inp_reg <= model_inp; model_out <= INTERNAL_fc0_s0_outp; end\nendmodule\n"
    )
    row = {"top": name, "part": PART, "clock_ns": 5.0, "blocks": {"fc0": {"modules": ["fc0_s0"], "registers": []}}}
    (folder / name / "rtl.json").write_text(json.dumps(row | {"latency_cycles": 2, "interval_cycles": 1}))
    return folder / name


def stand_in(folder: Path, monkeypatch, body: str = "") -> Path:
    """A program in the place of Yosys: runs the lines of shell `body`, then leaves a good report. In these lines ``$top``
    is the design, ``runs`` prints how often it was begun, ``say WORD`` writes into the record. The record's path."""
    path = folder / "stand-in"
    path.write_text(
        _STAND_IN.replace("> STAT", f"> {yosys.STAT}").replace("BODY", body).replace("LAYERS", yosys.LAYERS)
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(yosys.ENVIRONMENT, str(path))
    monkeypatch.setenv(RECORD, str(folder))
    (folder / "log").write_text("")
    return folder / "log"


def job(project: Path, cache: Path, timeout_s: float = 120.0, **more) -> Job:
    return Job(project, "yosys", Stage.SYNTH, Limits(timeout_s), cache, **more)


def said(record: Path) -> list[str]:
    return record.read_text().splitlines()


def wait_for(condition, seconds: float = 300.0) -> None:
    """Until it holds. `seconds` only end a test that hangs: machines may be slow."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def carrying(word: str) -> list[int]:
    """The processes of ours with a word among their arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            if word in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(process.pid)
        except psutil.Error:
            pass
    return found
