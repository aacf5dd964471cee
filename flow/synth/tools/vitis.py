"""Vitis HLS: C synthesis of hls4ml projects for its backend "Vitis", and what follows from it."""

from functools import partial

from flow.metrics import Implementation
from flow.synth.report import Stage
from flow.synth.tools import xilinx, xilinx_hls
from flow.synth.tools.tool import Found, Tool

ENVIRONMENT = "FLOW_VITIS"
FLAVOUR = xilinx_hls.Flavour("vitis", "vitis_hls", "Vitis HLS", "vitis")
# Since 2025.1 there is only the first.
_PROGRAMS = (
    xilinx.Program("vitis-run", "--version", ("--mode", "hls", "--tcl"), (2023, 2)),
    xilinx.Program("vitis_hls", "-version", ("-f",), (2020, 2)),
)
_SETTING = (
    f"source Vitis' settings64.sh, or name vitis-run or vitis_hls in {ENVIRONMENT}; known to work: 2020.2 and later"
)


def find() -> Found:
    """The Vitis HLS to run; raises as `xilinx.find` does."""
    return xilinx.find(FLAVOUR.title, _PROGRAMS, ENVIRONMENT, _SETTING)


TOOL = Tool(
    name=FLAVOUR.tool,
    sentence="C synthesis of hls4ml projects by Vitis HLS, cosimulation, export, and what Vivado makes of it",
    implementation=Implementation.HLS4ML,
    stages=xilinx_hls.STAGES,
    usual=Stage.CSYNTH,
    setting=_SETTING,
    find=find,
    render=partial(xilinx_hls.render, FLAVOUR),
    run=partial(xilinx_hls.run, FLAVOUR),
    read=partial(xilinx_hls.read, FLAVOUR),
    keep=xilinx_hls.KEEP,
)
