"""Vivado HLS: C synthesis of hls4ml projects for its backend "Vivado", and what follows from it."""

from functools import partial

from flow.metrics import Implementation
from flow.synth.report import Stage
from flow.synth.tools import xilinx, xilinx_hls
from flow.synth.tools.tool import Found, Tool

ENVIRONMENT = "FLOW_VIVADO_HLS"
FLAVOUR = xilinx_hls.Flavour("vivado_hls", "vivado_hls", "Vivado HLS", "vivado")
_PROGRAMS = (xilinx.Program("vivado_hls", "-version", ("-f",), (2018, 2), (2020, 1)),)
_SETTING = f"source Vivado's settings64.sh, or name vivado_hls in {ENVIRONMENT}; known to work: 2018.2 to 2020.1"


def find() -> Found:
    """The Vivado HLS to run; raises as `xilinx.find` does."""
    return xilinx.find(FLAVOUR.title, _PROGRAMS, ENVIRONMENT, _SETTING)


TOOL = Tool(
    name=FLAVOUR.tool,
    sentence="C synthesis of hls4ml projects by Vivado HLS, cosimulation, export, and what Vivado makes of it",
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
